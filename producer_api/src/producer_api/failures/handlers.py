"""`GET /v1/failures`: why a tenant's predictions failed, how often, and what to do about it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web

from producer_api.failures.advice import ADVICE
from producer_api.failures.models import FailureReport, FailuresQuery
from producer_api.failures.store import FAILURE_STORE, FailureSample
from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import read_query
from producer_api.http.errors import InvalidParameter
from producer_api.http.route import Route
from retainwise_contracts.failures import FAILURES, FailureCode

DEFAULT_DAYS = 30
MAX_DAYS = 366
SAMPLES = 5
"""Predictions named for each code."""


async def get_failures(request: web.Request) -> web.Response:
    """Count a tenant's failures by code."""
    query = await read_query(request, FailuresQuery)
    now = datetime.now(UTC)
    since = query.since or now - timedelta(days=DEFAULT_DAYS)
    if since < now - timedelta(days=MAX_DAYS):
        raise InvalidParameter("since", f"it may be up to {MAX_DAYS} days ago.")
    daily, samples = await request.app[FAILURE_STORE].read_failures(
        request[CALLER].tenant_id, since, samples=SAMPLES
    )
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    for counted in daily:
        counts[counted.code][counted.day] = counted.failures
    items = [
        _of_code(
            code, by_day, [sample for sample in samples if sample.code == code], since.date(), now.date()
        )
        for code, by_day in counts.items()
    ]
    items.sort(key=lambda item: (-item["count"], item["code"]))
    return json_answer({"since": since, "count": sum(item["count"] for item in items), "items": items})


def _of_code(
    code: str, by_day: Mapping[date, int], samples: Sequence[FailureSample], first: date, last: date
) -> dict[str, Any]:
    known = FailureCode(code)
    kind = FAILURES[known]
    days = [first + timedelta(days=passed) for passed in range((last - first).days + 1)]
    return {
        "code": code,
        "count": sum(by_day.values()),
        "fault": kind.fault,
        "retryable": kind.retryable,
        "sentence": kind.sentence,
        "what_to_do": ADVICE[known],
        "daily": [{"day": day, "count": by_day.get(day, 0)} for day in days],
        "samples": [
            {
                "prediction_id": str(sample.prediction_id),
                "label": sample.label,
                "file_name": sample.file_name,
                "message": sample.message,
                "finished_at": sample.finished_at,
                "link": f"/v1/predictions/{sample.prediction_id}",
            }
            for sample in samples
        ],
    }


ROUTES = (
    Route(
        "GET",
        "/v1/failures",
        get_failures,
        "Count failed predictions by code: whose fault, what to do, by day, with samples.",
        answers={200: FailureReport},
        query=FailuresQuery,
    ),
)
