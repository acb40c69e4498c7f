"""`/livez`, `/readyz` and `/metrics`. They answer without a token and say nothing of customers."""

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from producer_api.auth import VERIFIER
from producer_api.errors import DatabaseUnavailable, StorageUnavailable
from producer_api.objects import OBJECTS
from producer_api.outbox import OUTBOX
from producer_api.store import STORE
from producer_api.uploads import UPLOAD_GATE
from retainwise_contracts.health import Check, Health, HealthState

SERVICE = "producer_api"

PROBE_TIMEOUT_SECONDS = 2.0
"""For the questions to database and storage: the answer must come before a balancer gives up on it."""

REGISTRY = web.AppKey("registry", CollectorRegistry)


async def livez(request: web.Request) -> web.Response:
    """Answer whether the process should live on: whether its relay runs."""
    alive = request.app[OUTBOX].alive
    return _answer(
        Check(
            name="outbox",
            state=HealthState.OK if alive else HealthState.FAILED,
            detail="" if alive else "the relay has stopped",
        )
    )


async def readyz(request: web.Request) -> web.Response:
    """Answer whether requests should be sent here."""
    closed = request.app[UPLOAD_GATE].closed
    database, storage = await asyncio.gather(_check_database(request.app), _check_storage(request.app))
    return _answer(
        Check(
            name="serving",
            state=HealthState.FAILED if closed else HealthState.OK,
            detail="stopping" if closed else "",
        ),
        database,
        storage,
        request.app[OUTBOX].check(),
        _check_keys(request.app),
    )


async def metrics(request: web.Request) -> web.Response:
    """Answer the metrics in Prometheus' text format."""
    return web.Response(
        body=generate_latest(request.app[REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def _check_database(app: web.Application) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await app[STORE].read_schema_revision()
    except (DatabaseUnavailable, TimeoutError):
        return Check(name="database", state=HealthState.FAILED, detail="it does not answer")
    return Check(name="database", state=HealthState.OK, detail="")


async def _check_storage(app: web.Application) -> Check:
    """Say how the bucket is. While it is away, what is known of predictions can still be told."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await app[OBJECTS].probe()
    except (StorageUnavailable, TimeoutError):
        return Check(
            name="storage", state=HealthState.DEGRADED, detail="it does not answer: no file can be taken"
        )
    return Check(name="storage", state=HealthState.OK, detail="")


def _check_keys(app: web.Application) -> Check:
    if app[VERIFIER].problem is None:
        return Check(name="token_keys", state=HealthState.OK, detail="")
    return Check(
        name="token_keys",
        state=HealthState.DEGRADED,
        detail="the issuer's keys cannot be fetched; the last good ones are in use",
    )


def _answer(*checks: Check) -> web.Response:
    health = Health.of(SERVICE, checks)
    return web.Response(
        status=503 if health.state is HealthState.FAILED else 200,
        text=health.model_dump_json(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
