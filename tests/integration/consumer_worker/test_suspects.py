"""What may have killed its worker is tried apart from others, and not a third time."""

import json
import uuid

import pytest

from consumer_worker.handler import MAX_CRASHES
from consumer_worker.isolation import ScoringProcessDied, score_in_child
from retainwise_contracts.failures import FailureCode
from tests.integration.consumer_worker.conftest import customers


@pytest.fixture
def leave_to_a_dead_worker(backend):
    """Have a prediction held under a lease that has expired, after so many crashes."""

    async def leave(prediction_id, *, crashes=0):
        await backend.owner.execute(
            "update predictions set status = 'RUNNING', fence = 1, attempt = 1, crashes = $2,"
            " started_at = now(), lease_owner = 'dead', lease_token = $3,"
            " lease_until = now() - interval '1 second' where prediction_id = $1",
            *(prediction_id, crashes, uuid.uuid4()),
        )
        body = await backend.owner.fetchval(
            "select body from outbox where prediction_id = $1 and destination = 'predictions'", prediction_id
        )
        await backend.send(body)

    return leave


async def test_innocent_suspect_is_scored_in_a_child(
    backend, run_worker_here, leave_to_a_dead_worker, monkeypatch
):
    alone = []

    async def note(*args):
        alone.append(args)
        return await score_in_child(*args)

    monkeypatch.setattr("consumer_worker.scoring_pool.score_in_child", note)
    prediction_id, other = await backend.accept(customers(30), send=0), await backend.accept(customers(30))
    await leave_to_a_dead_worker(prediction_id)
    async with run_worker_here():
        row = await backend.wait_for(prediction_id)
        other_row = await backend.wait_for(other)
    assert (row["status"], row["attempt"], row["crashes"], row["fence"]) == ("COMPLETED", 1, 1, 2)
    assert (other_row["status"], other_row["crashes"]) == ("COMPLETED", 0)
    assert len(alone) == 1


async def test_prediction_fails_when_its_child_dies_too(
    backend, run_worker_here, leave_to_a_dead_worker, monkeypatch
):
    async def die(*_):
        raise ScoringProcessDied("it was killed by SIGSEGV")

    monkeypatch.setattr("consumer_worker.scoring_pool.score_in_child", die)
    poison = await backend.accept(customers(30), send=0)
    neighbours = [await backend.accept(customers(30)) for _ in range(3)]
    await leave_to_a_dead_worker(poison)
    async with run_worker_here():
        row = await backend.wait_for(poison)
        rows = [await backend.wait_for(neighbour) for neighbour in neighbours]
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    failure = json.loads(row["failure"])
    assert (row["status"], failure["code"], failure["fault"]) == (
        "FAILED",
        FailureCode.WORKER_CRASHED,
        "system",
    )
    assert [(each["status"], each["attempt"]) for each in rows] == [("COMPLETED", 1)] * 3


async def test_prediction_fails_after_the_last_crash(backend, run_worker_here, leave_to_a_dead_worker):
    prediction_id = await backend.accept(customers(30), send=0)
    await leave_to_a_dead_worker(prediction_id, crashes=MAX_CRASHES - 1)
    async with run_worker_here():
        row = await backend.wait_for(prediction_id)
    assert (row["status"], json.loads(row["failure"])["code"]) == ("FAILED", FailureCode.WORKER_CRASHED)
    assert row["crashes"] == MAX_CRASHES
