"""The release before works on this schema: its own queries, word for word, from upload to result.

`release_0002` holds the queries of the services that were released with the revision before this one.
"""

import uuid
from pathlib import Path

import aiosql
import pytest

RELEASE = Path(__file__).parent / "release_0002"


@pytest.fixture
def api(connections):
    """The queries of the API, on its own connection."""
    return Released("producer_api", connections["producer"])


@pytest.fixture
def worker(connections):
    """The queries of the worker, on its own connection."""
    return Released("consumer_worker", connections["worker"])


class Released:
    """The queries of one service, on a connection with its rights."""

    def __init__(self, service, connection):
        self._queries = aiosql.from_path(RELEASE / f"{service}.sql", "asyncpg")
        self._connection = connection

    def __getattr__(self, name):
        def run(**values):
            return getattr(self._queries, name)(self._connection, **values)

        return run


@pytest.fixture
def accept(api, worker, owner):
    """Accept a file and send its message as the API did; return what a worker's claim says of it."""

    async def run(tenant_id="acme"):
        upload_id, prediction_id = uuid.uuid4(), uuid.uuid4()
        key = f"uploads/{tenant_id}/{upload_id}.csv"
        await api.insert_upload(
            upload_id=upload_id,
            tenant_id=tenant_id,
            bucket="files",
            object_key=key,
            version_id=None,
            file_name="customers.csv",
            size_bytes=3,
            sha256="a" * 64,
        )
        await api.insert_prediction(
            prediction_id=prediction_id,
            tenant_id=tenant_id,
            upload_id=upload_id,
            model_name="telco-churn",
            model_version="1.0.0",
            requested_at=await owner.fetchval("select now()"),
            deadline=None,
        )
        await api.insert_message(
            destination="predictions",
            message_id=uuid.uuid4(),
            message_type="t",
            prediction_id=prediction_id,
            tenant_id=tenant_id,
            traceparent=None,
            body="{}",
        )
        sent = [row async for row in api.lock_unsent_messages(destination="predictions", at_most=10)]
        assert [row["prediction_id"] for row in sent] == [prediction_id]
        await api.mark_messages_sent(outbox_ids=[row["outbox_id"] for row in sent])
        await api.mark_predictions_queued(prediction_ids=[prediction_id], sqs_message_ids=["1"])
        return {
            "prediction_id": prediction_id,
            "tenant_id": tenant_id,
            "bucket": "files",
            "object_key": key,
            "version_id": None,
            "size_bytes": 3,
            "sha256": "a" * 64,
            "model_name": "telco-churn",
            "model_version": "1.0.0",
        }

    return run


@pytest.fixture
def claim(worker):
    async def run(request):
        row = await worker.claim_prediction(
            **request, lease_token=uuid.uuid4(), lease_owner="w", lease_seconds=60
        )
        return {"prediction_id": request["prediction_id"], "fence": row["fence"]}

    return run


async def test_result_is_reached(api, worker, accept, claim, read_events, owner):
    request = await accept()
    held = await claim(request)
    assert await worker.renew_lease(**held, lease_seconds=60)
    assert await worker.release_prediction(**held, interrupted=False, retry_reason="r", retry_seconds=0)
    held = await claim(request)
    assert await worker.complete_prediction(
        **held, rows_total=1, rows_scored=1, rows_rejected=0, summary="{}", result='{"files": []}'
    )
    await worker.insert_event(
        message_id=uuid.uuid4(),
        message_type="t",
        prediction_id=request["prediction_id"],
        tenant_id="acme",
        traceparent=None,
        body="{}",
    )
    read = await api.read_prediction(prediction_id=request["prediction_id"], tenant_id="acme")
    assert (read["status"], read["attempt"], read["rows_scored"]) == ("COMPLETED", 2, 1)
    found = [row async for row in worker.find_finished(prediction_ids=[request["prediction_id"]])]
    assert [row["result"] for row in found] == ['{"files": []}']
    sent = [row async for row in api.lock_unsent_messages(destination="events", at_most=10)]
    await api.mark_messages_sent(outbox_ids=[row["outbox_id"] for row in sent])
    assert await api.purge_messages(sent_seconds_ago=-1, at_most=10) == "DELETE 2"
    kinds = [kind for kind, _ in await read_events(request["prediction_id"])]
    assert kinds == ["queued", "running", "retrying", "running", "completed"]


async def test_failure_is_reached(worker, accept, claim, read_events):
    request = await accept()
    held = await claim(request)
    assert await worker.end_prediction(**held, status="FAILED", failure='{"code": "no_rows"}')
    assert (await read_events(request["prediction_id"]))[-1] == ("failed", {"code": "no_rows"})


async def test_outages_and_parked_and_lost_messages_are_survived(worker, accept, claim, read_events, owner):
    request = await accept()
    prediction_id = request["prediction_id"]
    await worker.mark_parked(prediction_id=prediction_id, tenant_id="acme")
    held = await claim(request)
    token = await owner.fetchval("select lease_token from predictions")
    await worker.release_orphaned_claims(prediction_ids=[prediction_id], lease_tokens=[token])
    parked = await worker.lock_parked_prediction(**request, silent_seconds=-1)
    assert (parked["fence"], parked["failed_attempts"]) == (held["fence"], 0)
    await worker.send_again(prediction_id=prediction_id)
    assert await owner.fetchval("select sent_at from outbox") is None
    await owner.execute("update outbox set sent_at = now()")
    lost = worker.requeue_lost_predictions(
        queue_is_empty=True, lost_seconds=-1, retention_seconds=9, max_doublings=5, at_most=9
    )
    assert [row["prediction_id"] async for row in lost] == [prediction_id]
    await owner.execute("update predictions set deadline = now()")
    overdue = [row async for row in worker.find_overdue_predictions(at_most=9)]
    assert [row["prediction_id"] for row in overdue] == [prediction_id]
    await worker.end_prediction(**overdue[0], status="EXPIRED", failure=None)
    kinds = [kind for kind, _ in await read_events(prediction_id)]
    assert kinds == ["queued", "running", "retrying", "expired"]


async def test_every_other_query_of_the_release_before_still_runs(api, worker, accept, claim):
    request = await accept()
    ids = {"prediction_ids": [request["prediction_id"]]}
    assert await worker.probe_database()
    assert [row async for row in worker.find_ended(**ids)] == []
    assert [row async for row in worker.find_unsendable_predictions(silent_seconds=1, at_most=1)] == []
    await worker.give_up_messages(**ids)
    assert (await worker.read_prediction(prediction_id=request["prediction_id"]))["status"] == "QUEUED"
    assert [row async for row in api.find_uploads(upload_ids=[uuid.uuid4()])] == []
    assert (await api.measure_outbox(destination="events"))["unsent"] == 0
    for service in (api, worker):
        assert await service.read_schema_revision() >= "0002"
