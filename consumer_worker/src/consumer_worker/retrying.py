"""Repeats what met an unavailable dependency: most outages are one lost answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consumer_worker.errors import DependencyUnavailable
from consumer_worker.sqs.backoff import full_jitter

ResultT = TypeVar("ResultT")

PAUSE_BASE_SECONDS = 0.1
PAUSE_CAP_SECONDS = 2.0
"""Before each repetition, up to min(cap, base * 2^(failures - 1)) seconds, at random."""


async def retry_unavailable(call: Callable[[], Awaitable[ResultT]], *, within_seconds: float) -> ResultT:
    """Repeat a call while it raises DependencyUnavailable, and raise that when the time is over.

    A call whose answer was lost may have taken effect: repeating it must do no harm.
    """
    ends_at = time.monotonic() + within_seconds
    failures = 0
    while True:
        try:
            return await call()
        except DependencyUnavailable:
            failures += 1
            pause = full_jitter(failures, PAUSE_BASE_SECONDS, PAUSE_CAP_SECONDS)
            if time.monotonic() + pause > ends_at:
                raise
        await asyncio.sleep(pause)
