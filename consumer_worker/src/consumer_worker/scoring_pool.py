"""Threads that score files, so that the event loop never does."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

ResultT = TypeVar("ResultT")

LARGE_FILE_BYTES = 16 << 20
"""From this size a file counts as large: about 120,000 customers, half a second of scoring and more."""


class ScoringPool:
    """Runs scoring in `threads` threads, of which large files may hold all but one.

    So a small file never waits for large ones to finish, however many there are.
    """

    def __init__(self, threads: int) -> None:
        if threads < 2:
            raise ValueError("at least two threads are needed: one is kept for small files")
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._large = asyncio.Semaphore(threads - 1)

    async def run(self, score: Callable[[threading.Event], ResultT], *, size_bytes: int) -> ResultT:
        """Run `score` in a thread and return what it returns or raise what it raises.

        `score` is given an event and must return soon after it is set. Cancelled, this sets the event and
        waits for the thread, so that the caller can remove the files the thread was using.
        """
        cancelled = threading.Event()
        async with self._place(size_bytes):
            job = self._executor.submit(score, cancelled)
            result = asyncio.wrap_future(job)
            try:
                return await asyncio.shield(result)
            except asyncio.CancelledError:
                cancelled.set()
                if not job.cancel():  # it has begun: it sees the event and ends
                    await asyncio.wait([result])
                    result.exception()  # or asyncio would warn that nobody read it
                raise

    def close(self) -> None:
        """Stop the threads; no job may be running."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _place(self, size_bytes: int) -> AsyncIterator[None]:
        if size_bytes < LARGE_FILE_BYTES:
            yield
        else:
            async with self._large:
                yield
