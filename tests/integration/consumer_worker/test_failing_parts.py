"""A request fails or a part is restarted: each file is scored once, with the bytes of a quiet run."""

import asyncio
import random

import asyncpg
import pytest

from tests.integration.consumer_worker.conftest import FAULTY_RUN

FAULTS = {
    "S3 refuses the upload": ("GET /{bucket}/uploads/", "refuse", 4),
    "S3 cuts the upload": ("GET /{bucket}/uploads/", "cut", 2),
    "S3 refuses the results": ("PUT /{bucket}/results/", "refuse", 4),
    "S3 is slow": ("PUT /{bucket}/results/", "delay", 4),
    "receives fail": ("ReceiveMessage", "refuse", 3),
    "extensions fail": ("ChangeMessageVisibilityBatch", "refuse", 1),
    "extensions fail in part": ("ChangeMessageVisibilityBatch", "fail_entries", 1),
    "deletes fail": ("DeleteMessageBatch", "refuse", 2),
    "deletes fail in part": ("DeleteMessageBatch", "fail_entries", 2),
}
"""A request, what happens to it, and how often."""


@pytest.fixture
def run_worker_behind_proxy(proxy, run_worker_here, monkeypatch):
    """A worker in this process, whose requests to S3 and SQS pass the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return run_worker_here


@pytest.mark.parametrize("fault", FAULTS)
async def test_worker_survives_a_request_that_fails(
    backend, proxy, run_worker_behind_proxy, require_survived, fault
):
    request, effect, times = FAULTS[fault]
    if "extensions" in fault:  # only a long job's visibility is extended
        proxy.add(f"GET /{backend.aws.bucket}/uploads/", "delay", delay_seconds=2.5)
    planted = proxy.add(request.format(bucket=backend.aws.bucket), effect, times=times, delay_seconds=1.0)
    async with run_worker_behind_proxy():
        await require_survived(await backend.accept(FAULTY_RUN))
    assert planted.hit.is_set()


async def test_worker_survives_deliveries_doubled_and_shuffled(backend, run_worker_here, require_survived):
    accepted = [await backend.accept(FAULTY_RUN, send=0) for _ in range(10)]
    bodies = await backend.owner.fetch("select body from outbox where destination = 'predictions'")
    deliveries = [row["body"] for row in bodies] * 2
    random.Random(4).shuffle(deliveries)
    for body in deliveries:
        await backend.send(body)
    async with run_worker_here(), run_worker_here():
        await require_survived(*accepted)


async def test_worker_survives_a_restart_of_the_database(
    backend, proxy, run_worker_behind_proxy, require_survived, postgres_server, database
):
    storing = proxy.add(f"PUT /{backend.aws.bucket}/results/", "delay", delay_seconds=2.0)
    async with run_worker_behind_proxy():
        prediction_id = await backend.accept(FAULTY_RUN)
        await asyncio.wait_for(storing.hit.wait(), 30)
        await postgres_server.stop()
        await postgres_server.start()
        backend.reconnect(await asyncpg.connect(database.owner))
        await require_survived(prediction_id)
