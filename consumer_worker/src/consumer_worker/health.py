"""`/livez`, `/readyz` and `/metrics` of a worker."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from consumer_worker.errors import StartRefused
from retainwise_contracts.health import Check, Health, HealthState

SERVICE = "consumer_worker"


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, live: Callable[[], tuple[Check, ...]], ready: Callable[[], tuple[Check, ...]]
) -> AsyncIterator[None]:
    """Answer health and metrics requests while the block runs.

    Raises:
        StartRefused: nothing can listen there.
    """

    async def livez(_: web.Request) -> web.Response:
        return _answer(live())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(ready())

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


def _answer(checks: tuple[Check, ...]) -> web.Response:
    health = Health.of(SERVICE, checks)
    return web.Response(
        status=503 if health.state is HealthState.FAILED else 200,
        text=health.model_dump_json(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
