"""Where customers' files lie while they are scored: a folder of this process's own, gone with it.

What a killed process left is removed by the next that starts.
"""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "retainwise-worker-"

_LOCK = "lock"
_SURELY_LOCKED_AFTER_SECONDS = 60.0
"""A folder is made a moment before its lock is taken: a younger one is left alone."""


@contextmanager
def open_scratch(directory: str | None) -> Iterator[Path]:
    """Make a folder below `directory`, or the system's temporary one, for as long as the block runs.

    Raises:
        OSError: nothing can be written there.
    """
    parent = Path(directory or tempfile.gettempdir())
    for folder in parent.glob(f"{PREFIX}*"):
        _remove_if_left(folder)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process has ended: the kernel has then taken back its lock."""
    try:
        if time.time() - folder.stat().st_mtime < _SURELY_LOCKED_AFTER_SECONDS:
            return
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is in use, somebody else's, or has just been removed
        return
    shutil.rmtree(folder, ignore_errors=True)
