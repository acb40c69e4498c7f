"""The wiring of the API: middlewares, resources and routes."""

from aiobotocore.session import AioSession, get_session
from aiohttp import web
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry

from producer_api import health, models, predictions, resources
from producer_api.admission import UPLOAD_GATE, UploadGate, close_when_draining
from producer_api.auth import authenticate
from producer_api.cors import allow_origins
from producer_api.errors import answer_problems
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS, ApiMetrics, hide_software, observe_requests
from producer_api.uploads import defer_continue

MAX_REQUEST_BODY_BYTES = 65_536
"""A safety limit: no handler reads a whole body into memory. Uploads are limited by `MAX_UPLOAD_BYTES`."""


def create_app(
    settings: Settings, *, registry: CollectorRegistry = PROCESS_REGISTRY, aws: AioSession | None = None
) -> web.Application:
    """Build the API. Its resources are opened when it starts, which may raise StartRefused."""
    app = web.Application(
        middlewares=[
            allow_origins(settings.cors_allowed_origins),
            observe_requests,
            answer_problems,
            authenticate,
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
    app.add_routes(
        [
            web.post(
                "/v1/predictions",
                predictions.create_prediction,
                expect_handler=defer_continue,
            ),
            web.get("/v1/predictions/{prediction_id}", predictions.get_prediction),
            web.get("/v1/predictions/{prediction_id}/result", predictions.get_result),
            web.get("/v1/models", models.list_models),
            web.get("/livez", health.livez),
            web.get("/readyz", health.readyz),
        ]
    )
    return app
