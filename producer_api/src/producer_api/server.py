"""Runs the API as a process: it listens, and on SIGTERM it finishes running uploads before it exits."""

import asyncio
import signal
from collections.abc import Coroutine

import structlog
from aiohttp import web

from producer_api.app import create_app
from producer_api.connection import Runner
from producer_api.errors import StartRefused
from producer_api.settings import Settings
from producer_api.uploads import UPLOAD_GATE
from retainwise_contracts.logs import StartupEvent

ANSWER_SECONDS = 5.0
"""How long requests other than uploads may take once the API stops listening."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let running uploads finish; a second signal aborts them.

    Raises:
        StartRefused: something the API needs is missing or refuses access.
    """
    app = create_app(settings)
    runner = create_runner(app)
    try:
        await runner.setup()
        signals = _receive_signals()
        try:
            await web.TCPSite(runner, settings.http_host, settings.http_port).start()
        except OSError as error:
            where = f"{settings.http_host}:{settings.http_port}"
            raise StartRefused(f"HTTP_PORT: cannot listen on {where}: {error.strerror}") from error
        log.info(StartupEvent.STARTUP_COMPLETE, host=settings.http_host, port=runner.addresses[0][1])
        await signals.get()
        # From here on /readyz answers 503 and new uploads are refused; other requests are still answered.
        gate = app[UPLOAD_GATE]
        gate.close()
        await _first_of(gate.wait_empty(), signals.get(), within_seconds=settings.shutdown_grace_seconds)
    finally:
        await runner.cleanup()
    log.info("api_stopped")


def create_runner(app: web.Application) -> Runner:
    """Build the runner that serves the API on its sockets."""
    return Runner(
        app,
        access_log=None,
        shutdown_timeout=ANSWER_SECONDS,
        # A compressed body is refused, but aiohttp would still decompress it while it drains the request.
        auto_decompress=False,
    )


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
