"""A customer sees how far a file has come; the attempt neither waits for that nor depends on it."""

import asyncio
import threading

import pytest

from consumer_worker.resources import open_store
from consumer_worker.scoring import score_file
from consumer_worker.store import Claim, Store
from tests.integration.consumer_worker.conftest import customers

FILE = customers(20)


@pytest.fixture
def scoring(monkeypatch):
    """Scoring that shows what progress the test tells it to, and goes on when the test says so."""
    held = HeldScoring()
    monkeypatch.setattr("consumer_worker.handler.score_file", held)
    yield held
    held.go_on.set()


class HeldScoring:
    """Takes the place of `score_file`."""

    def __init__(self):
        self.go_on = threading.Event()
        self.progress = None

    def __call__(self, *args, progress, **options):
        self.progress = progress
        self.go_on.wait(60)
        return score_file(*args, **options)

    async def show(self, rows, expected_rows):
        async with asyncio.timeout(60):
            while self.progress is None:
                await asyncio.sleep(0.02)
        self.progress.expected_rows, self.progress.rows = expected_rows, rows


async def test_progress_is_stored_while_a_file_is_scored(backend, run_worker_here, scoring):
    async def wait_for_progress(*wanted):
        async with asyncio.timeout(30):
            while True:
                row = await backend.row(prediction_id)
                if (row["progress_rows"], row["progress_total"]) == wanted:
                    return
                await asyncio.sleep(0.02)

    async with run_worker_here():
        prediction_id = await backend.accept(FILE)
        await scoring.show(10, 40)
        await wait_for_progress(10, 40)
        await scoring.show(15, 30)
        await wait_for_progress(15, 30)
        scoring.go_on.set()
        assert (await backend.wait_for(prediction_id))["status"] == "COMPLETED"
    assert await backend.history(prediction_id) == ["queued", "running", "progress", "progress", "completed"]


async def test_attempt_goes_on_when_its_progress_cannot_be_stored(
    backend, run_worker_here, scoring, monkeypatch
):
    asked = asyncio.Event()

    async def fail(*_, **__):
        asked.set()
        raise OSError("no database for this")

    monkeypatch.setattr(Store, "report_progress", fail)
    async with run_worker_here():
        prediction_id = await backend.accept(FILE)
        await scoring.show(10, 20)
        await asyncio.wait_for(asked.wait(), 30)
        scoring.go_on.set()
        row = await backend.wait_for(prediction_id)
    assert (row["status"], row["attempt"], row["progress_rows"]) == ("COMPLETED", 1, None)


async def test_attempt_does_not_wait_for_its_progress_to_be_stored(
    backend, run_worker_here, scoring, monkeypatch
):
    asked = asyncio.Event()

    async def hang(*_, **__):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Store, "report_progress", hang)
    async with run_worker_here():
        prediction_id = await backend.accept(FILE)
        await scoring.show(10, 20)
        await asyncio.wait_for(asked.wait(), 30)
        scoring.go_on.set()
        assert (await backend.wait_for(prediction_id))["status"] == "COMPLETED"


async def test_progress_of_an_overtaken_worker_is_not_stored(backend, worker_settings):
    prediction_id = await backend.accept(FILE, send=0)
    await backend.owner.execute(
        "update predictions set status = 'RUNNING', fence = 2, attempt = 1, started_at = now(),"
        " lease_owner = 'w', lease_until = now() + interval '1 minute'"
    )
    async with open_store(worker_settings()) as store:
        for fence, stored in ((1, None), (2, 7)):
            claim = Claim(prediction_id, fence=fence, attempt=1, token=prediction_id)
            await store.report_progress(claim, rows=7, expected_rows=9)
            assert (await backend.row(prediction_id))["progress_rows"] == stored
