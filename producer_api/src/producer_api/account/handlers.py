"""The handler of `/v1/me`."""

from aiohttp import web

from producer_api.account.models import Account
from producer_api.database import DATABASE, load_queries
from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import MAX_JSON_BYTES
from producer_api.http.idempotency import KEEP_SECONDS
from producer_api.http.route import Route
from producer_api.settings import SETTINGS

_queries = load_queries(__package__)


async def get_me(request: web.Request) -> web.Response:
    """Answer whose token this is, and the limits that hold for it."""
    tenant_id, settings = request[CALLER].tenant_id, request.app[SETTINGS]
    async with request.app[DATABASE].read(tenant_id) as connection:
        unfinished = await _queries.count_unfinished(connection, tenant_id=tenant_id)
    return json_answer(
        {
            "tenant_id": tenant_id,
            "limits": {
                "requests_per_second": settings.requests_per_second,
                "max_unfinished_predictions": settings.max_unfinished_predictions,
                "max_upload_bytes": settings.max_upload_bytes,
                "max_json_bytes": MAX_JSON_BYTES,
            },
            "usage": {"unfinished_predictions": unfinished},
            "retention": {
                "upload_days": settings.upload_retention_days,
                "result_days": settings.result_retention_days,
                "idempotency_key_hours": round(KEEP_SECONDS / 3_600),
            },
        }
    )


ROUTES = (
    Route(
        *("GET", "/v1/me", get_me, "Whose token this is, and the limits that hold for it."),
        answers={200: Account},
    ),
)
