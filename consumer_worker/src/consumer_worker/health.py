"""`/livez`, `/readyz` and `/metrics` of a worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from consumer_worker import SERVICE
from consumer_worker.errors import StartRefused
from retainwise_contracts.health import Check, Health, HealthState

PROBE_TIMEOUT_SECONDS = 3.0
"""For each probe; below the timeout of load balancers and orchestrators."""

Probe = Callable[[], Awaitable[object]]
"""Checks one thing the worker needs; raises an error that describes what is wrong with it."""


class NotHealthy(Exception):
    """The worker itself is not healthy; the text says why."""


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, live: Mapping[str, Probe], ready: Mapping[str, Probe]
) -> AsyncIterator[None]:
    """Serve `/livez` and `/readyz`, each by its probes, and `/metrics`, while the block runs.

    Raises:
        StartRefused: the address cannot be listened on.
    """

    async def livez(_: web.Request) -> web.Response:
        return _answer(await _run(live))

    async def readyz(_: web.Request) -> web.Response:
        return _answer(await _run(ready))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartRefused(f"HEALTH_PORT: cannot listen on {host}:{port}: {error.strerror}") from error
        yield
    finally:
        await runner.cleanup()


async def _run(probes: Mapping[str, Probe]) -> tuple[Check, ...]:
    checks = await asyncio.gather(*(_check(name, probe) for name, probe in probes.items()))
    return tuple(checks)


async def _check(name: str, probe: Probe) -> Check:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await probe()
    except Exception as error:  # whatever the probe raises is what is wrong
        return Check(name=name, state=HealthState.FAILED, detail=str(error) or type(error).__name__)
    return Check(name=name, state=HealthState.OK, detail="")


def _answer(checks: tuple[Check, ...]) -> web.Response:
    health = Health.of(SERVICE, checks)
    return web.Response(
        status=503 if health.state is HealthState.FAILED else 200,
        text=health.model_dump_json(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
