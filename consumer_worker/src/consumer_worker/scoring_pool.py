"""Where files are scored, so that the event loop never does: threads, and a process for a suspect."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from consumer_worker.allocator import trim_memory
from consumer_worker.isolation import score_in_child
from consumer_worker.scoring import ScoringReport, ScoringRequest

ResultT = TypeVar("ResultT")

LARGE_FILE_BYTES = 16 << 20
LARGE_FILE_LINES = 120_000
"""From this size, or so many lines, a file counts as large: about 120,000 customers, half a second of scoring
and more. A line may have two bytes: 2 MB of such lines take as long as 120 MB of customers."""

_COUNT_BYTES = 1 << 20

TRIM_FROM_BYTES = 256 << 10
"""From this size of a file, memory is given back once it is scored, which costs up to 5 ms."""


class ScoringPool:
    """Scores `threads` files at once, of which all but one may be large.

    So a small file never waits for large ones to finish, however many there are. A child process takes the
    place of a thread: the memory of a worker is that of so many files, wherever they are scored.
    """

    def __init__(self, threads: int) -> None:
        if threads < 2:
            raise ValueError("at least two threads are needed: one is kept for small files")
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._places = asyncio.Semaphore(threads)
        self._large = asyncio.Semaphore(threads - 1)
        self._child = asyncio.Semaphore(1)

    async def run(
        self, score: Callable[[threading.Event], ResultT], *, size_bytes: int, is_large: bool
    ) -> ResultT:
        """Run `score` in a thread and return what it returns or raise what it raises.

        `score` is given an event and must return soon after it is set. Cancelled, this sets the event and
        waits for the thread, so that the caller can remove the files the thread was using.
        """
        cancelled = threading.Event()
        async with self._place(is_large):
            job = self._executor.submit(_score_and_trim, score, cancelled, size_bytes)
            result = asyncio.wrap_future(job)
            try:
                return await asyncio.shield(result)
            except asyncio.CancelledError:
                cancelled.set()
                if not job.cancel():  # it has begun: it sees the event and ends
                    await asyncio.wait([result])
                    result.exception()  # or asyncio would warn that nobody read it
                raise

    async def run_alone(
        self, source: Path, destination: Path, model: str, request: ScoringRequest, *, is_large: bool
    ) -> ScoringReport:
        """Score a suspect in a child process, one at a time: there is memory for one in place of a thread.

        It raises what `score_in_child` raises.
        """
        async with self._child, self._place(is_large):
            return await score_in_child(source, destination, model, request)

    def close(self) -> None:
        """Stop the threads; no job may be running."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _place(self, is_large: bool) -> AsyncIterator[None]:
        if is_large:
            async with self._large, self._places:
                yield
        else:
            async with self._places:
                yield


def is_large(source: Path) -> bool:
    """Return whether scoring this file takes long. It is read; a carriage return can end a line too."""
    if source.stat().st_size >= LARGE_FILE_BYTES:
        return True
    feeds = returns = 0
    with source.open("rb") as file:
        while piece := file.read(_COUNT_BYTES):
            feeds += piece.count(b"\n")
            returns += piece.count(b"\r")
    return max(feeds, returns) >= LARGE_FILE_LINES


def _score_and_trim(
    score: Callable[[threading.Event], ResultT], cancelled: threading.Event, size_bytes: int
) -> ResultT:
    try:
        return score(cancelled)
    finally:
        if size_bytes >= TRIM_FROM_BYTES:
            trim_memory()
