"""The wiring of the API: middlewares, resources and routes."""

from aiobotocore.session import AioSession, get_session
from aiohttp import web
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry

from producer_api import health, resources
from producer_api.http.admission import UPLOAD_GATE, UploadGate, close_when_draining
from producer_api.http.auth import authenticate
from producer_api.http.cors import allow_origins
from producer_api.http.problems import answer_problems
from producer_api.http.route import Route
from producer_api.models.handlers import ROUTES as MODELS
from producer_api.predictions.handlers import ROUTES as PREDICTIONS
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS, ApiMetrics, hide_software, observe_requests

MAX_REQUEST_BODY_BYTES = 65_536
"""A safety limit: no handler reads a whole body into memory. Uploads are limited by `MAX_UPLOAD_BYTES`."""


ROUTES: tuple[Route, ...] = (*PREDICTIONS, *MODELS, *health.ROUTES)
"""Every endpoint, a folder at a time. The OpenAPI document is made from the same table."""


def create_app(
    settings: Settings, *, registry: CollectorRegistry = PROCESS_REGISTRY, aws: AioSession | None = None
) -> web.Application:
    """Build the API. Its resources are opened when it starts, which may raise StartRefused."""
    app = web.Application(
        middlewares=[
            allow_origins(settings.cors_allowed_origins),
            observe_requests,
            answer_problems,
            authenticate(frozenset(route.path for route in ROUTES if route.public)),
        ],
        client_max_size=MAX_REQUEST_BODY_BYTES,
    )
    app.on_response_prepare.extend([hide_software, close_when_draining])
    app[SETTINGS] = settings
    app[resources.AWS] = aws or get_session()
    app[METRICS] = ApiMetrics(registry)
    app[health.REGISTRY] = registry
    app[UPLOAD_GATE] = UploadGate(settings.max_concurrent_uploads, app[METRICS])
    app.cleanup_ctx.extend([*resources.CHECKED_AT_START, *resources.RUNNING])
    app.add_routes(route.definition for route in ROUTES)
    return app
