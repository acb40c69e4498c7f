"""One message through a worker, with a real database, queue and bucket."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from retainwise_contracts.codec import decode
from retainwise_contracts.examples import load_example
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.prediction_finished import PredictionCompletedV1, PredictionFailedV1, ResultLocation
from retainwise_contracts.prediction_requested import PredictionRequestedV1
from retainwise_contracts.results import ResultManifest, Summary
from tests.integration.consumer_worker.conftest import COLUMNS, customers

REQUESTED = PredictionRequestedV1.TYPE


async def test_worker_stores_the_results_that_the_manifest_lists(backend, run_worker_here):
    content = customers(50)
    async with run_worker_here():
        prediction_id = await backend.accept(content)
        row = await backend.wait_for(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert row["status"] == "COMPLETED"
    assert (row["rows_total"], row["rows_scored"], row["rows_rejected"]) == (50, 50, 0)
    assert (row["fence"], row["attempt"], row["lease_until"], row["failure"]) == (1, 1, None, None)
    assert row["sqs_queued_at"] <= row["started_at"] <= row["finished_at"]
    result = ResultLocation.model_validate_json(row["result"])
    assert {file.name for file in result.files} == {
        "scores.parquet",
        "scores.csv",
        "rejected.csv",
        "manifest.json",
    }
    stored = {file.name: await backend.read(file.key) for file in result.files}
    for file in result.files:
        assert hashlib.sha256(stored[file.name]).hexdigest() == file.sha256
        assert file.key.startswith(f"results/acme/{prediction_id}/1/")
    manifest = ResultManifest.model_validate_json(stored["manifest.json"])
    worklist = await backend.read(f"results/acme/{prediction_id}/1/worklist.parquet")
    digests = {file.name: file.sha256 for file in manifest.outputs}
    assert hashlib.sha256(worklist).hexdigest() == digests["worklist.parquet"]
    assert manifest.input.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.prediction_id == prediction_id
    risk = Summary.model_validate_json(row["summary"]).risk_distribution
    assert risk.low + risk.medium + risk.high == 50
    assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]


async def test_log_line_shows_how_long_each_stage_took(backend, run_worker_here):
    with capture_logs() as logs:
        async with run_worker_here():
            prediction_id = await backend.accept(customers(5_000))
            await backend.wait_for(prediction_id)
            await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    (line,) = (line for line in logs if line["event"] == "message_ended")
    stages = ("claim_seconds", "fetching_seconds", "scoring_seconds", "storing_seconds")
    assert all(line[stage] > 0 for stage in stages)
    assert sum(line[stage] for stage in stages) <= line["handling_seconds"]
    assert line["waiting_seconds"] >= 0
    assert line["settling_seconds"] > 0
    assert (line["state"], line["prediction_id"], line["tenant_id"]) == (
        "deleted",
        str(prediction_id),
        "acme",
    )


async def test_worker_scores_once_when_a_message_comes_three_times(backend, run_worker_here):
    async with run_worker_here(visibility_timeout_seconds=10):
        prediction_id = await backend.accept(customers(5_000), send=3)
        row = await backend.wait_for(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert (row["status"], row["fence"]) == ("COMPLETED", 1)
    assert len(await backend.objects()) == 5  # four that the row names, and the worklist
    assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, FailureCode.NOT_A_CSV),
        (",".join(COLUMNS).encode() + b"\n", FailureCode.NO_ROWS),
        (b"id,colour\n1,red\n2,blue\n", FailureCode.REQUIRED_COLUMNS_MISSING),
        (re.sub(rb"C-\d+", b"", customers(4)), FailureCode.TOO_MANY_BAD_ROWS),
    ],
)
async def test_prediction_fails_at_once_when_its_file_cannot_be_scored(
    backend, run_worker_here, content, code
):
    async with run_worker_here():
        prediction_id = await backend.accept(content)
        row = await backend.wait_for(prediction_id)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    failure = json.loads(row["failure"])
    assert (row["status"], failure["code"], failure["fault"]) == ("FAILED", code, "user")
    assert row["attempt"] == 1
    assert await backend.objects() == []
    assert await backend.events(prediction_id) == [PredictionFailedV1.TYPE]


async def test_prediction_fails_when_its_upload_is_missing_or_changed(backend, run_worker_here):
    gone, other = await backend.accept(customers(3)), await backend.accept(customers(4))
    first, second = await backend.objects("uploads/")
    keys = {key: hashlib.sha256(await backend.read(key)).hexdigest() for key in (first, second)}
    rows = await backend.owner.fetch(
        "select prediction_id, object_key from predictions join uploads using (upload_id)"
    )
    key_of = {row["prediction_id"]: row["object_key"] for row in rows}
    assert set(key_of.values()) == set(keys)
    await backend.s3.delete_object(Bucket=backend.aws.bucket, Key=key_of[gone])
    await backend.s3.put_object(Bucket=backend.aws.bucket, Key=key_of[other], Body=customers(4, seed=2))
    async with run_worker_here():
        assert json.loads((await backend.wait_for(gone))["failure"])["code"] == FailureCode.UPLOAD_MISSING
        assert json.loads((await backend.wait_for(other))["failure"])["code"] == FailureCode.UPLOAD_CHANGED


async def test_transient_error_is_retried_until_the_last_attempt(backend, run_worker_here):
    async with run_worker_here(max_attempts=2):
        prediction_id = await backend.accept(customers(3), model="telco-churn@9.9.9")
        waiting = await backend.wait_for(prediction_id, "RUNNING")
        assert waiting["status"] == "RUNNING"
        row = await backend.wait_for(prediction_id)
    assert (row["status"], row["attempt"]) == ("FAILED", 2)
    assert json.loads(row["failure"])["code"] == FailureCode.MODEL_UNAVAILABLE
    assert row["retry_at"] is None


async def test_prediction_expires_unscored_when_its_deadline_has_passed(backend, run_worker_here):
    async with run_worker_here():
        prediction_id = await backend.accept(customers(3), deadline=datetime.now(UTC) - timedelta(seconds=1))
        row = await backend.wait_for(prediction_id)
    assert (row["status"], row["failure"]) == ("EXPIRED", None)
    assert await backend.objects() == []
    assert await backend.events(prediction_id) == [PredictionFailedV1.TYPE]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no json", "MalformedMessage: the body is not JSON"),
        (load_example(REQUESTED).replace("requested.v1", "requested.v2"), "UnsupportedVersion"),
        (load_example(PredictionCompletedV1.TYPE), "UnexpectedMessage"),
    ],
)
async def test_message_is_parked_with_its_reason_when_it_cannot_be_read(
    backend, run_worker_here, body, reason
):
    async with run_worker_here():
        await backend.send(body)
        await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    got = await backend.sqs.receive_message(QueueUrl=backend.aws.dlq_url, MessageAttributeNames=["All"])
    (message,) = got["Messages"]
    assert message["Body"] == body
    assert message["MessageAttributes"]["deadletterreason"]["StringValue"].startswith(reason)


async def test_message_is_retried_first_when_it_has_no_row(backend, run_worker_here):
    async with run_worker_here():
        await backend.send(load_example(REQUESTED))
        await backend.wait_for_messages(backend.aws.queue_url, 0, 1)
        assert await backend.messages(backend.aws.dlq_url) == (0, 0)


async def test_results_are_the_same_bytes_for_the_same_request(backend, run_worker_here):
    content = customers(200)
    async with run_worker_here():
        first = await backend.wait_for(await backend.accept(content))
        second = await backend.wait_for(await backend.accept(content))

    def digests(row):
        files = ResultLocation.model_validate_json(row["result"]).files
        return {file.name: file.sha256 for file in files if file.name != "manifest.json"}

    assert digests(first) == digests(second)


async def test_event_follows_the_contract(backend, run_worker_here):
    async with run_worker_here():
        prediction_id = await backend.accept(customers(10))
        await backend.wait_for(prediction_id)
    body = await backend.owner.fetchval("select body from outbox where destination = 'events'")
    event = decode(body).data
    assert isinstance(event, PredictionCompletedV1)
    assert (event.prediction_id, event.tenant_id, event.rows.total) == (prediction_id, "acme", 10)
