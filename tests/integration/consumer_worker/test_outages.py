"""An outage costs time, never work: no attempt is spent, nothing is parked, all is COMPLETED afterwards."""

import asyncio
import errno
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from consumer_worker import objects, resources, store
from consumer_worker.errors import DatabaseUnavailable
from consumer_worker.resources import open_store
from consumer_worker.scratch import attempt_folder, scratch_errors
from consumer_worker.store import Store
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.prediction_finished import PredictionCompletedV1, PredictionFailedV1
from tests.conftest import figure
from tests.integration.consumer_worker.conftest import customers

WAITING = 40
FILE = customers(20)


@pytest.fixture
def quick_retries(monkeypatch):
    """What is repeated in place is given up soon, so that the breakers have their turn."""
    for module, name in (
        (objects, "RETRY_SECONDS"),
        (store, "CLAIM_RETRY_SECONDS"),
        (store, "RESULT_RETRY_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.2)


@pytest.fixture
async def database_switch(database, postgres_server):
    """Has the database refuse the worker, as a server that is restarted or has no connection left."""
    name = database.worker.rpartition("/")[2]
    administrator = await asyncpg.connect(postgres_server.dsn())

    async def switch(*, on):
        await administrator.execute(f"alter database {name} allow_connections {'true' if on else 'false'}")
        await administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = $1 and usename = 'consumer_worker'",
            name,
        )

    yield switch
    await administrator.close()


@pytest.fixture
def require_all_completed(backend):
    async def check(accepted):
        for prediction_id in accepted:
            row = await backend.wait_for(prediction_id)
            assert (row["status"], row["attempt"], row["crashes"]) == ("COMPLETED", 1, 0)
            assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
        assert await backend.messages(backend.aws.dlq_url) == (0, 0)

    return check


async def wait_until(condition, timeout=30):
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


async def test_all_are_completed_after_an_outage_of_the_database(
    backend, run_worker_here, database_switch, quick_retries, require_all_completed
):
    async with run_worker_here(visibility_timeout_seconds=20) as (consumer, _):
        await backend.wait_for(await backend.accept(FILE))
        await database_switch(on=False)
        accepted = [await backend.accept(FILE) for _ in range(WAITING)]
        await wait_until(lambda: consumer.unavailable)
        assert set(consumer.unavailable) == {"database"}
        await asyncio.sleep(6)  # several times what the receives of a message would have lasted
        assert set(consumer.unavailable) == {"database"}
        await backend.wait_for_messages(backend.aws.queue_url, WAITING, 0)
        await database_switch(on=True)
        await require_all_completed(accepted)
        assert consumer.unavailable == {}


async def test_all_are_completed_after_an_outage_of_the_bucket(
    backend, proxy, run_worker_here, monkeypatch, quick_retries, require_all_completed
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    async with run_worker_here(visibility_timeout_seconds=20) as (consumer, _):
        refused = proxy.add(f" /{backend.aws.bucket}", "refuse", times=100_000)
        accepted = [await backend.accept(FILE) for _ in range(WAITING)]
        await wait_until(lambda: consumer.unavailable)
        assert set(consumer.unavailable) == {"bucket"}
        await backend.wait_for_messages(backend.aws.queue_url, WAITING, 0)
        await asyncio.sleep(3)
        proxy.faults.remove(refused)
        await require_all_completed(accepted)
        rows = await backend.owner.fetch("select distinct fence >= 1 as claimed from predictions")
        assert [row["claimed"] for row in rows] == [True]


async def test_outage_that_the_probe_does_not_see_spends_no_attempt(
    backend, proxy, run_worker_here, monkeypatch, quick_retries, require_all_completed
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    async with run_worker_here(visibility_timeout_seconds=20) as (consumer, _):
        refused = proxy.add(f"PUT /{backend.aws.bucket}/results", "refuse", times=100_000)
        accepted = [await backend.accept(FILE) for _ in range(4)]
        await wait_until(lambda: consumer.unavailable)
        await asyncio.sleep(3)
        proxy.faults.remove(refused)
        await require_all_completed(accepted)


async def test_full_disk_makes_the_worker_unready_until_there_is_room(
    backend, run_worker_here, monkeypatch, require_all_completed
):
    full = True

    @asynccontextmanager
    async def fill(scratch):
        with scratch_errors():
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
        async with attempt_folder(scratch) as folder:
            yield folder

    def probe(_file, _offset, _size):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("consumer_worker.handler.attempt_folder", fill)
    monkeypatch.setattr("os.posix_fallocate", probe)
    async with run_worker_here() as (consumer, _):
        accepted = [await backend.accept(FILE) for _ in range(4)]
        await wait_until(lambda: consumer.unavailable)
        assert not consumer.ready
        assert consumer.unavailable == {"scratch": "scratch_full: No space left on device"}
        full = False
        await require_all_completed(accepted)
        assert consumer.ready


async def test_removed_scratch_folder_spends_no_attempt(backend, run_worker_here, require_all_completed):
    async with run_worker_here() as (consumer, opened):
        moved = opened.scratch.rename(opened.scratch.with_name("moved"))
        accepted = [await backend.accept(FILE) for _ in range(4)]
        await wait_until(lambda: consumer.unavailable)
        assert consumer.unavailable == {"scratch": "scratch_unusable: No such file or directory"}
        moved.rename(opened.scratch)
        await require_all_completed(accepted)


@pytest.mark.parametrize(
    ("method", "content", "status", "event"),
    [
        ("_claim", FILE, "COMPLETED", PredictionCompletedV1.TYPE),
        ("_complete", FILE, "COMPLETED", PredictionCompletedV1.TYPE),
        ("_end_claimed", b"id,colour\n1,red\n", "FAILED", PredictionFailedV1.TYPE),
    ],
)
async def test_lost_answer_costs_nothing(
    backend, run_worker_here, monkeypatch, method, content, status, event
):
    asked = lose_answers(monkeypatch, method, answers=1)
    # The watch for cancellations would find the ended row before the second request does.
    monkeypatch.setattr("consumer_worker.handler.CANCELLATION_CHECK_SECONDS", 600.0)
    async with run_worker_here(visibility_timeout_seconds=60):
        prediction_id = await backend.accept(content)
        row = await backend.wait_for(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert len(asked) == 2
    assert (row["status"], row["fence"], row["attempt"], row["crashes"]) == (status, 1, 1, 0)
    assert await backend.events(prediction_id) == [event]


async def test_lost_answer_to_a_release_counts_the_attempt_once(backend, run_worker_here, monkeypatch):
    asked = lose_answers(monkeypatch, "_release", answers=1)
    async with run_worker_here(max_attempts=2, visibility_timeout_seconds=60):
        prediction_id = await backend.accept(FILE, model="telco-churn@9.9.9")
        row = await backend.wait_for(prediction_id)
    assert len(asked) == 2
    assert (row["status"], row["attempt"]) == ("FAILED", 2)


async def test_claim_whose_answers_are_all_lost_is_released_by_the_probe(
    backend, run_worker_here, monkeypatch, quick_retries
):
    lose_answers(monkeypatch, "_claim", answers=5)
    async with run_worker_here(visibility_timeout_seconds=300):  # nothing here waits for a lease to expire
        prediction_id = await backend.accept(FILE)
        row = await backend.wait_for(prediction_id)
    assert (row["status"], row["attempt"], row["crashes"]) == ("COMPLETED", 1, 0)
    assert row["fence"] > 1


def lose_answers(monkeypatch, method, answers):
    """Have a method of the store take effect and then raise, so often; returns the list of its calls."""
    calls = []
    act = getattr(Store, method)

    async def act_and_lose(self, *args, **options):
        calls.append(args)
        result = await act(self, *args, **options)
        if len(calls) <= answers:
            raise DatabaseUnavailable("the connection was closed in the middle of operation")
        return result

    monkeypatch.setattr(Store, method, act_and_lose)
    return calls


async def test_work_of_a_killed_worker_starts_again_within_its_lease_at_the_next_receive(
    backend, start_worker, scoring_begun, run_worker_here, record_property
):
    lease = 4
    worker = await start_worker(
        hold_seconds=60, VISIBILITY_TIMEOUT_SECONDS=str(lease), MAX_CONCURRENT_MESSAGES="1"
    )
    # One is scored, the other waits: without a free place the worker leaves no poll behind, to which the
    # emulator would go on giving messages.
    accepted = [await backend.accept(FILE), await backend.accept(FILE)]
    await scoring_begun()
    await backend.wait_for_messages(backend.aws.queue_url, 0, 2)
    with capture_logs() as logs:
        async with run_worker_here(visibility_timeout_seconds=lease):
            await asyncio.sleep(lease)  # the first worker's heartbeat has extended both
            worker.kill()
            await worker.wait()
            killed_at = time.monotonic()
            rows = [await backend.wait_for(prediction_id) for prediction_id in accepted]
            record_property(*figure(f"{time.monotonic() - killed_at:.1f} s with a lease of {lease} s"))
            await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    ends = [(row["status"], row["fence"], row["attempt"], row["crashes"]) for row in rows]
    assert sorted(ends) == [("COMPLETED", 1, 1, 0), ("COMPLETED", 2, 1, 1)]
    ended = [line for line in logs if line["event"] == "message_ended"]
    assert [(line["state"], line["receive_count"]) for line in ended] == [("deleted", 2)] * 2


async def test_last_receive_of_a_message_fails_nothing(backend, run_worker_here, run_reconciler_here):
    prediction_id = await backend.accept(FILE, send=0)
    body = await backend.owner.fetchval("select body from outbox where prediction_id = $1", prediction_id)
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=body)
    await run_reconciler_here()
    unsent = await backend.owner.fetchval("select sent_at is null from outbox")
    assert unsent
    assert await backend.messages(backend.aws.dlq_url) == (0, 0)
    row = await backend.row(prediction_id)
    assert (row["status"], row["attempt"], row["failure"]) == ("QUEUED", 0, None)
    assert FailureCode.ATTEMPTS_EXHAUSTED not in str(row)


async def test_locks_of_a_vanished_host_do_not_outlive_it(database, worker_settings, backend, monkeypatch):
    """Its connection stays open, in a transaction that has completed a prediction and is never committed."""
    monkeypatch.setattr(resources, "IDLE_TRANSACTION_SECONDS", 0.5)
    prediction_id = await backend.accept(FILE)
    async with open_store(worker_settings()) as vanished:
        connection = await vanished._pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "update predictions set lease_until = null where prediction_id = $1", prediction_id
        )
        survivor = await asyncpg.connect(database.worker)
        try:
            await survivor.execute(
                "update predictions set lease_until = null where prediction_id = $1",
                prediction_id,
                timeout=20,
            )
        finally:
            await survivor.close()
        with pytest.raises(DatabaseUnavailable):
            async with vanished._connection():
                await transaction.commit()
