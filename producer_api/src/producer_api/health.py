"""`/livez`, `/readyz` and `/metrics`. They need no token and show no customer data."""

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from producer_api import SERVICE
from producer_api.auth import VERIFIER
from producer_api.objects import OBJECTS, StorageUnavailable
from producer_api.outbox import OUTBOX
from producer_api.store import STORE, DatabaseUnavailable
from producer_api.uploads import UPLOAD_GATE
from retainwise_contracts.health import Check, Health, HealthState

PROBE_TIMEOUT_SECONDS = 2.0
"""For checking the database and the storage: a load balancer must get its answer before it gives up."""

REGISTRY = web.AppKey("registry", CollectorRegistry)


async def livez(request: web.Request) -> web.Response:
    """Answer 503 when the process should be restarted: its relay has stopped."""
    alive = request.app[OUTBOX].alive
    return _answer(
        Check(
            name="outbox",
            state=HealthState.OK if alive else HealthState.FAILED,
            detail="" if alive else "the relay has stopped",
        )
    )


async def readyz(request: web.Request) -> web.Response:
    """Answer 503 when no requests should be sent to this instance."""
    closed = request.app[UPLOAD_GATE].closed
    database, storage = await asyncio.gather(_check_database(request.app), _check_storage(request.app))
    return _answer(
        Check(
            name="serving",
            state=HealthState.FAILED if closed else HealthState.OK,
            detail="shutting down" if closed else "",
        ),
        database,
        storage,
        request.app[OUTBOX].check(),
        _check_keys(request.app),
    )


async def metrics(request: web.Request) -> web.Response:
    """Answer the metrics in Prometheus text format."""
    return web.Response(
        body=generate_latest(request.app[REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def _check_database(app: web.Application) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await app[STORE].read_schema_revision()
    except (DatabaseUnavailable, TimeoutError):
        return Check(name="database", state=HealthState.FAILED, detail="the database is unavailable")
    return Check(name="database", state=HealthState.OK, detail="")


async def _check_storage(app: web.Application) -> Check:
    """Check the bucket. Without it the API is degraded: the status of predictions can still be read."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await app[OBJECTS].probe()
    except (StorageUnavailable, TimeoutError):
        return Check(
            name="storage",
            state=HealthState.DEGRADED,
            detail="the file storage is unavailable: no file can be uploaded",
        )
    return Check(name="storage", state=HealthState.OK, detail="")


def _check_keys(app: web.Application) -> Check:
    if app[VERIFIER].problem is None:
        return Check(name="token_keys", state=HealthState.OK, detail="")
    return Check(
        name="token_keys",
        state=HealthState.DEGRADED,
        detail="the issuer's keys cannot be fetched; the keys fetched last are in use",
    )


def _answer(*checks: Check) -> web.Response:
    health = Health.of(SERVICE, checks)
    return web.Response(
        status=503 if health.state is HealthState.FAILED else 200,
        text=health.model_dump_json(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
