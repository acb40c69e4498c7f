"""The local stack: every part started in order, watched, started again when it dies, stopped in reverse."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.local.database import database_urls, prepare_database, requeue_unfinished
from deploy.local.emulator import Emulator
from deploy.local.errors import LocalStackError
from deploy.local.issuer import Issuer
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import PostgresServer
from deploy.local.process import Child
from deploy.local.provision import QUEUE_ATTRIBUTES, Provisioned, provision
from deploy.local.services import build_services

FIRST_RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 15.0
"""The wait before a restart doubles, from the first to this, while a part keeps dying."""

STEADY_SECONDS = 30.0
"""A part that lived so long does not keep dying."""


@dataclass(frozen=True)
class Part:
    """A child process of the stack, and what it takes to have it ready."""

    name: str
    url: str
    child: Child
    start: Callable[[], Awaitable[None]]
    polls_the_queue: bool = False


class Stack:
    """All parts of RetainWise on this machine, with their state in one folder.

    `emulator_environment` is the Python environment that the emulator runs in. `tell` takes lines for the
    person who watches. A stack that is not `durable` is quicker and need not survive a crash.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        emulator_environment: Path,
        tell: Callable[[str], None],
        durable: bool = True,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.ports = ports
        self.api_url = f"http://{HOST}:{ports.api}"
        self.issuer = Issuer(folder, ports.issuer)
        self._parts: list[Part] = []
        self._tell = tell
        self._provisioned: Provisioned  # by _start_emulator
        self._messages_lost = False
        self._database_ready = asyncio.Event()
        self._server = PostgresServer(
            folder / "postgres", ports.postgres, log=self.logs / "postgres.log", durable=durable
        )
        self._emulator = Emulator(
            folder / "emulator",
            ports.emulator,
            environment=emulator_environment,
            log=self.logs / "emulator.log",
            durable=durable,
        )

    @asynccontextmanager
    async def running(self, *, restart: bool) -> AsyncIterator[None]:
        """Have every part ready while the block runs, and none left after it, however it ends.

        A part that dies in the meantime is started again, or else ends the block.

        Raises:
            LocalStackError: a part cannot be started, or died and is not to be started again.
        """
        self._prepare_folders()
        urls = database_urls(self._server)
        async with AsyncExitStack() as started:
            postgres = Part("postgres", urls.owner, self._server.child, self._start_postgres)
            emulator = Part(
                "emulator", self._emulator.endpoint_url, self._emulator.child, self._start_emulator
            )
            await self._start_together([postgres, emulator], started)

            await started.enter_async_context(self.issuer.serve())
            self._announce("issuer", self.issuer.issuer, "ready")

            services = build_services(self.ports, self.issuer, self._provisioned, urls, self.folder)
            await self._start_together(
                [
                    Part(service.name, service.url, service.child, service.start, service.polls_the_queue)
                    for service in services
                ],
                started,
            )
            async with _task_group() as group:
                watching = group.create_task(self._watch_all(restart=restart))
                yield
                watching.cancel()

    def remove(self) -> None:
        """Remove the state of a stopped stack."""
        self._server.remove()  # it may be elsewhere
        shutil.rmtree(self.folder)

    def _prepare_folders(self) -> None:
        for name in ("emulator", "scratch"):  # customers' files are nobody else's business
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _start_postgres(self) -> None:
        await self._server.start()
        await prepare_database(self._server)
        self._database_ready.set()

    async def _start_emulator(self) -> None:
        await self._emulator.start()
        self._provisioned = await provision(self._emulator.endpoint_url)
        self._messages_lost = self._messages_lost or self._provisioned.queue_created
        if self._messages_lost:
            await self._database_ready.wait()
            await self._send_again()
            self._messages_lost = False

    async def _send_again(self) -> None:
        try:
            count = await requeue_unfinished(database_urls(self._server).owner)
        except (asyncpg.PostgresError, OSError) as error:
            raise LocalStackError(f"the database refuses: {error!r}") from error
        if count:
            self._tell(f"the emulator lost messages; what is unfinished is sent again: {count}")

    async def _send_again_after_polls(self) -> None:
        """Send again what the emulator gave to the last poll of a worker that was killed in it."""
        await asyncio.sleep(int(QUEUE_ATTRIBUTES["ReceiveMessageWaitTimeSeconds"]) + 1)
        try:
            await self._send_again()
        except LocalStackError as error:  # the workers' reconciler does it later
            self._tell(str(error))

    async def _start_together(self, parts: list[Part], started: AsyncExitStack) -> None:
        async def stop() -> None:
            async with _task_group() as group:
                for part in parts:
                    group.create_task(part.child.stop())

        started.push_async_callback(stop)
        self._parts += parts
        async with _task_group() as group:
            for part in parts:
                group.create_task(self._start(part))

    async def _start(self, part: Part) -> None:
        began = time.monotonic()
        await part.start()
        self._announce(part.name, part.url, f"ready after {time.monotonic() - began:.1f} s")

    async def _watch_all(self, *, restart: bool) -> None:
        async with _task_group() as group:
            for part in self._parts:
                group.create_task(self._watch(part, group, restart=restart))

    async def _watch(self, part: Part, group: asyncio.TaskGroup, *, restart: bool) -> None:
        wait = FIRST_RESTART_SECONDS
        started = time.monotonic()
        while True:
            ending = _ending(await part.child.wait())
            if not restart:
                raise LocalStackError(
                    f"{part.name} {ending}, see {part.child.log}:\n{part.child.last_lines()}"
                )
            if time.monotonic() - started > STEADY_SECONDS:
                wait = FIRST_RESTART_SECONDS
            self._announce(part.name, part.url, f"{ending}, starting it again; see {part.child.log}")
            if part.polls_the_queue:
                group.create_task(self._send_again_after_polls())
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_RESTART_SECONDS)
            try:
                await self._start(part)
            except LocalStackError as error:
                self._tell(str(error))
                await part.child.stop()
            started = time.monotonic()

    def _announce(self, name: str, url: str, state: str) -> None:
        self._tell(f"{name:<18} {url:<50} {state}")


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


@asynccontextmanager
async def _task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises its first error as it is, not in an ExceptionGroup."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
