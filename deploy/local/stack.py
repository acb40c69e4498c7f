"""The local stack: parts are started in order, watched, restarted when they die, stopped in reverse order."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.database import DATABASE_ERRORS, database_urls, prepare_database, requeue_unfinished
from deploy.local.emulator import Emulator
from deploy.local.errors import LocalStackError
from deploy.local.issuer import Issuer
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import PostgresServer
from deploy.local.process import Child
from deploy.local.provision import Provisioned, provision
from deploy.local.services import build_services
from deploy.local.sign_in import SignIn

FIRST_RESTART_SECONDS = 0.5
MAX_RESTART_SECONDS = 15.0
"""The delay before a restart doubles up to this while a part keeps dying."""

FOLDER_POLL_SECONDS = 0.5

STEADY_SECONDS = 30.0
"""A part that ran this long counts as stable, and its delay starts over."""


@dataclass(frozen=True)
class Part:
    """A child process of the stack, and how to start it."""

    name: str
    url: str
    child: Child
    start: Callable[[], Awaitable[None]]


class Stack:
    """All parts of RetainWise on this machine, with their state in one folder.

    `emulator_environment` is the Python environment that the emulator runs in. `print_line` shows a line to
    the user. A stack that is not `durable` is faster and does not survive a crash.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        emulator_environment: Path,
        print_line: Callable[[str], None],
        durable: bool = True,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.ports = ports
        self.api_url = f"http://{HOST}:{ports.api}"
        self.issuer = Issuer(folder, ports.issuer)
        self.sign_in = SignIn(self.issuer.mint, self.api_url)
        self._parts: list[Part] = []
        self._print_line = print_line
        self._provisioned: Provisioned  # by _start_emulator
        self._credentials: Mapping[str, Mapping[str, str]] = {}
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
        """Start every part, run the block, and stop every part, however the block ends.

        A part that dies in between is restarted, or ends the block if `restart` is false.

        Raises:
            LocalStackError: a part cannot be started, or died and is not to be restarted.
        """
        self._prepare_folders()
        urls = database_urls(self._server)
        async with AsyncExitStack() as started:
            postgres = Part("postgres", urls.owner, self._server.child, self._start_postgres)
            emulator = Part(
                "emulator", self._emulator.endpoint_url, self._emulator.child, self._start_emulator
            )
            await self._start_together([postgres, emulator], started)

            await started.enter_async_context(self.issuer.serve(self.sign_in.routes()))
            self._announce("issuer", self.issuer.issuer, "ready")

            services = build_services(
                self.ports, self.issuer, self._provisioned, urls, self.folder, self._credentials
            )
            await self._start_together(
                [Part(service.name, service.url, service.child, service.start) for service in services],
                started,
            )
            async with _task_group() as group:
                watching = group.create_task(self._watch_all(restart=restart))
                yield
                watching.cancel()

    def remove(self) -> None:
        """Remove the state of a stopped stack."""
        self._server.remove()  # its data may be outside the folder
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare_folders(self) -> None:
        for name in ("emulator", "scratch"):  # customers' files are private
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
            await self._requeue()
            self._messages_lost = False

    async def _requeue(self) -> None:
        try:
            count = await requeue_unfinished(database_urls(self._server).owner)
        except DATABASE_ERRORS as error:
            raise LocalStackError(f"unfinished predictions could not be requeued: {error!r}") from error
        if count:
            self._print_line(f"the emulator lost its messages; resending {count} unfinished")

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
        self.ports.require_free(part.name)  # or another program's answers would be taken for the part's
        await part.start()
        self._announce(part.name, part.url, f"ready in {time.monotonic() - began:.1f} s")

    async def _watch_all(self, *, restart: bool) -> None:
        async with _task_group() as group:
            group.create_task(self._watch_folder())
            for part in self._parts:
                group.create_task(self._watch(part, restart=restart))

    async def _watch_folder(self) -> None:
        """Raise LocalStackError once the state folder is removed: no part can work without its state."""
        opened = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)  # its inode is no other's while open
        try:
            while _is_still(self.folder, opened):  # noqa: ASYNC110 another program removes it
                await asyncio.sleep(FOLDER_POLL_SECONDS)
        finally:
            os.close(opened)
        raise LocalStackError(
            f"the state folder {self.folder} was removed while the stack was running: everything is stopped, "
            "start again with an empty state"
        )

    async def _watch(self, part: Part, *, restart: bool) -> None:
        wait = FIRST_RESTART_SECONDS
        started = time.monotonic()
        while True:
            exited = _describe_exit(await part.child.wait())
            if not restart:
                raise LocalStackError(
                    f"{part.name} {exited}, see {part.child.log}:\n{part.child.last_lines()}"
                )
            if time.monotonic() - started > STEADY_SECONDS:
                wait = FIRST_RESTART_SECONDS
            self._announce(part.name, part.url, f"{exited}, restarting; see {part.child.log}")
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RESTART_SECONDS)
            try:
                await self._start(part)
            except (LocalStackError, OSError) as error:  # a full disk may have room again
                self._print_line(f"{part.name} could not be restarted: {error}")
                await part.child.stop()
            started = time.monotonic()

    def _announce(self, name: str, url: str, state: str) -> None:
        self._print_line(f"{name:<18} {url:<50} {state}")


def _is_still(folder: Path, opened: int) -> bool:
    """Whether the path leads to the opened folder."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(opened))
    except OSError:
        return False


def _describe_exit(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


@asynccontextmanager
async def _task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises its first error as it is, not in an ExceptionGroup."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
