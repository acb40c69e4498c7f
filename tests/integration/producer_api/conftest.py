"""The API in this process, on a real socket, with a real database, AWS emulator and token issuer."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiobotocore.session import AioSession, get_session
from aiohttp import web
from prometheus_client import CollectorRegistry

from producer_api.app import create_app
from producer_api.health import create_admin_app
from producer_api.http.connections import Connections, Site
from producer_api.server import create_runner
from producer_api.settings import Settings
from producer_api.telemetry import METRICS

ORIGIN = "https://app.example.com"

CUSTOMERS = (
    b"customerID,tenure,Contract,MonthlyCharges,InternetService\n"
    b"a-1,2,Month-to-month,70.35,Fiber optic\n"
    b"a-2,60,Two year,20.10,No\n"
)


@pytest.fixture(scope="session")
def customers() -> bytes:
    """A small file the shipped model can score."""
    return CUSTOMERS


@pytest.fixture
def environment(database, aws, issuer) -> dict[str, str]:
    """The environment variables of a process of the API."""
    variables: dict[str, str] = aws.env | {
        "DATABASE_URL": database.producer,
        "PREDICTIONS_QUEUE_URL": aws.queue_url,
        "PREDICTION_EVENTS_TOPIC_ARN": aws.topic_arn,
        "BUCKET_NAME": aws.bucket,
        "JWKS_URL": issuer.jwks_url,
        "JWT_ISSUER": issuer.issuer,
        "JWT_AUDIENCE": issuer.audience,
        "CORS_ALLOWED_ORIGINS": ORIGIN,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "ADMIN_PORT": "0",
        "SHUTDOWN_DELAY_SECONDS": "0",
    }
    return variables


@dataclass(frozen=True)
class Api:
    """A running API and a client of the tenant `acme`."""

    app: web.Application
    port: int
    http: aiohttp.ClientSession
    registry: CollectorRegistry
    admin_url: str

    async def post(self, body: Any = CUSTOMERS, **options: Any) -> tuple[int, Any]:
        """Send a file and return the status and the JSON of the answer."""
        options.setdefault("headers", {}).setdefault("Content-Type", "text/csv")
        async with self.http.post("/v1/predictions", data=body, **options) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """Get a path and return the status and the JSON of the answer."""
        async with self.http.get(path, **options) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture(scope="session")
def aws_session() -> AioSession:
    """One for all tests: to read the service models takes longer than most of them."""
    return get_session()


@pytest.fixture
def start_api(environment, issuer, aws_session):
    """A function that runs an API while the block lasts; settings may be overridden by name."""

    @asynccontextmanager
    async def start(**settings: str) -> AsyncIterator[Api]:
        with pytest.MonkeyPatch.context() as variables:
            for name, value in (environment | settings).items():
                variables.setenv(name.upper(), value)
            # The server waits for unfinished bodies, and some tests leave one.
            variables.setattr("producer_api.server.ANSWER_SECONDS", 0.5)
            registry = CollectorRegistry()
            # And they wait for what is noticed by a probe.
            variables.setattr("producer_api.health.PROBE_SECONDS", 0.1)
            settings_read = Settings()
            app = create_app(settings_read, registry=registry, aws=aws_session)
            runner = create_runner(app)
            admin_runner = create_runner(create_admin_app(app))
            await runner.setup()
        try:
            await admin_runner.setup()
            connections = Connections(settings_read.max_connections, app[METRICS])
            await Site(runner, "127.0.0.1", 0, connections).start()
            await Site(admin_runner, "127.0.0.1", 0, connections).start()
            port = runner.addresses[0][1]
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {issuer.mint('acme')}"}
            ) as http:
                yield Api(app, port, http, registry, f"http://127.0.0.1:{admin_runner.addresses[0][1]}")
        finally:
            await runner.cleanup()
            await admin_runner.cleanup()

    return start


class Process:
    """A process of the API, with the JSON lines it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []

    async def line(self, event: str) -> dict[str, object]:
        """Wait for a line of the log."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while written := await self.process.stdout.readline():
                self.lines.append(json.loads(written))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"it ended without {event}: {self.lines}")

    async def ended(self) -> int:
        """Wait for the process to end and return its exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while written := await self.process.stdout.readline():
                self.lines.append(json.loads(written))
            return await self.process.wait()


@pytest.fixture
def start_process(environment):
    """A function that runs `python -m producer_api` while the block lasts."""

    @asynccontextmanager
    async def start(*arguments: str, ulimit: str = "", **variables: str) -> AsyncIterator[Process]:
        command = [sys.executable, "-m", "producer_api", *arguments]
        if ulimit:
            command = ["sh", "-c", f'ulimit -n {ulimit}; exec "$@"', "sh", *command]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | environment | variables,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield Process(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


@pytest.fixture
async def api(start_api) -> AsyncIterator[Api]:
    """A running API with the default settings."""
    async with start_api() as api:
        yield api


@pytest.fixture
async def owner(database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection of the database's owner, who may read and change everything."""
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def s3(aws, aws_session):
    """An S3 client of the test's own."""
    async with aws_session.create_client("s3", endpoint_url=aws.endpoint_url) as client:
        yield client


@pytest.fixture
async def sqs(aws, aws_session):
    """An SQS client of the test's own."""
    async with aws_session.create_client("sqs", endpoint_url=aws.endpoint_url) as client:
        yield client


@pytest.fixture(scope="session")
def until():
    """A function that waits for an asynchronous condition to hold."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await condition():
                await asyncio.sleep(0.02)

    return wait
