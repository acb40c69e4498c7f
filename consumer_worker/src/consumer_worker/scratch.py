"""The folder for customers' files while they are scored: one per process, with one per attempt in it.

A process removes its folder when it exits. That of a killed one is removed by the next that starts, and every
few minutes by those that run.
"""

import asyncio
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from consumer_worker.errors import ScratchUnavailable

PREFIX = "retainwise-worker-"

_LOCK = "lock"
_SURELY_LOCKED_AFTER_SECONDS = 60.0
"""A folder is made a moment before its lock is taken: a younger one is left alone."""

PROBE_BYTES = 64 << 20
"""What a usable folder has room for: the upload, the parts and the results of a file of 10 MB."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNUSABLE = frozenset(
    {errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ESTALE}
)
_UNUSABLE_FOLDER = _UNUSABLE | {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM}
"""The same for the scratch folder itself. Within an attempt, the last ones may have a cause of their own."""

_WRAPPED_ERROR = re.compile(r"(?:[A-Za-z ]{1,50}: ){0,4}([A-Za-z/ ]{1,50}) \(os error (\d{1,3})\)")
"""The whole text of a system's error that Polars wrapped in one of its own. Anything more may be a cell: a
file must not be able to say that the disk is full."""


@contextmanager
def open_scratch(directory: str | None) -> Iterator[Path]:
    """Make a folder below `directory`, or the system's temporary one, for as long as the block runs.

    Raises:
        OSError: the directory cannot be written to.
    """
    parent = Path(directory or tempfile.gettempdir())
    remove_left_folders(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_folders(parent: Path) -> int:
    """Remove the folders of processes that have ended and return how many; one in use is locked and stays."""
    return sum(_remove_if_left(folder) for folder in parent.glob(f"{PREFIX}*"))


def probe_scratch(scratch: Path) -> None:
    """Check that files can be written below `scratch`, and that there is room. Raises ScratchUnavailable."""
    with scratch_errors(_UNUSABLE_FOLDER), tempfile.TemporaryFile(dir=scratch) as file:
        os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)


def scratch_bytes(scratch: Path) -> int:
    """Return the size of the disk below `scratch`, all that is on it included. Raises ScratchUnavailable."""
    with scratch_errors(_UNUSABLE_FOLDER):
        return shutil.disk_usage(scratch).total


@contextmanager
def scratch_errors(unusable: frozenset[int] = _UNUSABLE) -> Iterator[None]:
    """Translate the errors of a disk that is full or broken, which no file is to blame for.

    Raises:
        ScratchUnavailable: instead of such an OSError, and of an error that Polars wrapped it in.
    """
    try:
        yield
    except Exception as error:
        number = system_error_number(error)
        if number is None:
            raise
        if number in _FULL:
            raise ScratchUnavailable(f"scratch_full: {os.strerror(number)}") from error
        if number in unusable:
            raise ScratchUnavailable(f"scratch_unusable: {os.strerror(number)}") from error
        raise


@asynccontextmanager
async def attempt_folder(scratch: Path) -> AsyncIterator[Path]:
    """Make a folder for one attempt below `scratch`; it is removed with all its files when the block ends.

    Raises:
        ScratchUnavailable: it cannot be made, or the block failed after somebody else had removed it.
    """
    with scratch_errors(_UNUSABLE_FOLDER):
        folder = await asyncio.to_thread(
            tempfile.TemporaryDirectory, prefix="prediction-", dir=scratch, ignore_cleanup_errors=True
        )
    path = Path(folder.name)
    try:
        yield path
    except Exception as error:
        if await asyncio.to_thread(path.exists):
            raise
        raise ScratchUnavailable("scratch_unusable: the folder was removed") from error
    finally:
        await asyncio.shield(asyncio.to_thread(folder.cleanup))


def system_error_number(error: BaseException | None) -> int | None:
    """Return the number of the system's error behind this one, also where Polars wrapped it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        wrapped = _WRAPPED_ERROR.fullmatch(str(error)[:300])
        if wrapped and wrapped.group(1) == os.strerror(int(wrapped.group(2))):
            return int(wrapped.group(2))
        error = error.__cause__ or error.__context__
    return None


def _remove_if_left(folder: Path) -> bool:
    """Remove a folder whose process has ended: the kernel has then taken back its lock."""
    try:
        if time.time() - folder.stat().st_mtime < _SURELY_LOCKED_AFTER_SECONDS:
            return False
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, another user's, or just removed
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True
