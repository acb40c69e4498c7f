"""`/livez`, `/readyz` and `/metrics` of a worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from consumer_worker.errors import StartRefused
from retainwise_contracts.health import Check, Health, HealthState

SERVICE = "consumer_worker"

PROBE_TIMEOUT_SECONDS = 3.0
"""For each thing that is looked at; below the timeout of whoever asks."""

Probe = Callable[[], Awaitable[object]]
"""Looks at one thing and raises what is the matter with it."""


class NotHealthy(Exception):
    """A probe's finding about the worker itself; the text says what."""


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, live: Mapping[str, Probe], ready: Mapping[str, Probe]
) -> AsyncIterator[None]:
    """Answer health and metrics requests while the block runs, by the probes of that name.

    Raises:
        StartRefused: nothing can listen there.
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
            raise StartRefused(
                f"HEALTH_PORT: nothing can listen on {host}:{port}: {error.strerror}"
            ) from error
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
    except Exception as error:  # whatever it is, it is what is the matter
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
