"""A prediction that is cancelled stops soon, at whatever stage it is, and leaves nothing to do."""

import asyncio

import pytest

from tests.conftest import figure
from tests.integration.consumer_worker.conftest import customers

STAGES = {
    "fetching": "GET /{bucket}/uploads/",
    "storing": "PUT /{bucket}/results/",
    "storing in parts": "POST /{bucket}/results/",
}
"""The first request of each stage, which is held until long after the test."""


@pytest.mark.parametrize("stage", STAGES)
async def test_prediction_cancelled_while_s3_is_slow_stops_at_once(
    backend, proxy, run_worker_here, monkeypatch, record_property, stage
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    if stage == "storing in parts":
        monkeypatch.setattr("consumer_worker.objects.PART_BYTES", 64)
    held = proxy.add(STAGES[stage].format(bucket=backend.aws.bucket), "delay", delay_seconds=600)
    async with run_worker_here(visibility_timeout_seconds=60):
        prediction_id = await backend.accept(customers(20))
        await asyncio.wait_for(held.hit.wait(), 60)
        await backend.cancel(prediction_id)
        cancelled_at = asyncio.get_running_loop().time()
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
        seconds = asyncio.get_running_loop().time() - cancelled_at
        record_property(*figure(f"{stage}: message gone {seconds:.2f} s after it was cancelled"))
    assert (await backend.row(prediction_id))["status"] == "CANCELLED"
    assert await backend.history(prediction_id) == ["queued", "running", "cancelled"]
    assert await backend.objects() == []


async def test_prediction_cancelled_before_it_began_is_not_scored(backend, run_worker_here):
    prediction_id = await backend.accept(customers(20))
    await backend.cancel(prediction_id)
    async with run_worker_here():
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert await backend.history(prediction_id) == ["queued", "cancelled"]
    assert await backend.objects() == []
