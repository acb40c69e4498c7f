"""The cache downloads a file once, checks it, stays within its size and keeps what is being read."""

import asyncio
import hashlib
import os
import time
from contextlib import asynccontextmanager, suppress

import pytest

from producer_api.objects import ObjectMissing
from producer_api.rows import cache as cache_module
from producer_api.rows.cache import (
    PREFIX,
    CacheFull,
    ResultCache,
    ResultDamaged,
    ResultTooLarge,
    open_cache_folder,
)
from retainwise_contracts.results import ContentDigest


class Storage:
    """Objects in memory, which are handed out when `ready` is set."""

    def __init__(self):
        self.contents = {}
        self.downloads = []
        self.ready = asyncio.Event()
        self.ready.set()

    def put(self, key, content):
        self.contents[key] = content
        return ContentDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    @asynccontextmanager
    async def open_object(self, key):
        self.downloads.append(key)
        await self.ready.wait()
        if key not in self.contents:
            raise ObjectMissing
        yield self

    async def chunks(self):
        content = self.contents[self.downloads[-1]]
        for start in range(0, len(content), 7):
            yield content[start : start + 7]


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
async def cache(tmp_path, storage):
    cache = ResultCache(tmp_path, storage, max_bytes=100)
    yield cache
    await cache.close()


async def read(cache, key, digest):
    async with cache.open_file(key, digest) as path:
        return path.read_bytes()


async def test_file_is_downloaded_once_for_all(cache, storage):
    digest = storage.put("a", b"content of a")
    storage.ready.clear()
    readers = [asyncio.create_task(read(cache, "a", digest)) for _ in range(20)]
    await asyncio.sleep(0)
    storage.ready.set()
    assert set(await asyncio.gather(*readers)) == {b"content of a"}
    assert await read(cache, "a", digest) == b"content of a"
    assert storage.downloads == ["a"]


async def test_download_goes_on_when_one_reader_is_cancelled(cache, storage):
    digest = storage.put("a", b"content of a")
    storage.ready.clear()
    first = asyncio.create_task(read(cache, "a", digest))
    second = asyncio.create_task(read(cache, "a", digest))
    while not storage.downloads:
        await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    storage.ready.set()
    assert await second == b"content of a"
    assert storage.downloads == ["a"]


@pytest.mark.parametrize("stored", [b"other content", b"longer than it was said to be", b"short", b""])
async def test_file_that_differs_is_refused_and_not_kept(cache, storage, tmp_path, stored):
    digest = storage.put("a", b"first content")
    storage.contents["a"] = stored
    with pytest.raises(ResultDamaged):
        await read(cache, "a", digest)
    assert list(tmp_path.iterdir()) == []
    storage.contents["a"] = b"first content"
    assert await read(cache, "a", digest) == b"first content"


async def test_failure_gives_the_room_back(cache, storage):
    digest = storage.put("a", b"x" * 90)
    content = storage.contents.pop("a")
    for _ in range(3):
        with pytest.raises(ObjectMissing):
            await read(cache, "a", digest)
    storage.contents["a"] = content
    assert await read(cache, "a", digest) == content


async def test_least_recently_used_makes_room(cache, storage, tmp_path):
    digests = {key: storage.put(key, key.encode() * 40) for key in "abc"}
    for key in "aba":
        await read(cache, key, digests[key])
    await read(cache, "c", digests["c"])
    assert len(list(tmp_path.iterdir())) == 2
    await read(cache, "a", digests["a"])
    assert storage.downloads == ["a", "b", "c"]
    await read(cache, "b", digests["b"])
    assert storage.downloads == ["a", "b", "c", "b"]


async def test_file_that_is_read_stays(cache, storage):
    digests = {key: storage.put(key, key.encode() * 40) for key in "abc"}
    async with cache.open_file("a", digests["a"]) as a, cache.open_file("b", digests["b"]) as b:
        with pytest.raises(CacheFull):
            await read(cache, "c", digests["c"])
        assert (a.read_bytes(), b.read_bytes()) == (b"a" * 40, b"b" * 40)
    assert await read(cache, "c", digests["c"]) == b"c" * 40


async def test_file_larger_than_the_cache_is_refused(cache, storage):
    digest = storage.put("a", b"x" * 101)
    with pytest.raises(ResultTooLarge):
        await read(cache, "a", digest)
    assert storage.downloads == []


async def test_digest_alone_gives_nobody_the_file(cache, storage):
    """A row that names another tenant's digest below its own key gets what is at the key."""
    digest = storage.put("results/acme/1/scores.parquet", b"of acme")
    await read(cache, "results/acme/1/scores.parquet", digest)
    with pytest.raises(ObjectMissing):
        await read(cache, "results/globex/2/scores.parquet", digest)


async def test_old_files_are_removed_unless_they_are_read(cache, storage, tmp_path, monkeypatch):
    digests = {key: storage.put(key, key.encode()) for key in "ab"}
    await read(cache, "a", digests["a"])
    async with cache.open_file("b", digests["b"]):
        cache.remove_old()
        assert len(list(tmp_path.iterdir())) == 2
        monkeypatch.setattr(cache_module, "MAX_AGE_SECONDS", -1.0)
        cache.remove_old()
        assert len(list(tmp_path.iterdir())) == 1
    cache.remove_old()
    assert list(tmp_path.iterdir()) == []
    assert await read(cache, "a", digests["a"]) == b"a"


async def test_full_disk_is_not_the_file_s_fault(storage, tmp_path):
    cache = ResultCache(tmp_path / "removed", storage, max_bytes=100)
    digest = storage.put("a", b"a")
    with pytest.raises(CacheFull):
        await read(cache, "a", digest)


def test_folders_of_killed_processes_are_removed(tmp_path):
    left, young, other, foreign = (
        tmp_path / name for name in (f"{PREFIX}left", f"{PREFIX}young", "other", f"{PREFIX}foreign")
    )
    for folder in (left, young, other, foreign):
        folder.mkdir()
        (folder / "file").write_bytes(b"of a tenant")
        if folder != foreign:
            (folder / "lock").touch()
    old = time.time() - 3_600
    for folder in (left, other):
        os.utime(folder / "lock", (old, old))
    with open_cache_folder(str(tmp_path)) as running:
        assert not left.exists()
        assert young.exists()
        assert other.exists()
        assert foreign.exists()
        os.utime(running / "lock", (old, old))
        with open_cache_folder(str(tmp_path)):
            assert running.exists()  # its lock is held
        assert running.stat().st_mode & 0o077 == 0
    assert not running.exists()
