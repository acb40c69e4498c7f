"""The folder for customers' files while they are scored: one per process, with one per attempt in it.

A process removes its folder when it exits; the folder of a killed one is removed by the next that starts.
"""

import asyncio
import fcntl
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

PREFIX = "retainwise-worker-"

_LOCK = "lock"
_SURELY_LOCKED_AFTER_SECONDS = 60.0
"""A folder is made a moment before its lock is taken: a younger one is left alone."""


@contextmanager
def open_scratch(directory: str | None) -> Iterator[Path]:
    """Make a folder below `directory`, or the system's temporary one, for as long as the block runs.

    Raises:
        OSError: the directory cannot be written to.
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


@asynccontextmanager
async def attempt_folder(scratch: Path) -> AsyncIterator[Path]:
    """Make a folder for one attempt below `scratch`; it is removed with all its files when the block ends."""
    folder = await asyncio.to_thread(
        tempfile.TemporaryDirectory, prefix="prediction-", dir=scratch, ignore_cleanup_errors=True
    )
    try:
        yield Path(folder.name)
    finally:
        await asyncio.shield(asyncio.to_thread(folder.cleanup))


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process has ended: the kernel has then taken back its lock."""
    try:
        if time.time() - folder.stat().st_mtime < _SURELY_LOCKED_AFTER_SECONDS:
            return
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, another user's, or just removed
        return
    shutil.rmtree(folder, ignore_errors=True)
