"""Whatever fails at whichever stage: each prediction ends once, with the bytes of a quiet run."""

import asyncio
import random
import signal
from collections import Counter

import asyncpg
import pytest

from retainwise_contracts.prediction_finished import PredictionCompletedV1, ResultLocation
from tests.conftest import FAULT_SURVIVED
from tests.integration.consumer_worker.conftest import customers
from tests.integration.consumer_worker.faulty_proxy import serve_proxy

CONTENT = customers(300)

STAGES = {
    "fetching": "GET /{bucket}/uploads/",
    "storing": "PUT /{bucket}/results/",
    "completed, not deleted": "DeleteMessageBatch",
}
"""A request of each stage: held up in the proxy, it keeps the worker there."""

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


@pytest.fixture
async def proxy(aws, unused_port):
    async with serve_proxy(aws.endpoint_url, unused_port()) as proxy:
        yield proxy


def digests(row):
    """The result's content, without the manifest, which names its prediction."""
    files = ResultLocation.model_validate_json(row["result"]).files
    return {file.name: file.sha256 for file in files if file.name != "manifest.json"}


@pytest.fixture
async def require_survived(backend, run_worker_here, record_property):
    """A function that checks that predictions ended once each, with the result of a quiet run."""
    async with run_worker_here():
        quiet = digests(await backend.wait_for(await backend.accept(CONTENT)))

    async def check(*prediction_ids):
        for prediction_id in prediction_ids:
            row = await backend.wait_for(prediction_id)
            assert (row["status"], digests(row)) == ("COMPLETED", quiet)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0, timeout=60)
        for prediction_id in prediction_ids:
            assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]
        record_property(FAULT_SURVIVED, True)

    return check


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)],
    ids=["SIGKILL", "SIGTERM", "SIGTERM twice"],
)
async def test_a_worker_ended_at_a_stage(backend, proxy, start_worker, require_survived, stage, signals):
    held_up = proxy.add(STAGES[stage].format(bucket=backend.aws.bucket), "delay", delay_seconds=1.5)
    worker = await start_worker(AWS_ENDPOINT_URL=proxy.url)
    prediction_id = await backend.accept(CONTENT)
    await asyncio.wait_for(held_up.hit.wait(), 30)
    for number in signals:
        worker.send_signal(number)
    await start_worker()
    await require_survived(prediction_id)
    assert await asyncio.wait_for(worker.wait(), 30) == (-9 if signals == (signal.SIGKILL,) else 0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_request_that_fails(backend, proxy, start_worker, require_survived, fault):
    request, effect, times = FAULTS[fault]
    slow = proxy.add(f"GET /{backend.aws.bucket}/uploads/", "delay", delay_seconds=2.5)
    if "extensions" not in fault:
        proxy.faults.remove(slow)  # only a long job's visibility is extended
    planted = proxy.add(request.format(bucket=backend.aws.bucket), effect, times=times, delay_seconds=1.0)
    await start_worker(AWS_ENDPOINT_URL=proxy.url)
    prediction_id = await backend.accept(CONTENT)
    await require_survived(prediction_id)
    assert planted.hit.is_set()


async def test_every_delivery_doubled_and_shuffled(backend, start_worker, require_survived):
    accepted = [await backend.accept(CONTENT, send=0) for _ in range(10)]
    bodies = await backend.owner.fetch("select body from outbox where destination = 'predictions'")
    # The quiet run's message is among them: a redelivery of what is long completed.
    deliveries = [row["body"] for row in bodies] * 2
    random.Random(4).shuffle(deliveries)
    for body in deliveries:
        await backend.send(body)
    await start_worker()
    await start_worker()
    await require_survived(*accepted)
    rows = await backend.owner.fetch("select prediction_id from outbox where destination = 'events'")
    assert set(Counter(row["prediction_id"] for row in rows).values()) == {1}


async def test_the_database_restarted_in_mid_job(
    backend, proxy, start_worker, require_survived, postgres_server, database
):
    held_up = proxy.add(STAGES["storing"].format(bucket=backend.aws.bucket), "delay", delay_seconds=2.0)
    await start_worker(AWS_ENDPOINT_URL=proxy.url)
    prediction_id = await backend.accept(CONTENT)
    await asyncio.wait_for(held_up.hit.wait(), 30)
    await postgres_server.stop()
    await postgres_server.start()
    backend.reconnect(await asyncpg.connect(database.owner))
    await require_survived(prediction_id)
