"""Where files are scored, so that the event loop never does: threads, and a process for a suspect."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from consumer_worker.isolation import score_in_child
from consumer_worker.scoring import ScoringReport, ScoringRequest

ResultT = TypeVar("ResultT")

LARGE_FILE_BYTES = 16 << 20
LARGE_FILE_LINES = 120_000
"""From this size, or so many lines, a file counts as large: about 120,000 customers, half a second of scoring
and more. A line may have two bytes: 2 MB of such lines take as long as 120 MB of customers."""

_COUNT_BYTES = 1 << 20


class ScoringPool:
    """Runs scoring in `threads` threads, of which large files may hold all but one.

    So a small file never waits for large ones to finish, however many there are.
    """

    def __init__(self, threads: int) -> None:
        if threads < 2:
            raise ValueError("at least two threads are needed: one is kept for small files")
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._large = asyncio.Semaphore(threads - 1)
        self._child = asyncio.Semaphore(1)

    async def run(self, score: Callable[[threading.Event], ResultT], *, is_large: bool) -> ResultT:
        """Run `score` in a thread and return what it returns or raise what it raises.

        `score` is given an event and must return soon after it is set. Cancelled, this sets the event and
        waits for the thread, so that the caller can remove the files the thread was using.
        """
        cancelled = threading.Event()
        async with self._place(is_large):
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

    async def run_alone(
        self, source: Path, destination: Path, model: str, request: ScoringRequest
    ) -> ScoringReport:
        """Score a suspect in a child process, one at a time: there is memory for one beside the threads.

        It raises what `score_in_child` raises.
        """
        async with self._child:
            return await score_in_child(source, destination, model, request)

    def close(self) -> None:
        """Stop the threads; no job may be running."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _place(self, is_large: bool) -> AsyncIterator[None]:
        if is_large:
            async with self._large:
                yield
        else:
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
