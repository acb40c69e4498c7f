"""The local stack that the checks share: real parts, one API and two workers as processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiobotocore.session import get_session

from deploy.local.database import database_urls, prepare_database
from deploy.local.emulator import Emulator, prepare_environment
from deploy.local.issuer import Issuer
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import PostgresServer
from deploy.local.provision import CREDENTIALS, REGION, provision
from deploy.local.services import Service, build_services
from deploy.local.sign_in import SignIn

ROOT = Path(__file__).parents[2]
ORIGIN = "http://localhost:5173"
"""An origin that the local stack's API allows."""

WORKERS = 2
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"})
END_SECONDS = 120.0
"""For a prediction to end, on a busy machine."""

CUSTOMERS = (
    b"customerID,tenure,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    b"a-1,2,Month-to-month,70.35,Fiber optic,Electronic check\n"
    b"a-2,60,Two year,20.10,No,Mailed check\n"
    b"a-3,9,Month-to-month,89.90,Fiber optic,Electronic check\n"
)


@dataclass(frozen=True)
class Answer:
    """An answer of the API; `content` is its JSON, or else its bytes."""

    status: int
    headers: Any
    content: Any


class Tenant:
    """A client of the API with a token."""

    def __init__(self, http: aiohttp.ClientSession, url: str, tenant_id: str, token: str) -> None:
        self.tenant_id = tenant_id
        self.headers = {"Authorization": f"Bearer {token}"}
        self._http = http
        self._url = url

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request; options as aiohttp's."""
        headers = self.headers | options.pop("headers", {})
        async with self._http.request(method, f"{self._url}{path}", headers=headers, **options) as response:
            content: Any = await response.read()
            if response.content_type.endswith("json"):
                content = await response.json(content_type=None)
            return Answer(response.status, response.headers, content)

    async def get(self, path: str, **options: Any) -> Answer:
        """GET a path."""
        return await self.send("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        """POST to a path."""
        return await self.send("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        """PUT to a path."""
        return await self.send("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> Answer:
        """PATCH a path."""
        return await self.send("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        """DELETE a path."""
        return await self.send("DELETE", path, **options)

    async def predict(self, content: bytes = CUSTOMERS, **parameters: str) -> dict[str, Any]:
        """Upload a file that must be accepted; return its prediction."""
        answer = await self.post(
            "/v1/predictions", data=content, params=parameters, headers={"Content-Type": "text/csv"}
        )
        assert answer.status == 202, answer
        return dict(answer.content)

    async def finished(self, prediction_id: str) -> dict[str, Any]:
        """Wait until a prediction has ended; return it."""
        async with asyncio.timeout(END_SECONDS):
            while True:
                answer = await self.get(f"/v1/predictions/{prediction_id}")
                assert answer.status == 200, answer
                if answer.content["status"] in FINAL:
                    return dict(answer.content)
                await asyncio.sleep(0.1)


@dataclass
class ApiStack:
    """One RetainWise that runs, and its parts."""

    folder: Path
    api: Service
    workers: list[Service]
    issuer: Issuer
    sign_in: SignIn
    bucket: str
    owner: "asyncpg.Pool[asyncpg.Record]"
    http: aiohttp.ClientSession
    s3: Any
    sqs: Any
    origin: str = ORIGIN
    _replicas: int = field(default=0)

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.api.url

    def tenant(self, name: str, url: str | None = None) -> Tenant:
        """Return a tenant that nobody else is; `url` is another replica's."""
        tenant_id = f"{name}-{uuid.uuid4().hex[:8]}"
        return Tenant(self.http, url or self.url, tenant_id, self.issuer.mint(tenant_id))

    def api_memory_mb(self, field: str = "VmHWM") -> float:
        """Return the API's memory in MB: VmHWM is its peak, VmRSS what it has now."""
        for line in Path(f"/proc/{self.api.child.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1_000_000
        raise LookupError(field)

    def log(self) -> str:
        """Return what the API has logged so far."""
        return self.api.child.log.read_text(errors="replace")

    @asynccontextmanager
    async def replica(self, **settings: str) -> AsyncIterator[str]:
        """Run one more API with other settings while the block runs; yields its URL."""
        async with self.replica_process(**settings) as service:
            yield service.url

    @asynccontextmanager
    async def replica_process(self, **settings: str) -> AsyncIterator[Service]:
        """Run one more API with other settings while the block runs."""
        self._replicas += 1
        port = Ports.free(0).api
        name = f"replica-{self._replicas}"
        service = Service(
            name,
            "producer_api",
            port,
            env={**self.api.child._env, "HTTP_PORT": str(port), **settings},
            log=self.folder / "logs" / f"{name}.log",
        )
        try:
            await service.start()
            yield service
        finally:
            await service.child.stop()


@asynccontextmanager
async def open_stack(folder: Path, **settings: str) -> AsyncIterator[ApiStack]:
    """Run everything while the block runs; `settings` are of the API."""
    (folder / "logs").mkdir(mode=0o755, parents=True, exist_ok=True)
    (folder / "scratch").mkdir(mode=0o700)
    ports = Ports.free(WORKERS)
    environment = await prepare_environment(ROOT / ".local" / "environments", folder / "install.log")
    server = PostgresServer(
        folder / "postgres", ports.postgres, log=folder / "logs" / "postgres.log", durable=False
    )
    emulator = Emulator(
        folder / "emulator",
        ports.emulator,
        environment=environment,
        log=folder / "logs" / "emulator.log",
        durable=False,
    )
    async with AsyncExitStack() as started:
        started.callback(server.remove)
        started.push_async_callback(server.stop)
        started.push_async_callback(emulator.stop)
        await asyncio.gather(server.start(), emulator.start())
        await prepare_database(server)
        provisioned = await provision(emulator.endpoint_url)
        issuer = Issuer(folder, ports.issuer)
        sign_in = SignIn(issuer.mint, f"http://{HOST}:{ports.api}")
        await started.enter_async_context(issuer.serve(sign_in.routes()))
        urls = database_urls(server)
        api, *workers = build_services(ports, issuer, provisioned, urls, folder)
        api.child._env = {**api.child._env, **settings}
        for service in (api, *workers):
            started.push_async_callback(service.child.stop)
        await asyncio.gather(*(service.start() for service in (api, *workers)))
        session = get_session()
        session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        client = partial(session.create_client, region_name=REGION, endpoint_url=emulator.endpoint_url)
        connector = aiohttp.TCPConnector(limit=0)
        yield ApiStack(
            folder,
            api,
            workers,
            issuer,
            sign_in,
            provisioned.bucket,
            await started.enter_async_context(asyncpg.create_pool(urls.owner, min_size=1, max_size=4)),
            await started.enter_async_context(aiohttp.ClientSession(connector=connector)),
            await started.enter_async_context(client("s3")),
            await started.enter_async_context(client("sqs")),
        )
