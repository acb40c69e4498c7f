"""The real services the tests use: a PostgreSQL, an SQS/S3 emulator and a token issuer, once per session.

Nothing is started for tests that use none of it. Each test that does has its own database and queues.
"""

import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from aiobotocore.session import AioSession, get_session

from deploy.local.database import DATABASE, DatabaseUrls, database_urls, prepare_database
from deploy.local.emulator import Emulator, prepare_environment
from deploy.local.issuer import Issuer
from deploy.local.postgres import PostgresServer
from deploy.local.provision import CREDENTIALS, REGION, Names, Provisioned, provision

ROOT = Path(__file__).parents[1]


FAULT_PLANTED, FAULT_SURVIVED = ("fault", "planted"), ("fault", "survived")
"""Properties that a test records which plants a fault, at its start and at its end."""


def figure(text):
    """Return the property a test records to have its measurement printed at the end."""
    return "figure", text


def pytest_terminal_summary(terminalreporter):
    """Print figures and how many planted faults were survived; only here are all processes' tests seen."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call"
    ]
    for report in reports:
        for name, text in report.user_properties:
            if name == figure.__name__:
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")
    planted = [report for report in reports if FAULT_PLANTED in report.user_properties]
    if planted:
        survived = sum(FAULT_SURVIVED in report.user_properties for report in planted)
        terminalreporter.write_line(f"faults survived {survived}/{len(planted)}")


@pytest.fixture(scope="session")
def unused_port():
    """A function that returns a free TCP port of 127.0.0.1 at each call."""

    def find() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return find


@pytest.fixture(scope="session")
async def postgres_server(tmp_path_factory, unused_port) -> AsyncIterator[PostgresServer]:
    """The session's PostgreSQL server, its template database migrated; tests take `database`."""
    folder = tmp_path_factory.mktemp("postgres")
    server = PostgresServer(folder / "server", unused_port(), log=folder / "postgres.log", durable=False)
    await server.start()
    try:
        await prepare_database(server)
        yield server
    finally:
        await server.stop()
        server.remove()


@pytest.fixture
async def database(postgres_server) -> AsyncIterator[DatabaseUrls]:
    """A fresh, migrated database: the URLs `.owner`, `.producer` and `.worker` of its users."""
    name = f"test_{uuid.uuid4().hex}"

    async def administer(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server.dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    await administer(f"create database {name} template {DATABASE}")
    yield database_urls(postgres_server, name)
    await administer(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
async def emulator_environment(tmp_path_factory) -> Path:
    """The Python environment of every emulator."""
    log = tmp_path_factory.mktemp("emulator-environment") / "install.log"
    return await prepare_environment(ROOT / ".local" / "environments", log)


@pytest.fixture
async def durable_emulator(tmp_path, unused_port, emulator_environment) -> AsyncIterator[Emulator]:
    """An emulator of the test's own, which keeps its state after a clean stop."""
    emulator = Emulator(
        tmp_path / "emulator",
        unused_port(),
        environment=emulator_environment,
        log=tmp_path / "emulator.log",
    )
    await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.fixture(scope="session")
async def emulator(tmp_path_factory, unused_port, emulator_environment) -> AsyncIterator[Emulator]:
    """The session's SQS/SNS/S3 emulator; tests take `aws`."""
    folder = tmp_path_factory.mktemp("emulator")
    emulator = Emulator(
        folder / "state",
        unused_port(),
        environment=emulator_environment,
        log=folder / "emulator.log",
        durable=False,
    )
    await emulator.start()
    try:
        yield emulator
    finally:
        await emulator.stop()


@pytest.fixture(scope="session")
def aws_session() -> AioSession:
    """One session for all clients of the tests: reading the SDK's service descriptions takes a while."""
    return get_session()


@dataclass(frozen=True)
class Aws:
    """Queues, bucket and topic of one test, and the environment that points a service to them."""

    endpoint_url: str
    region: str
    queue_url: str
    dlq_url: str
    bucket: str
    topic_arn: str
    env: dict[str, str]
    """What the SDK reads: endpoint, region and dummy credentials."""


@pytest.fixture
async def aws(emulator, monkeypatch) -> Aws:
    """Fresh queues, bucket and topic; the SDK's environment variables are set for this process as well."""
    suffix = uuid.uuid4().hex[:12]
    made: Provisioned = await provision(
        emulator.endpoint_url,
        Names(
            queue=f"predictions-{suffix}",
            dead_letter_queue=f"predictions-dlq-{suffix}",
            bucket=f"files-{suffix}",
            topic=f"prediction-events-{suffix}",
        ),
    )
    env = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Aws(
        endpoint_url=emulator.endpoint_url,
        region=REGION,
        queue_url=made.queue_url,
        dlq_url=made.dlq_url,
        bucket=made.bucket,
        topic_arn=made.topic_arn,
        env=env,
    )


@pytest.fixture(scope="session")
async def issuer(tmp_path_factory, unused_port) -> AsyncIterator[Issuer]:
    """A token issuer that answers at `.jwks_url`; `.mint(tenant_id, expires_in=…)` gives a token."""
    issuer = Issuer(tmp_path_factory.mktemp("issuer"), unused_port())
    async with issuer.serve():
        yield issuer
