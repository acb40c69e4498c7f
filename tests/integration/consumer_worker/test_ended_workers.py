"""A worker is ended at each stage of its work: what it held is scored once, with the bytes of a quiet run."""

import asyncio
import signal
from contextlib import asynccontextmanager

import pytest

from tests.integration.consumer_worker.conftest import FAULTY_RUN

HOLD_SECONDS = 1.5
"""How long a stage is held up: long enough to end the worker in it, shorter than its grace."""

HELD_REQUESTS = {
    "receiving": "ReceiveMessage",
    "fetching": "GET /{bucket}/uploads/",
    "storing": "PUT /{bucket}/results/",
    "backing off": "ChangeMessageVisibilityBatch",
    "completed, not deleted": "DeleteMessageBatch",
}
"""A request of each stage: held up in the proxy, it keeps the worker there."""

SIGNALS = {
    "SIGKILL": (signal.SIGKILL,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGTERM twice": (signal.SIGTERM, signal.SIGTERM),
}


@pytest.fixture
def worker_held_at(backend, proxy, start_worker, scoring_begun):
    """A worker process that is at a stage of its work when the block begins."""
    one_at_a_time = {"AWS_ENDPOINT_URL": proxy.url, "MAX_CONCURRENT_MESSAGES": "1"}

    @asynccontextmanager
    async def hold(stage):
        if stage == "claiming":
            async with backend.owner.transaction():
                await backend.owner.execute("select from predictions for update")
                worker = await start_worker(**one_at_a_time)
                async with asyncio.timeout(30):
                    while not await backend.owner.fetchval("select count(*) from pg_locks where not granted"):
                        await asyncio.sleep(0.02)
                yield worker
        elif stage == "scoring":
            worker = await start_worker(hold_seconds=HOLD_SECONDS, **one_at_a_time)
            await scoring_begun()
            yield worker
        else:
            if stage == "backing off":
                # As often as the client asks by itself: one attempt fails.
                proxy.add(f"GET /{backend.aws.bucket}/uploads/", "refuse", times=3)
            request = HELD_REQUESTS[stage].format(bucket=backend.aws.bucket)
            held = proxy.add(request, "delay", delay_seconds=HOLD_SECONDS)
            worker = await start_worker(**one_at_a_time)
            await asyncio.wait_for(held.hit.wait(), 30)
            yield worker

    return hold


@pytest.mark.parametrize("signals", SIGNALS)
@pytest.mark.parametrize("stage", [*HELD_REQUESTS, "claiming", "scoring"])
async def test_next_worker_scores_once_what_an_ended_one_held(
    backend, worker_held_at, run_worker_here, require_survived, stage, signals
):
    # One is handled, the other waits in the worker.
    accepted = [await backend.accept(FAULTY_RUN), await backend.accept(FAULTY_RUN)]
    async with worker_held_at(stage) as worker:
        for number in SIGNALS[signals]:
            worker.send_signal(number)
            await asyncio.sleep(0.1)  # or two of a kind would arrive as one
    async with run_worker_here():
        await require_survived(*accepted)
    killed = signal.SIGKILL in SIGNALS[signals]
    assert await asyncio.wait_for(worker.wait(), 30) == (-signal.SIGKILL if killed else 0)
