"""Liveness, readiness and metrics: a word for everyone at `HTTP_PORT`, all of it at `ADMIN_PORT`.

What readiness depends on is probed in the background. So `/readyz` answers at once even if the database
hangs, and requests to it cause no load.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from producer_api import SERVICE
from producer_api.database import DATABASE
from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.auth import VERIFIER
from producer_api.http.route import Route
from producer_api.objects import OBJECTS
from producer_api.outbox.relay import OUTBOX
from retainwise_contracts.health import Check, Health, HealthState

PROBE_SECONDS = 2.0
"""Between two rounds of probes."""

PROBE_TIMEOUT_SECONDS = 2.5
"""For one probe. The database's own limits are shorter."""

MAX_FAILED_PROBES = 2
"""A dependency is reported after so many failed probes in a row: one may fail by chance."""


class State(BaseModel):
    """Whether the service works, in one word."""

    state: HealthState


REGISTRY = web.AppKey("registry", CollectorRegistry)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Probes:
    """Probes dependencies in the background and knows which of them fail."""

    def __init__(self, probes: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._probes = probes
        self._failed = dict.fromkeys(probes, 0)

    def is_failing(self, name: str) -> bool:
        """Return whether the last probes of a dependency failed."""
        return self._failed[name] >= MAX_FAILED_PROBES

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._probes:
                tasks.create_task(self._run(name))

    async def _run(self, name: str) -> None:
        while True:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    await self._probes[name]()
            except Exception as error:
                self._failed[name] += 1
                if self._failed[name] == MAX_FAILED_PROBES:
                    log.warning("probe_failed", dependency=name, reason=repr(error.__cause__ or error))
            else:
                if self.is_failing(name):
                    log.info("probe_succeeded", dependency=name)
                self._failed[name] = 0
            await asyncio.sleep(PROBE_SECONDS)


PROBES = web.AppKey("probes", Probes)

OBSERVED = web.AppKey("observed", web.Application)
"""In the admin application: the API it shows."""


def create_admin_app(observed: web.Application) -> web.Application:
    """Build the application for operators: its port must not be public."""
    app = web.Application()
    app[OBSERVED] = observed
    app.add_routes(
        [
            web.get("/livez", describe_liveness),
            web.get("/readyz", describe_readiness),
            web.get("/metrics", metrics),
        ]
    )
    return app


async def livez(request: web.Request) -> web.Response:
    """Answer 503 when the process should be restarted."""
    return _say(_liveness(request.app))


async def readyz(request: web.Request) -> web.Response:
    """Answer 503 when no requests should be sent to this instance."""
    return _say(_readiness(request.app))


async def describe_liveness(request: web.Request) -> web.Response:
    """Answer like `livez`, with the reason."""
    return _describe(_liveness(request.app[OBSERVED]))


async def describe_readiness(request: web.Request) -> web.Response:
    """Answer like `readyz`, with every check."""
    return _describe(_readiness(request.app[OBSERVED]))


async def metrics(request: web.Request) -> web.Response:
    """Answer the metrics in Prometheus text format."""
    return web.Response(
        body=generate_latest(request.app[OBSERVED][REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


def _liveness(app: web.Application) -> Health:
    alive = app[OUTBOX].alive
    return Health.of(SERVICE, (_check("outbox", not alive, HealthState.FAILED, "the relay has stopped"),))


def _readiness(app: web.Application) -> Health:
    probes = app[PROBES]
    return Health.of(
        SERVICE,
        (
            _check("serving", app[UPLOAD_GATE].draining, HealthState.FAILED, "shutting down"),
            _check(
                "database",
                probes.is_failing("database"),
                HealthState.FAILED,
                "the database is unavailable",
            ),
            # Without the bucket the API is degraded: the status of predictions can still be read.
            _check(
                "storage",
                probes.is_failing("storage"),
                HealthState.DEGRADED,
                "the file storage is unavailable: no file can be uploaded",
            ),
            app[OUTBOX].check(),
            _check(
                "token_keys",
                app[VERIFIER].problem is not None,
                HealthState.DEGRADED,
                "the issuer's keys cannot be fetched; the keys fetched last are in use",
            ),
        ),
    )


def _check(name: str, failed: bool, state: HealthState, detail: str) -> Check:
    if failed:
        return Check(name=name, state=state, detail=detail)
    return Check(name=name, state=HealthState.OK, detail="")


def create_probes(app: web.Application) -> Probes:
    """Build the probes of what the API cannot work without."""
    return Probes({"database": app[DATABASE].read_schema_revision, "storage": app[OBJECTS].probe})


def _say(health: Health) -> web.Response:
    return _answer(health, orjson.dumps({"state": health.state}))


def _describe(health: Health) -> web.Response:
    return _answer(health, health.model_dump_json().encode())


def _answer(health: Health, body: bytes) -> web.Response:
    return web.Response(
        status=503 if health.state is HealthState.FAILED else 200,
        body=body,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


ROUTES = (
    Route(
        *("GET", "/livez", livez, "Whether the process is alive."),
        answers={200: State, 503: State},
        public=True,
    ),
    Route(
        *("GET", "/readyz", readyz, "Whether requests can be served."),
        answers={200: State, 503: State},
        public=True,
    ),
)
