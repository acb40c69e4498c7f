"""A prediction's status through its life, and its result."""

import json
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import aiohttp
import pytest

from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.results import ResultFile


@pytest.fixture
async def prediction(api, customers, owner):
    """A prediction that no worker has seen yet."""
    status, prediction = await api.post(customers)
    assert status == 202
    return prediction


async def test_prediction_shows_each_status_and_phase(api, prediction, owner):
    path = prediction["links"]["self"]

    async def move(assignments: str):
        await owner.execute(f"update predictions set {assignments}")
        status, now = await api.get(path)
        assert status == 200
        return now

    async with api.http.get(path) as response:
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert (await response.json())["phase"] == "waiting"
    now = await move(
        "status = 'RUNNING', fence = 1, attempt = 1, started_at = now(), "
        "lease_owner = 'w', lease_until = now() + interval '5 min'"
    )
    assert (now["status"], now["phase"], now["attempt"]) == ("RUNNING", "scoring", 1)
    assert now["started_at"] is not None
    now = await move("lease_until = now() - interval '1 s'")
    assert (now["status"], now["phase"]) == ("RUNNING", "retrying")
    now = await move(
        "lease_owner = null, lease_until = null, retry_reason = 'the storage was unavailable', "
        "retry_at = '2026-11-23T12:00:00Z'"
    )
    assert (now["status"], now["phase"]) == ("RUNNING", "retrying")
    assert now["retry"] == {"reason": "the storage was unavailable", "at": "2026-11-23T12:00:00Z"}
    status, problem = await api.get(prediction["links"]["result"])
    assert (status, problem["code"], problem["prediction_status"]) == (409, "not_finished", "RUNNING")

    failure = Failure.of(FailureCode.TOO_MANY_BAD_ROWS)
    now = await move(
        "status = 'FAILED', finished_at = now(), retry_reason = null, retry_at = null, "
        f"failure = '{failure.model_dump_json()}'"
    )
    assert (now["status"], now["phase"], now["retry"]) == ("FAILED", "done", None)
    assert now["failure"] == failure.model_dump(mode="json")
    status, problem = await api.get(prediction["links"]["result"])
    assert (status, problem["code"], problem["prediction_status"]) == (409, "prediction_failed", "FAILED")
    assert problem["failure"]["code"] == "too_many_bad_rows"


async def test_result_links_work_for_a_while(api, prediction, owner, s3, aws):
    key = f"results/acme/{prediction['prediction_id']}/1/scores.csv"
    await s3.put_object(Bucket=aws.bucket, Key=key, Body=b"row_number\n1\n")
    location = ResultLocation(
        bucket=aws.bucket,
        files=(
            ResultFile(
                name="scores.csv",
                key=key,
                media_type="text/csv; charset=utf-8",
                size_bytes=13,
                sha256="0" * 64,
            ),
        ),
    )
    summary = {"mean_probability": 0.5}
    await owner.execute(
        "update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now()"
    )
    await owner.execute(
        """
        update predictions set status = 'COMPLETED', finished_at = now(), rows_total = 2, rows_scored = 1,
            rows_rejected = 1, summary = $1, result = $2
        """,
        json.dumps(summary),
        location.model_dump_json(),
    )
    _, now = await api.get(prediction["links"]["self"])
    assert (now["status"], now["phase"]) == ("COMPLETED", "done")
    assert now["rows"] == {"total": 2, "scored": 1, "rejected": 1}
    assert now["summary"] == summary
    assert now["failure"] is None

    status, result = await api.get(prediction["links"]["result"])
    assert status == 200
    left = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    (file,) = result["files"]
    assert file | {"url": ""} == {
        "name": "scores.csv",
        "url": "",
        "media_type": "text/csv; charset=utf-8",
        "size_bytes": 13,
        "sha256": "0" * 64,
    }
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in file["url"]
    assert "X-Amz-Expires=900" in file["url"]
    async with aiohttp.ClientSession() as anybody, anybody.get(file["url"]) as response:
        assert await response.read() == b"row_number\n1\n"
        disposition = EmailMessage()
        disposition["Content-Disposition"] = response.headers["Content-Disposition"]
        assert disposition.get_filename() == f"{prediction['prediction_id']}-scores.csv"


FOREIGN: dict[str, dict[str, str]] = {
    "its own": {},
    "another tenant's": {"key": "results/globex/{id}/1/scores.csv"},
    "another prediction's": {"key": "results/acme/00000000-0000-0000-0000-000000000000/1/scores.csv"},
    "an upload": {"key": "uploads/acme/{id}.csv"},
    "a way up": {"key": "results/acme/{id}/../../globex/scores.csv"},
    "another file's name": {"key": "results/acme/{id}/1/manifest.json"},
    "another bucket": {"bucket": "another-bucket"},
}


async def test_link_is_signed_only_for_the_predictions_own_files(api, prediction, owner, aws, subtests):
    await owner.execute(
        "update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now()"
    )
    await owner.execute("alter table predictions disable trigger user")
    own = "results/acme/{id}/1/scores.csv"
    file = {"name": "scores.csv", "key": own, "media_type": "text/html", "size_bytes": 1, "sha256": "0" * 64}
    for name, changes in FOREIGN.items():
        with subtests.test(name):
            key = changes.get("key", own).format(id=prediction["prediction_id"])
            location = {"bucket": changes.get("bucket", aws.bucket), "files": [file | {"key": key}]}
            await owner.execute(
                """
                update predictions set status = 'COMPLETED', finished_at = now(), rows_total = 1,
                    rows_scored = 1, rows_rejected = 0, summary = '{}', result = $1
                """,
                json.dumps(location),
            )
            status, answer = await api.get(prediction["links"]["result"])
            if not changes:
                assert status == 200
                assert answer["files"][0]["media_type"] == "text/csv; charset=utf-8"  # not the row's
            else:
                assert (status, answer["code"]) == (500, "internal_error")
                assert key not in json.dumps(answer)
