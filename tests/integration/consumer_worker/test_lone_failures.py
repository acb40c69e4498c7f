"""A file that alone finds the bucket or the disk unavailable stops nobody else, and has an end."""

import asyncio
import errno
from contextlib import asynccontextmanager

import pytest

from consumer_worker import handler, lone_failures, objects
from consumer_worker.scoring import ScoringLimits
from consumer_worker.scratch import attempt_folder, scratch_errors
from retainwise_contracts.failures import Failure
from tests.integration.consumer_worker.conftest import customers

FILE = customers(20)


@pytest.fixture
def soon(monkeypatch):
    """What takes hours takes a second, and each retry starts at once."""
    monkeypatch.setattr(objects, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(handler, "RETRY_CAP_SECONDS", 0.05)
    monkeypatch.setattr(lone_failures, "FAULT_AFTER_SECONDS", 1.0)


@pytest.fixture
def complete_others(backend):
    """Have other files completed, one after the other, until the prediction has ended; return its row."""

    async def run(prediction_id):
        async with asyncio.timeout(120):
            while not (row := await backend.row(prediction_id))["finished_at"]:
                other = await backend.wait_for(await backend.accept(FILE))
                assert (other["status"], other["attempt"]) == ("COMPLETED", 1)
        return row

    return run


def code(row):
    return Failure.model_validate_json(row["failure"]).code


async def test_object_that_alone_cannot_be_fetched_ends(
    backend, proxy, run_worker_here, monkeypatch, soon, complete_others
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    broken = await backend.accept(FILE, send=0)
    key, body = await backend.owner.fetchrow("select object_key, body from uploads, outbox")
    proxy.add(f"GET /{backend.aws.bucket}/{key}", "refuse", times=100_000)
    async with run_worker_here(visibility_timeout_seconds=20) as (consumer, _):
        await backend.send(body)
        resend = asyncio.create_task(_send_again(backend, body))
        row = await complete_others(broken)
        resend.cancel()
        assert consumer.unavailable == {}
    assert (row["status"], code(row), row["attempt"]) == ("FAILED", "attempts_exhausted", 1)


async def _send_again(backend, body):
    """Stand in for the reconciler, which sends again what SQS has parked."""
    while True:
        await asyncio.sleep(1)
        await backend.send(body)


async def test_file_that_alone_fills_the_disk_ends(
    backend, run_worker_here, monkeypatch, soon, complete_others
):
    broken = await backend.accept(customers(50), send=0)
    body = await backend.owner.fetchval("select body from outbox")
    download = objects.Objects.download

    async def fill(self, upload, destination):
        with scratch_errors():
            if upload.size_bytes > len(FILE):
                raise OSError(errno.ENOSPC, "No space left on device")
        await download(self, upload, destination)

    monkeypatch.setattr(objects.Objects, "download", fill)
    async with run_worker_here(visibility_timeout_seconds=20):
        await backend.send(body)
        resend = asyncio.create_task(_send_again(backend, body))
        row = await complete_others(broken)
        resend.cancel()
    assert (row["status"], code(row)) == ("FAILED", "file_too_large")


@pytest.mark.parametrize("limit", ["disk", "scoring"])
async def test_file_larger_than_the_disk_or_the_limit_is_not_fetched(
    backend, run_worker_here, monkeypatch, limit
):
    if limit == "disk":
        monkeypatch.setattr(handler, "scratch_bytes", lambda _: len(FILE) - 1)
    else:
        limits = ScoringLimits(max_bytes=len(FILE) - 1)
        monkeypatch.setattr(handler, "ScoringLimits", lambda: limits)

    async def never(*_):
        raise AssertionError("it was fetched")

    monkeypatch.setattr(objects.Objects, "download", never)
    async with run_worker_here():
        row = await backend.wait_for(await backend.accept(FILE))
    assert (row["status"], code(row), row["attempt"]) == ("FAILED", "file_too_large", 1)
    assert f"{len(FILE) - 1:,}" in Failure.model_validate_json(row["failure"]).message


async def test_outage_of_the_disk_is_waited_for_while_others_wait_too(
    backend, run_worker_here, monkeypatch, soon
):
    full = True

    @asynccontextmanager
    async def fill(scratch):
        with scratch_errors():
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
        async with attempt_folder(scratch) as folder:
            yield folder

    monkeypatch.setattr("consumer_worker.handler.attempt_folder", fill)
    async with run_worker_here() as (consumer, _):
        accepted = [await backend.accept(FILE) for _ in range(3)]
        async with asyncio.timeout(30):
            while not consumer.unavailable:
                await asyncio.sleep(0.02)
        await asyncio.sleep(2 * lone_failures.FAULT_AFTER_SECONDS)
        full = False
        rows = [await backend.wait_for(prediction_id) for prediction_id in accepted]
    assert [(row["status"], row["attempt"]) for row in rows] == [("COMPLETED", 1)] * 3
