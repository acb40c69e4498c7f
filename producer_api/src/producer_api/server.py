"""Runs the API as a process: it listens, and on SIGTERM it answers what is under way before it exits."""

import asyncio
import signal
from collections.abc import Coroutine

import structlog
from aiohttp import web

from producer_api.app import create_app
from producer_api.errors import StartRefused
from producer_api.health import create_admin_app
from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.connections import Connections, Site, allowed_connections, report_loop_errors
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS
from retainwise_contracts.logs import StartupEvent

ANSWER_SECONDS = 10.0
"""How long requests other than uploads may take once the API stops listening. None takes longer."""

ABORT_SECONDS = 5.0
"""For the answers to uploads that are ended at a stop."""

MAX_ADMIN_CONNECTIONS = 32

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let running uploads finish; a second signal ends them.

    Raises:
        StartRefused: something the API needs is missing or refuses access.
    """
    app = create_app(settings)
    runner = create_runner(app)
    admin_runner: web.AppRunner | None = None
    try:
        await runner.setup()
        admin_runner = create_runner(create_admin_app(app))
        await admin_runner.setup()
        signals = _receive_signals()
        connections = Connections(allowed_connections(settings.max_connections), app[METRICS])
        report_loop_errors(connections)
        admin_connections = Connections(MAX_ADMIN_CONNECTIONS, app[METRICS])
        await _listen(admin_runner, "ADMIN_PORT", settings.admin_host, settings.admin_port, admin_connections)
        await _listen(runner, "HTTP_PORT", settings.http_host, settings.http_port, connections)
        log.info(
            StartupEvent.STARTUP_COMPLETE,
            host=settings.http_host,
            port=runner.addresses[0][1],
            admin_port=admin_runner.addresses[0][1],
        )
        await signals.get()
        await _finish(app, signals)
    finally:
        await runner.cleanup()
        if admin_runner is not None:
            await admin_runner.cleanup()
    log.info("api_stopped")


def create_runner(app: web.Application) -> web.AppRunner:
    """Build the runner that serves an application on its sites."""
    return web.AppRunner(app, shutdown_timeout=ANSWER_SECONDS)


async def _finish(app: web.Application, signals: asyncio.Queue[int]) -> None:
    """Have no more requests sent here, then let uploads finish. A second signal shortens each step.

    From the first moment /readyz answers 503 and connections are closed after their answer, but everything is
    accepted until the load balancer has noticed. Then new uploads are refused, and running ones may finish.
    """
    settings, gate = app[SETTINGS], app[UPLOAD_GATE]
    gate.draining = True
    await _first_of(signals.get(), within_seconds=settings.shutdown_delay_seconds)
    gate.close()
    await _first_of(gate.wait_empty(), signals.get(), within_seconds=settings.shutdown_grace_seconds)
    gate.abort()
    await _first_of(gate.wait_empty(), within_seconds=ABORT_SECONDS)


async def _listen(
    runner: web.AppRunner, setting: str, host: str, port: int, connections: Connections
) -> None:
    try:
        await Site(runner, host, port, connections).start()
    except OSError as error:
        raise StartRefused(f"{setting}: cannot listen on {host}:{port}: {error.strerror}") from error


def _receive_signals() -> asyncio.Queue[int]:
    received: asyncio.Queue[int] = asyncio.Queue()

    def receive(number: int) -> None:
        log.info("signal_received", signal=signal.Signals(number).name)
        received.put_nowait(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, receive, number)
    return received


async def _first_of(*waits: Coroutine[object, object, object], within_seconds: float) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
