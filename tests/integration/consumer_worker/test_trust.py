"""A message is believed only as far as its row says the same."""

import json
import uuid
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.integration.consumer_worker.conftest import customers


@pytest.fixture
async def real(backend):
    """A real prediction that waits for its message, and that message."""
    prediction_id = await backend.accept(customers(3), send=0)
    return prediction_id, await backend.owner.fetchval("select body from outbox")


FORGERIES: dict[str, dict[str, Any]] = {
    "tenant_id": {"tenant_id": "globex"},
    "bucket": {"upload": {"bucket": "others"}},
    "object_key": {"upload": {"key": "uploads/globex/1.csv"}},
    "version_id": {"upload": {"version_id": "7"}},
    "size_bytes": {"upload": {"size_bytes": 4}},
    "sha256": {"upload": {"sha256": "0" * 64}},
    "model_name": {"model": {"name": "another"}},
    "model_version": {"model": {"version": "9.9.9"}},
    "mapping": {"mapping": {"tenure": "TotalCharges"}},
    "options": {"options": {"confirmed": ["tenure"]}},
    "a value that no row can hold": {"upload": {"size_bytes": 10**30}},
}


@pytest.mark.parametrize("field", FORGERIES)
async def test_forged_request_is_parked_and_its_row_untouched(backend, run_worker_here, real, field):
    prediction_id, body = real
    before = await backend.row(prediction_id)
    forged = json.loads(body)
    for name, value in FORGERIES[field].items():
        if isinstance(value, dict):
            forged["data"][name] |= value
        else:
            forged["data"][name] = value
    with capture_logs() as logs:
        async with run_worker_here(visibility_timeout_seconds=60):
            await backend.send(json.dumps(forged))
            await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
            assert await backend.row(prediction_id) == before
            await backend.send(body)
            row = await backend.wait_for(prediction_id)
    assert (row["status"], row["fence"], row["attempt"]) == ("COMPLETED", 1, 1)
    got = await backend.sqs.receive_message(QueueUrl=backend.aws.dlq_url, MessageAttributeNames=["All"])
    reason = got["Messages"][0]["MessageAttributes"]["deadletterreason"]["StringValue"]
    assert reason == f"ForgedRequest: {field} is not the prediction's"
    (line,) = (line for line in logs if line["event"] == "request_forged")
    assert (line["log_level"], line["field"]) == ("error", field)
    assert await backend.objects("results/globex/") == []


async def test_request_is_scored_by_the_deadline_of_its_row(backend, run_worker_here, real):
    prediction_id, body = real
    forged = json.loads(body)
    forged["data"]["deadline"] = "2001-01-01T00:00:00Z"
    async with run_worker_here():
        await backend.send(json.dumps(forged))
        assert (await backend.wait_for(prediction_id))["status"] == "COMPLETED"


@pytest.mark.parametrize(
    "stored",
    [
        "mapping = null, options = null",  # by a release that stored neither
        """options = options - 'currency' - 'confirmed'""",  # by an older one, without these options
        """options = options || '{"colour": "red"}'""",  # by a newer one
    ],
)
async def test_request_of_another_release_is_no_forgery(backend, run_worker_here, real, stored):
    prediction_id, body = real
    await backend.owner.execute(f"update predictions set {stored}")
    async with run_worker_here():
        await backend.send(body)
        assert (await backend.wait_for(prediction_id))["status"] == "COMPLETED"


async def test_option_that_the_row_lacks_is_its_default(backend, run_worker_here, real):
    prediction_id, body = real
    await backend.owner.execute("update predictions set options = options - 'confirmed'")
    async with run_worker_here():
        await backend.send(body.replace('"confirmed":[]', '"confirmed":["tenure"]'))
        await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
    assert (await backend.row(prediction_id))["status"] == "QUEUED"


async def test_unreadable_message_of_somebody_else_parks_no_prediction(backend, run_worker_here, real):
    prediction_id, body = real
    forged = json.loads(body) | {"id": str(uuid.uuid4()), "type": "retainwise.prediction.requested.v9"}
    async with run_worker_here():
        await backend.send(json.dumps(forged))
        await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
    assert (await backend.row(prediction_id))["parked_at"] is None


async def test_forged_request_does_not_stop_the_work_it_names(backend, run_worker_here, real):
    prediction_id, body = real
    await backend.owner.execute(
        "update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now(),"
        " lease_owner = 'w', lease_token = $1, lease_until = now() + interval '1 minute'",
        uuid.uuid4(),
    )
    before = await backend.row(prediction_id)
    async with run_worker_here():
        await backend.send(body.replace('"acme"', '"globex"'))
        await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
    assert await backend.row(prediction_id) == before
