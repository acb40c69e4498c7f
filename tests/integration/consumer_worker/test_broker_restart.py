"""The broker goes down with messages in the queue and in flight, and comes back with all of them."""

import asyncio

import pytest

from tests.integration.consumer_worker.conftest import FAULTY_RUN


@pytest.fixture
def emulator(durable_emulator):
    """In place of the session's: one that keeps its state, as SQS and S3 do."""
    return durable_emulator


async def test_worker_survives_a_restart_of_the_broker(
    backend, emulator, proxy, run_worker_here, require_survived, monkeypatch
):
    fetching = proxy.add(f"GET /{backend.aws.bucket}/uploads/", "delay", delay_seconds=1.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    async with run_worker_here(max_concurrent_messages=1):
        accepted = [await backend.accept(FAULTY_RUN) for _ in range(4)]
        await asyncio.wait_for(fetching.hit.wait(), 30)
        await emulator.stop()
        await asyncio.sleep(1)
        await emulator.start()
        await require_survived(*accepted)
