"""What a worker that dies, stops or is overtaken leaves behind: nothing lost, nothing done twice."""

import asyncio
import json
import signal
import time
import uuid
from typing import Any

import asyncpg
import pytest

from consumer_worker.scoring import ScoringCancelled, score_file
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.store import Claim, FenceLost, Store
from retainwise_contracts.codec import decode
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_finished import PredictionCompletedV1, ResultLocation
from retainwise_contracts.status import PredictionStatus
from tests.conftest import figure
from tests.integration.consumer_worker.conftest import customers


async def test_another_worker_finishes_when_one_is_killed_in_mid_score(backend, start_worker, scoring_begun):
    first = await start_worker(hold_seconds=60)
    prediction_id = await backend.accept(customers(300))
    await scoring_begun()
    first.send_signal(signal.SIGKILL)
    await first.wait()
    claimed = await backend.row(prediction_id)
    assert (claimed["status"], claimed["fence"]) == ("RUNNING", 1)
    await start_worker()
    row = await backend.wait_for(prediction_id)
    assert (row["status"], row["fence"], row["attempt"], row["crashes"]) == ("COMPLETED", 2, 1, 1)
    assert row["rows_total"] == 300
    result = ResultLocation.model_validate_json(row["result"])
    assert all("/2/" in file.key for file in result.files)
    assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]
    await backend.wait_for_messages(backend.aws.queue_url, 0, 0)


async def test_stopped_worker_finishes_what_runs_and_releases_what_waits(
    backend, start_worker, scoring_begun
):
    accepted = [await backend.accept(customers(300)) for _ in range(3)]
    worker = await start_worker(
        hold_seconds=1.5, MAX_CONCURRENT_MESSAGES="1", VISIBILITY_TIMEOUT_SECONDS="60"
    )
    await scoring_begun()
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 20) == 0
    rows = [await backend.row(prediction_id) for prediction_id in accepted]
    assert sorted(row["status"] for row in rows) == ["COMPLETED", "QUEUED", "QUEUED"]
    assert await backend.messages(backend.aws.queue_url) == (2, 0)
    await start_worker()
    for prediction_id in accepted:
        assert (await backend.wait_for(prediction_id))["status"] == "COMPLETED"


async def test_second_signal_releases_what_runs_without_losing_an_attempt(
    backend, start_worker, scoring_begun
):
    worker = await start_worker(hold_seconds=60, VISIBILITY_TIMEOUT_SECONDS="60")
    prediction_id = await backend.accept(customers(300))
    await scoring_begun()
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(worker.wait(), 20) == 0
    row = await backend.row(prediction_id)
    assert (row["status"], row["lease_until"], row["attempt"]) == ("RUNNING", None, 0)


async def test_worker_drains_when_side_task_fails(backend, start_worker, scoring_begun, tmp_path):
    worker = await start_worker(
        hold_seconds=1.5, failing=True, MAX_CONCURRENT_MESSAGES="1", VISIBILITY_TIMEOUT_SECONDS="60"
    )
    running = await backend.accept(customers(300))
    await scoring_begun()
    assert await asyncio.wait_for(worker.wait(), 30) == 1
    assert (await backend.row(running))["status"] == "COMPLETED"
    assert await backend.messages(backend.aws.queue_url) == (0, 0)
    lines = [json.loads(line) for line in (tmp_path / "worker-0.log").read_text().splitlines()]
    events = [line["event"] for line in lines]
    failed = lines[events.index("side_task_failed")]
    assert (failed["level"], failed["task"]) == ("critical", "reconciler")
    assert "RuntimeError: the reconciler is broken" in failed["exception"]
    assert (
        events.index("side_task_failed")
        < events.index("consumer_draining")
        < events.index("prediction_ended")
    )
    assert (lines[-1]["event"], lines[-1]["level"]) == ("worker_failed", "critical")
    assert lines[-1]["reason"] == "reconciler: RuntimeError('the reconciler is broken')"


async def test_worker_paused_past_its_lease_cannot_write_its_result(backend, start_worker, scoring_begun):
    paused = await start_worker(hold_seconds=0.5)
    prediction_id = await backend.accept(customers(300))
    await scoring_begun()
    paused.send_signal(signal.SIGSTOP)
    await start_worker()
    row = await backend.wait_for(prediction_id)
    paused.send_signal(signal.SIGCONT)
    assert (row["status"], row["fence"]) == ("COMPLETED", 2)
    paused.send_signal(signal.SIGTERM)  # it finishes what it holds before it leaves
    assert await asyncio.wait_for(paused.wait(), 20) == 0
    await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert await backend.row(prediction_id) == row
    assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]


async def test_job_of_three_visibility_timeouts_is_scored_once(backend, run_worker_here, monkeypatch):
    def slow_score_file(*args, **kwargs):
        time.sleep(6)
        return score_file(*args, **kwargs)

    monkeypatch.setattr("consumer_worker.handler.score_file", slow_score_file)
    async with run_worker_here() as (first, _), run_worker_here() as (second, _):
        assert first.settings.visibility_seconds == second.settings.visibility_seconds == 2
        prediction_id = await backend.accept(customers(10))
        row = await backend.wait_for(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert (row["status"], row["fence"], row["attempt"]) == ("COMPLETED", 1, 1)


async def test_cancelled_prediction_stops_within_a_second(
    backend, run_worker_here, monkeypatch, record_property
):
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless_score_file(*_, cancelled, **__):
        cancelled.wait(30)
        loop.call_soon_threadsafe(stopped.set)
        raise ScoringCancelled

    monkeypatch.setattr("consumer_worker.handler.score_file", endless_score_file)
    async with run_worker_here():
        prediction_id = await backend.accept(customers(10))
        await backend.wait_for(prediction_id, PredictionStatus.RUNNING)
        await backend.cancel(prediction_id)
        cancelled_at = loop.time()
        await asyncio.wait_for(stopped.wait(), 20)
        record_property(*figure(f"stopped {loop.time() - cancelled_at:.2f} s after it was cancelled"))
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert (await backend.row(prediction_id))["status"] == "CANCELLED"


async def test_store_refuses_every_write_of_an_overtaken_claim(backend, run_worker_here):
    async with run_worker_here() as (_, resources):
        prediction_id = await backend.accept(customers(3), model="telco-churn@9.9.9")
        await backend.wait_for(prediction_id, PredictionStatus.RUNNING)
        store: Store = resources.store
        stale = Claim(prediction_id, fence=0, attempt=1, token=uuid.uuid4())
        request: Any = decode(await backend.owner.fetchval("select body from outbox"))
        with pytest.raises(FenceLost):
            await store.renew_lease(stale, 60)
        with pytest.raises(FenceLost):
            await store.release_prediction(stale, retry_reason="x", retry_seconds=0)
        with pytest.raises(FenceLost):
            await store.end_prediction(
                stale,
                request,
                status=PredictionStatus.FAILED,
                failure=Failure.of(FailureCode.INTERNAL_ERROR),
            )


@pytest.mark.parametrize(
    ("write", "model", "status"),
    [
        ("complete_prediction", "telco-churn@1.0.0", "COMPLETED"),
        ("end_prediction", "telco-churn@9.9.9", "FAILED"),
        ("release_prediction", "telco-churn@9.9.9", "FAILED"),
    ],
)
async def test_heartbeat_between_the_last_write_and_its_answer_does_not_stop_the_handler(
    backend, run_worker_here, monkeypatch, write, model, status
):
    """No claim is left to renew then, but nobody has overtaken the worker."""
    written, stopped = asyncio.Event(), []
    original = getattr(Store, write)

    async def write_and_renew(*arguments, **keywords):
        await original(*arguments, **keywords)
        (delivery,) = consumer._deliveries.values()
        await delivery.on_extended(30)
        written.set()

    async def find_none(*_):
        return ()

    async with run_worker_here(max_attempts=2, visibility_timeout_seconds=60) as (consumer, _):
        with monkeypatch.context() as patched:
            patched.setattr(Store, write, write_and_renew)
            patched.setattr(Store, "find_ended", find_none)  # the watch for cancellations would stop it too
            patched.setattr(Delivery, "stop_handler", lambda _, outcome: stopped.append(outcome))
            prediction_id = await backend.accept(customers(3), model=model)
            await asyncio.wait_for(written.wait(), 60)
            row = await backend.wait_for(prediction_id)
    assert row["status"] == status
    assert stopped == []


async def test_reconciler_requeues_a_lost_message(backend, start_worker):
    await start_worker(VISIBILITY_TIMEOUT_SECONDS="2")
    prediction_id = await backend.accept(customers(3), send=0)
    async with asyncio.timeout(30):
        while await backend.owner.fetchval(
            "select sent_at from outbox where prediction_id = $1", prediction_id
        ):
            await asyncio.sleep(0.1)


async def test_reconciler_ends_what_is_overdue(backend, start_worker):
    overdue = await backend.accept(customers(3), send=0)
    await backend.owner.execute("update predictions set deadline = now() - interval '1 second'")
    await start_worker()
    assert (await backend.wait_for(overdue))["status"] == "EXPIRED"
    assert len(await backend.events(overdue)) == 1


async def test_reconciler_leaves_a_prediction_that_will_be_retried_when_its_duplicate_is_parked(
    backend, run_reconciler_here
):
    prediction_id = await backend.accept(customers(3), send=0)
    await backend.owner.execute(
        "update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now(),"
        " retry_reason = 'x', retry_at = now() + interval '4 minutes' where prediction_id = $1",
        prediction_id,
    )
    body = await backend.owner.fetchval("select body from outbox where prediction_id = $1", prediction_id)
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=body)
    await run_reconciler_here()
    assert (await backend.row(prediction_id))["status"] == "RUNNING"
    await backend.wait_for_messages(backend.aws.dlq_url, 0, 1)


async def test_reconciler_fails_a_prediction_that_could_never_be_sent(backend, run_reconciler_here):
    refused, paused = [await backend.accept(customers(3), send=0) for _ in range(2)]
    await backend.owner.execute(
        "update predictions set sqs_message_id = null, sqs_queued_at = null,"
        " requested_at = now() - interval '5 days'"
    )
    await backend.owner.execute("update outbox set sent_at = null")
    await backend.owner.execute("update outbox set attempts = 9 where prediction_id = $1", refused)
    await run_reconciler_here()
    row = await backend.row(refused)
    assert (row["status"], json.loads(row["failure"])["code"]) == ("FAILED", FailureCode.INTERNAL_ERROR)
    assert (await backend.row(paused))["status"] == "QUEUED"
    unsent = await backend.owner.fetch(
        "select prediction_id from outbox where destination = 'predictions' and sent_at is null"
    )
    assert [row["prediction_id"] for row in unsent] == [paused]


async def test_watch_for_cancellations_survives_any_error(backend, run_worker_here, monkeypatch):
    errors = [asyncpg.InternalClientError("cannot switch to state 11"), RuntimeError("anything")]
    find_ended = Store.find_ended

    async def fail_first(self, prediction_ids):
        if errors:
            raise errors.pop()
        return await find_ended(self, prediction_ids)

    def wait_for_cancellation(*_, cancelled, **__):
        cancelled.wait(30)
        raise ScoringCancelled

    monkeypatch.setattr(Store, "find_ended", fail_first)
    monkeypatch.setattr("consumer_worker.handler.score_file", wait_for_cancellation)
    async with run_worker_here():
        prediction_id = await backend.accept(customers(10))
        await backend.wait_for(prediction_id, PredictionStatus.RUNNING)
        async with asyncio.timeout(60):
            while errors:  # or a renewed lease could end the work first
                await asyncio.sleep(0.05)
        await backend.cancel(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)


async def test_reconciler_fails_the_prediction_of_a_parked_message_when_no_attempt_is_left(
    backend, run_reconciler_here
):
    prediction_id = await backend.accept(customers(3), send=0)
    await backend.owner.execute(
        "update predictions set status = 'RUNNING', fence = 5, attempt = 5, started_at = now()"
    )
    body = await backend.owner.fetchval("select body from outbox where prediction_id = $1", prediction_id)
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=body)
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody="unreadable")
    await run_reconciler_here()
    row = await backend.row(prediction_id)
    assert (row["status"], json.loads(row["failure"])["code"]) == ("FAILED", FailureCode.ATTEMPTS_EXHAUSTED)
    await backend.wait_for_messages(backend.aws.dlq_url, 0, 1)
