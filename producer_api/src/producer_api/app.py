"""The wiring of the API: middlewares, resources and routes."""

import time

from aiobotocore.session import AioSession, get_session
from aiohttp import web
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry

from producer_api import health, resources
from producer_api.account.handlers import ROUTES as ACCOUNT
from producer_api.console.handlers import ROUTES as CONSOLE
from producer_api.console.handlers import open_console
from producer_api.failures.handlers import ROUTES as FAILURES
from producer_api.http.admission import UPLOAD_GATE, UploadGate, close_when_draining
from producer_api.http.auth import authenticate
from producer_api.http.cors import AllowedOrigins
from producer_api.http.docs.handlers import ROUTES as DOCS
from producer_api.http.headers import add_headers
from producer_api.http.idempotency import claim_key
from producer_api.http.limits import RATE_LIMITS, RateLimits, limit_rate
from producer_api.http.paging import PAGER, Pager
from producer_api.http.problems import answer_problems
from producer_api.http.route import Route
from producer_api.mappings.handlers import ROUTES as MAPPINGS
from producer_api.models.handlers import ROUTES as MODELS
from producer_api.predictions.handlers import ROUTES as PREDICTIONS
from producer_api.predictions.waiting import WAITING_ROOM, WaitingRoom, end_waiting
from producer_api.rows.handlers import ROUTES as ROWS
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS, ApiMetrics, observe_requests
from producer_api.uploads.handlers import ROUTES as UPLOADS

MAX_REQUEST_BODY_BYTES = 65_536
"""A safety limit: no handler reads a whole body into memory. Uploads are limited by `MAX_UPLOAD_BYTES`."""


ROUTES: tuple[Route, ...] = (
    *UPLOADS,
    *PREDICTIONS,
    *ROWS,
    *FAILURES,
    *MAPPINGS,
    *MODELS,
    *ACCOUNT,
    *DOCS,
    *CONSOLE,
    *health.ROUTES,
)
"""Every endpoint, a folder at a time. The OpenAPI document is made from the same table."""


def create_app(
    settings: Settings, *, registry: CollectorRegistry = PROCESS_REGISTRY, aws: AioSession | None = None
) -> web.Application:
    """Build the API. Its resources are opened when it starts, which may raise StartRefused."""
    origins = AllowedOrigins(settings.cors_allowed_origins)
    app = web.Application(
        middlewares=[
            observe_requests,
            origins.answer_preflight,
            answer_problems,
            authenticate(frozenset(route.path for route in ROUTES if route.public)),
            limit_rate,
            claim_key,
        ],
        client_max_size=MAX_REQUEST_BODY_BYTES,
    )
    app.on_response_prepare.extend([add_headers, origins.add_headers, close_when_draining])
    app[SETTINGS] = settings
    app[resources.AWS] = aws or get_session()
    app[METRICS] = ApiMetrics(registry)
    app[health.REGISTRY] = registry
    app[PAGER] = Pager(settings.database_url.get_secret_value())
    app[RATE_LIMITS] = RateLimits(settings.requests_per_second, time.monotonic)
    app[WAITING_ROOM] = WaitingRoom(settings.max_event_streams)
    app.on_shutdown.append(end_waiting)
    app[UPLOAD_GATE] = UploadGate(settings.max_concurrent_uploads, app[METRICS])
    app.cleanup_ctx.extend([*resources.CHECKED_AT_START, open_console, *resources.RUNNING])
    app.add_routes(route.definition for route in ROUTES)
    return app
