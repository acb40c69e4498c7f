"""Few functions run at a time, and a bounded number waits."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer_api.rows.readers import MAX_READS, Readers, ReadersBusy


async def test_reads_beyond_the_limit_are_refused():
    release = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        readers = Readers(threads)
        waiting = [asyncio.create_task(readers.run(release.wait)) for _ in range(MAX_READS)]
        await asyncio.sleep(0)
        with pytest.raises(ReadersBusy):
            await readers.run(print)
        release.set()
        assert all(await asyncio.gather(*waiting))
        assert await readers.run(int, "7") == 7


async def test_error_of_a_function_gives_its_place_back():
    with ThreadPoolExecutor(2) as threads:
        readers = Readers(threads)
        for _ in range(MAX_READS + 1):
            with pytest.raises(ValueError, match="invalid literal"):
                await readers.run(int, "seven")
