"""Hears of new events and wakes who waits for them: one connection of each replica listens.

A notification only wakes. What has happened is read from `prediction_events`, so one that is missed, while
the connection is being opened again, costs time and nothing else.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

import asyncpg
import structlog
from aiohttp import web

CHANNEL = "prediction_events"

CONNECT_TIMEOUT_SECONDS = 5.0

PROBE_SECONDS = 15.0
"""How often the connection is used: one to a host that has vanished looks alive for hours."""

PROBE_TIMEOUT_SECONDS = 5.0

MAX_BACKOFF_SECONDS = 5.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Wakes:
    """Wakes one task that waits for events of one prediction."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Wake it, now or when it next waits."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until something may have happened since the last call; return False after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken


class Listener:
    """The connection that listens, opened again whenever it is lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[UUID, set[Wakes]] = {}

    @contextmanager
    def subscribe(self, prediction_id: UUID) -> Iterator[Wakes]:
        """Be woken by each event of a prediction while the block runs."""
        wakes = Wakes()
        self._waiting.setdefault(prediction_id, set()).add(wakes)
        try:
            yield wakes
        finally:
            self._waiting[prediction_id].discard(wakes)
            if not self._waiting[prediction_id]:
                del self._waiting[prediction_id]

    def wake_all(self) -> None:
        """Wake all who wait: something may have been missed."""
        for waiting in self._waiting.values():
            for wakes in waiting:
                wakes.wake()

    async def run(self) -> None:
        """Listen until cancelled. While the database cannot be reached, those who wait look by themselves."""
        failures = 0
        while True:
            try:
                async with self._listen() as connection:
                    failures = 0
                    self.wake_all()
                    await self._watch(connection)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("listener_disconnected", reason=type(error).__name__)
            except Exception:
                log.exception("listener_failed")
            failures += 1
            pause = min(0.1 * 2 ** min(failures, 16), MAX_BACKOFF_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 spreads the replicas, not a secret

    @asynccontextmanager
    async def _listen(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=PROBE_TIMEOUT_SECONDS,
            server_settings={"application_name": "retainwise-producer-api-listener"},
        )
        try:
            await connection.add_listener(CHANNEL, self._receive)
            yield connection
        finally:
            connection.terminate()  # there is nothing to end, and nobody to wait for

    async def _watch(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Return when the connection is lost."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await lost.wait()
                    return
            await connection.execute("select 1")

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            prediction_id = UUID(str(payload))
        except ValueError:
            return
        for wakes in self._waiting.get(prediction_id, ()):
            wakes.wake()


LISTENER = web.AppKey("listener", Listener)
