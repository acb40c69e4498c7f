"""Result files on this machine's disk, so that Parquet can be read where it lies.

A file is downloaded once, however many requests want it, and its digest is checked. The least recently used
ones make room for others, and none is kept for long: what a tenant has deleted must not stay here.
"""

import asyncio
import fcntl
import hashlib
import shutil
import tempfile
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from producer_api.objects import Objects
from retainwise_contracts.results import ContentDigest

MAX_DOWNLOADS = 4
"""At the same time."""

MAX_AGE_SECONDS = 3_600.0
"""A file that is older is removed, and downloaded again if it is still there."""

REMOVE_SECONDS = 60.0
"""How often old files are removed."""

PREFIX = "retainwise-results-"

_LOCK = "lock"
_SURELY_LOCKED_AFTER_SECONDS = 60.0
"""The file is made a moment before the lock is taken: a younger one is left alone."""


class ResultTooLarge(Exception):
    """A file is larger than the whole cache."""


class CacheFull(Exception):
    """All files in the cache are being read, or the disk has no room for another."""


class ResultDamaged(Exception):
    """A stored file is not the one that was written. Only an operator can help: it is an internal_error."""


@dataclass(frozen=True, slots=True)
class _Kept:
    size_bytes: int
    since: float
    """By the monotonic clock."""


class ResultCache:
    """Keeps files of results, up to a number of bytes."""

    def __init__(self, folder: Path, objects: Objects, *, max_bytes: int) -> None:
        self._folder = folder
        self._objects = objects
        self._max_bytes = max_bytes
        self._bytes = 0
        """Of the files that are kept, and of those to come."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """By name, the least recently used first."""
        self._users: Counter[str] = Counter()
        """How many read a file or wait for it: it stays meanwhile."""
        self._downloads: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MAX_DOWNLOADS)

    @asynccontextmanager
    async def open_file(self, key: str, digest: ContentDigest) -> AsyncIterator[Path]:
        """Yield the path of an object's copy, which stays while the block runs.

        Raises:
            ObjectMissing, StorageUnavailable: it cannot be downloaded.
            ResultTooLarge, CacheFull: there is no room for it.
            ResultDamaged: its digest is not this one.
        """
        # Of the key too: who can write a digest into a row must not get another's file by it.
        name = hashlib.sha256(f"{digest.sha256} {key}".encode()).hexdigest()
        self._users[name] += 1
        try:
            if name not in self._kept:
                await self._download_once(name, key, digest)
            self._kept.move_to_end(name)
            yield self._folder / name
        finally:
            self._users[name] -= 1
            self._users += Counter()  # drops names without users

    async def run(self) -> None:
        """Remove what has become old, for ever."""
        while True:
            await asyncio.sleep(REMOVE_SECONDS)
            self.remove_old()

    def remove_old(self) -> None:
        """Remove the files that nobody reads and that are old."""
        before = time.monotonic() - MAX_AGE_SECONDS
        for name in [name for name, kept in self._kept.items() if kept.since < before]:
            self._remove_unless_used(name)

    async def close(self) -> None:
        """End the downloads."""
        downloads = list(self._downloads.values())
        for download in downloads:
            download.cancel()
        await asyncio.gather(*downloads, return_exceptions=True)

    async def _download_once(self, name: str, key: str, digest: ContentDigest) -> None:
        download = self._downloads.get(name)
        if download is None:
            self._make_room(digest.size_bytes)
            self._bytes += digest.size_bytes
            download = asyncio.create_task(self._download(name, key, digest), name=f"download {name}")
            self._downloads[name] = download
            download.add_done_callback(lambda done: self._end_download(name, digest.size_bytes, done))
        await asyncio.shield(download)  # others may wait for it, if this request is cancelled

    def _end_download(self, name: str, size_bytes: int, download: asyncio.Task[None]) -> None:
        del self._downloads[name]
        if download.cancelled() or download.exception() is not None:
            self._bytes -= size_bytes

    async def _download(self, name: str, key: str, digest: ContentDigest) -> None:
        part = self._folder / f"{name}.part"
        async with self._slots:
            try:
                with part.open("wb") as file:
                    await self._receive(file, key, digest)
                part.rename(self._folder / name)
            except OSError as error:
                raise CacheFull(f"the cache cannot be written: {error.strerror}") from error
            finally:
                part.unlink(missing_ok=True)
        self._kept[name] = _Kept(digest.size_bytes, time.monotonic())

    async def _receive(self, file: BinaryIO, key: str, digest: ContentDigest) -> None:
        content, size_bytes = hashlib.sha256(), 0
        async with self._objects.open_object(key) as stored:
            async for chunk in stored.chunks():
                size_bytes += len(chunk)
                if size_bytes > digest.size_bytes:  # no more room was made
                    break
                await asyncio.to_thread(_write, file, content, chunk)
        if size_bytes != digest.size_bytes or content.hexdigest() != digest.sha256:
            raise ResultDamaged(f"{key} has not the digest that its prediction names")

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise ResultTooLarge
        for name in list(self._kept):
            if self._bytes + size_bytes <= self._max_bytes:
                break
            self._remove_unless_used(name)
        if self._bytes + size_bytes > self._max_bytes:
            raise CacheFull("all files in the cache are being read")

    def _remove_unless_used(self, name: str) -> None:
        if not self._users[name]:
            (self._folder / name).unlink(missing_ok=True)
            self._bytes -= self._kept.pop(name).size_bytes


RESULT_CACHE = web.AppKey("result_cache", ResultCache)


def _write(file: BinaryIO, content: "hashlib._Hash", chunk: bytes) -> None:
    file.write(chunk)
    content.update(chunk)


@contextmanager
def open_cache_folder(directory: str | None) -> Iterator[Path]:
    """Make a folder below `directory`, or the system's temporary one, for as long as the block runs.

    Folders that killed processes have left there are removed.

    Raises:
        OSError: the directory cannot be written to.
    """
    parent = Path(directory or tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # which only this user may read
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process has ended: the kernel has then taken back its lock.

    What has no lock is none of ours, whatever its name, or is just being made.
    """
    try:
        with (folder / _LOCK).open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - (folder / _LOCK).stat().st_mtime < _SURELY_LOCKED_AFTER_SECONDS:
                return
    except OSError:  # in use, another user's, or just removed
        return
    shutil.rmtree(folder, ignore_errors=True)
