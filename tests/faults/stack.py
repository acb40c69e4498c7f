"""The real parts of a history: its own database, queue and bucket, API and workers behind proxies."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiobotocore.session import get_session

from deploy.local.database import DATABASE, DatabaseUrls, prepare_database
from deploy.local.emulator import Emulator, prepare_environment
from deploy.local.errors import LocalStackError
from deploy.local.issuer import Issuer
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import PostgresServer
from deploy.local.process import Child
from deploy.local.provision import CREDENTIALS, REGION, Names, Provisioned, provision
from deploy.local.services import build_services
from tests.faults.proxies import Proxy, Side
from tests.faults.tenants import Tenant

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90.0
"""A start takes a few seconds; many of them at once on two CPUs take longer."""

DATABASE_PASSWORD = "planted-database-password"
"""In the services' URLs, so that logs and answers can be searched for it; the server asks for none."""

RESTART_SECONDS = 0.5

FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"})


def _free_port() -> int:
    return Ports.free(0).api


@dataclass
class Backends:
    """A PostgreSQL server and an emulator, which several stacks may share."""

    folder: Path
    postgres: PostgresServer
    emulator: Emulator


@asynccontextmanager
async def open_backends(folder: Path) -> AsyncIterator[Backends]:
    """Run a PostgreSQL server and an emulator of SQS and S3 while the block runs."""
    await asyncio.to_thread(folder.mkdir, mode=0o755, parents=True)
    environment = await prepare_environment(ROOT / ".local" / "environments", folder / "install.log")
    server = PostgresServer(folder / "postgres", _free_port(), log=folder / "postgres.log", durable=False)
    emulator = Emulator(
        folder / "emulator",
        _free_port(),
        environment=environment,
        log=folder / "emulator.log",
        durable=False,
    )
    async with AsyncExitStack() as started:
        started.callback(server.remove)
        started.push_async_callback(server.stop)
        started.push_async_callback(emulator.stop)
        await asyncio.gather(server.start(), emulator.start())
        await prepare_database(server)
        yield Backends(folder, server, emulator)


@dataclass
class Process:
    """One service as a process, behind its proxies."""

    name: str
    url: str
    child: Child
    side: Side
    scratch: Path

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        pid = self.child.pid
        assert pid is not None
        return pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self.child.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)
        await self.child.wait()

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises LocalStackError."""
        await self.child.start()
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if not self.child.running:
                    raise LocalStackError(f"{self.name} ended at its start:\n{self.child.last_lines()}")
                await asyncio.sleep(0.1)

    async def keep_alive(self) -> None:
        """Start it again whenever it has ended, as an orchestrator does, until cancelled."""
        while True:
            await self.child.wait()
            await asyncio.sleep(RESTART_SECONDS)
            await self.child.start()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


@dataclass(frozen=True)
class Accepted:
    """A file that the API answered with 202: what it is to become."""

    prediction_id: str
    tenant: Tenant
    file: str | None
    """Its name for the oracle; None for hostile content, which may end as it likes, but has to end."""


@dataclass
class FaultStack:
    """One RetainWise: its database, queues, bucket, issuer, API, and as many workers as a history starts."""

    name: str
    folder: Path
    backends: Backends
    urls: DatabaseUrls
    provisioned: Provisioned
    issuer: Issuer
    owner: "asyncpg.Pool[asyncpg.Record]"
    session: aiohttp.ClientSession
    sqs: Any
    s3: Any
    api: Process = field(init=False)
    workers: list[Process] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    _environments: dict[str, dict[str, str]] = field(default_factory=dict)

    async def start_api(self, *, prefix: Sequence[str] = (), **env: str) -> Process:
        """Start the API behind a side of its own."""
        port = _free_port()
        self.api = await self._build("producer_api", port, {"HTTP_PORT": str(port)} | env, prefix)
        await self.api.start()
        return self.api

    async def build_worker(self, *, prefix: Sequence[str] = (), **env: str) -> Process:
        """Return a worker with its side, not started yet."""
        port = _free_port()
        worker = await self._build("consumer_worker", port, {"HEALTH_PORT": str(port)} | env, prefix)
        self.workers.append(worker)
        return worker

    async def start_worker(self, *, prefix: Sequence[str] = (), **env: str) -> Process:
        """Start one more worker behind a side of its own."""
        worker = await self.build_worker(prefix=prefix, **env)
        await worker.start()
        return worker

    async def stop(self) -> None:
        """End the services before the rest of the stack."""
        await self._opened.aclose()

    def tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant with a token of its own."""
        return Tenant(self.session, self.api.url, tenant_id, self.issuer.mint(tenant_id))

    async def upload(self, tenant: Tenant, content: bytes, file: str | None, **options: Any) -> Accepted:
        """Upload a file that must be accepted."""
        answer = await tenant.upload(content, **options)
        assert answer.status == 202, f"{self.name}: {answer}"
        return self.note(answer.prediction_id, tenant, file)

    def note(self, prediction_id: str, tenant: Tenant, file: str | None) -> Accepted:
        """Note what the API has accepted: it is judged when the history ends."""
        accepted = Accepted(prediction_id, tenant, file)
        self.accepted.append(accepted)
        return accepted

    async def rows(self, accepted: Sequence[Accepted]) -> dict[str, asyncpg.Record]:
        """Read how predictions stand, `ended` being the seconds of the UNIX clock."""
        rows = await self.owner.fetch(
            "select prediction_id::text, status, attempt, fence, failure ->> 'code' as code,"
            " extract(epoch from finished_at)::float8 as ended from predictions"
            " where prediction_id = any($1::uuid[])",
            [uuid.UUID(one.prediction_id) for one in accepted],
        )
        return {row["prediction_id"]: row for row in rows}

    async def wait_final(self, accepted: Sequence[Accepted], seconds: float) -> bool:
        """Wait until all have ended, for so long; whether they have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    rows = await self.rows(accepted)
                    if all(row["status"] in FINAL for row in rows.values()):
                        return len(rows) == len({one.prediction_id for one in accepted})
                    await asyncio.sleep(0.25)
        return False

    async def wait_status(self, accepted: Accepted, status: str, seconds: float) -> bool:
        """Wait until a prediction has a status, for so long; whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self.rows([accepted]))[accepted.prediction_id]["status"] != status:
                    await asyncio.sleep(0.02)
                return True
        return False

    async def wait_sent(self, accepted: Sequence[Accepted], seconds: float = 20) -> None:
        """Wait until the messages of predictions are in the queue."""
        async with asyncio.timeout(seconds):
            while await self.owner.fetchval(
                "select count(*) from outbox where destination = 'predictions' and sent_at is null"
                " and prediction_id = any($1::uuid[])",
                [uuid.UUID(one.prediction_id) for one in accepted],
            ):
                await asyncio.sleep(0.1)

    async def _build(self, module: str, port: int, env: dict[str, str], prefix: Sequence[str]) -> Process:
        side = Side.before(self.backends.postgres.port, self.backends.emulator.port)
        await self._opened.enter_async_context(side.running())
        number = sum(worker.name.startswith(module) for worker in self.workers) + 1
        name = f"{module}-{number}"
        scratch = self.folder / f"scratch-{name}"
        scratch.mkdir(mode=0o700, exist_ok=True)
        usual = self._environments[module]
        environment = usual | {
            "DATABASE_URL": _through(usual["DATABASE_URL"], self.backends.postgres.port, side.database),
            "AWS_ENDPOINT_URL": f"http://{HOST}:{side.s3.port}",
            "AWS_ENDPOINT_URL_SQS": f"http://{HOST}:{side.sqs.port}",
            "AWS_ENDPOINT_URL_SNS": f"http://{HOST}:{side.sqs.port}",
            "PREDICTIONS_QUEUE_URL": self._through_sqs(self.provisioned.queue_url, side),
            "PREDICTIONS_DLQ_URL": self._through_sqs(self.provisioned.dlq_url, side),
            "SCRATCH_DIRECTORY": str(scratch),
        }
        child = Child(
            name,
            [*prefix, sys.executable, "-P", "-m", module],
            env=environment | env,
            log=self.folder / f"{name}.log",
        )
        self._opened.push_async_callback(_stop, child)
        return Process(name, f"http://{HOST}:{port}", child, side, scratch)

    def direct_addresses(self, module: str) -> dict[str, str]:
        """Return variables with which a service talks to the backends themselves, not through its side."""
        usual = self._environments[module]
        names = ("DATABASE_URL", "AWS_ENDPOINT_URL", "PREDICTIONS_QUEUE_URL", "PREDICTIONS_DLQ_URL")
        endpoint = usual["AWS_ENDPOINT_URL"]
        return {name: usual[name] for name in names if name in usual} | {
            "AWS_ENDPOINT_URL_SQS": endpoint,
            "AWS_ENDPOINT_URL_SNS": endpoint,
        }

    def _through_sqs(self, url: str, side: Side) -> str:
        return _through(url, self.backends.emulator.port, side.sqs)


def _through(url: str, port: int, proxy: Proxy) -> str:
    return url.replace(f":{port}/", f":{proxy.port}/")


async def _stop(child: Child) -> None:
    """End a process and whatever it has started, without a grace: the history is over."""
    pid = child.pid
    if pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # it is the leader of a session of its own
    await child.wait()


@asynccontextmanager
async def open_stack(name: str, backends: Backends) -> AsyncIterator[FaultStack]:
    """Provide a database, queues, a bucket and an issuer while the block runs; it starts the services."""
    folder = backends.folder / name
    (folder / "state").mkdir(mode=0o755, parents=True)
    async with AsyncExitStack() as opened:
        database = f"{name}_{uuid.uuid4().hex[:8]}".replace("-", "_")
        await _create_database(backends.postgres, database)
        server = backends.postgres
        urls = DatabaseUrls(
            owner=server.dsn("postgres", database),
            producer=server.dsn(f"producer_api:{DATABASE_PASSWORD}", database),
            worker=server.dsn(f"consumer_worker:{DATABASE_PASSWORD}", database),
        )
        names = Names(
            queue=f"{name}-predictions",
            dead_letter_queue=f"{name}-predictions-dlq",
            bucket=f"{name}-files",
            topic=f"{name}-prediction-events",
        )
        provisioned = await provision(backends.emulator.endpoint_url, names)
        ports = Ports.free(1)
        issuer = Issuer(folder, ports.issuer)
        await opened.enter_async_context(issuer.serve())
        session = get_session()
        session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        create_client = partial(
            session.create_client, region_name=REGION, endpoint_url=backends.emulator.endpoint_url
        )
        stack = FaultStack(
            name,
            folder,
            backends,
            urls,
            provisioned,
            issuer,
            await opened.enter_async_context(asyncpg.create_pool(urls.owner, min_size=1, max_size=4)),
            await opened.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
            ),
            await opened.enter_async_context(create_client("sqs")),
            await opened.enter_async_context(create_client("s3")),
        )
        services = build_services(
            Ports(ports.api, ports.workers, ports.issuer, backends.emulator.port, backends.postgres.port),
            issuer,
            provisioned,
            urls,
            folder / "state",
        )
        for service in services:
            stack._environments[service.child._argv[-1]] = dict(service.child._env)
        await opened.enter_async_context(stack._opened)
        yield stack


async def _create_database(server: PostgresServer, database: str) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(f"create database {database} template {DATABASE}")
    finally:
        await connection.close()
