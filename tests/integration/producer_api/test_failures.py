"""The report of a tenant's failures."""

import json
from datetime import UTC, datetime, timedelta

from retainwise_contracts.failures import Failure, FailureCode


async def fail(api, owner, code, days_ago, **options):
    """Make a prediction that failed so many days ago."""
    status, prediction = await api.post(params={"label": code.value}, **options)
    assert status == 202
    failure = Failure.of(code, "Row 7.")
    await owner.execute(
        """
        update predictions
        set status = 'FAILED', failure = $2, finished_at = now() - make_interval(days => $3)
        where prediction_id = $1
        """,
        prediction["prediction_id"],
        failure.model_dump_json(),
        days_ago,
    )
    return prediction["prediction_id"]


async def test_failures_are_counted_by_code_and_day(api, owner, issuer):
    newest = await fail(api, owner, FailureCode.NOT_A_CSV, 0)
    older = [await fail(api, owner, FailureCode.NOT_A_CSV, days) for days in (2, 2, 5, 6, 7, 8)]
    await fail(api, owner, FailureCode.INTERNAL_ERROR, 1)
    await fail(api, owner, FailureCode.EMPTY_FILE, 40)
    other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    await fail(api, owner, FailureCode.TOO_MANY_ROWS, 1, headers=other)

    status, report = await api.get("/v1/failures")
    assert (status, report["count"]) == (200, 8)
    first, second = report["items"]
    assert (first["code"], first["count"], first["fault"], first["retryable"]) == (
        "not_a_csv",
        7,
        "user",
        False,
    )
    assert (second["code"], second["count"], second["fault"]) == ("internal_error", 1, "system")
    assert "CSV" in first["what_to_do"]
    today = datetime.now(UTC).date()
    by_day = {day["day"]: day["count"] for day in first["daily"]}
    assert len(by_day) == 31
    assert by_day[str(today)] == 1
    assert by_day[str(today - timedelta(days=2))] == 2
    assert by_day[str(today - timedelta(days=3))] == 0
    samples = [sample["prediction_id"] for sample in first["samples"]]
    assert samples[0] == newest
    assert set(samples[1:]) < set(older)
    assert len(samples) == 5
    assert first["samples"][0]["message"].endswith("Row 7.")
    assert first["samples"][0]["link"] == f"/v1/predictions/{newest}"

    since = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    _, report = await api.get("/v1/failures", params={"since": since})
    assert {item["code"]: item["count"] for item in report["items"]} == {"not_a_csv": 3, "internal_error": 1}
    _, report = await api.get("/v1/failures", headers=other)
    assert [item["code"] for item in report["items"]] == ["too_many_rows"]
    assert "not_a_csv" not in json.dumps(report)


async def test_broken_since_is_refused(api, subtests):
    for since in ("yesterday", "2026-11-24T00:00:00", "2020-01-01T00:00:00Z", ""):
        with subtests.test(since=since):
            status, problem = await api.get("/v1/failures", params={"since": since})
            assert (status, problem["errors"][0]["field"]) == (422, "since")


async def test_no_failure_is_an_empty_report(api):
    status, report = await api.get("/v1/failures")
    assert (status, report["count"], report["items"]) == (200, 0, [])
