"""The local database: created, migrated, with a login for each service."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from deploy.local.errors import LocalStackError
from deploy.local.postgres import PostgresServer

DATABASE = "retainwise"
LOGINS = {"producer_api": "retainwise_producer", "consumer_worker": "retainwise_worker"}
"""Login users and the role of the migrations each is a member of."""

REQUEST_TIMEOUT_SECONDS = 30.0

DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, SQLAlchemyError, CommandError)
"""What its clients raise when it cannot be reached, or is gone in the middle; asyncpg's base has no name."""

_ALEMBIC = Path(__file__).parents[1] / "migrations" / "alembic.ini"


@dataclass(frozen=True)
class DatabaseUrls:
    """One database as its owner and as each service sees it."""

    owner: str
    producer: str
    worker: str


def database_urls(server: PostgresServer, database: str = DATABASE) -> DatabaseUrls:
    """Return the URLs of a database on the server."""
    return DatabaseUrls(
        owner=server.dsn("postgres", database),
        producer=server.dsn("producer_api", database),
        worker=server.dsn("consumer_worker", database),
    )


async def prepare_database(server: PostgresServer) -> DatabaseUrls:
    """Create the database if it is missing, migrate it, create the services' logins.

    Raises:
        LocalStackError: the database cannot be reached or prepared.
    """
    urls = database_urls(server)
    try:
        connection = await asyncpg.connect(server.dsn(), command_timeout=REQUEST_TIMEOUT_SECONDS)
        try:
            if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE}")
            await migrate(urls.owner)
            for login, role in LOGINS.items():
                if not await connection.fetchval("select true from pg_roles where rolname = $1", login):
                    await connection.execute(f"create role {login} login in role {role}")
        finally:
            await connection.close(timeout=REQUEST_TIMEOUT_SECONDS)
    except DATABASE_ERRORS as error:
        raise LocalStackError(f"the database at {server.dsn()} cannot be prepared: {error!r}") from error
    return urls


async def migrate(database_url: str) -> None:
    """Migrate a database to the newest schema, as `make migrate` does."""
    config = Config(_ALEMBIC)
    config.attributes["database_url"] = database_url
    await asyncio.to_thread(command.upgrade, config, "head")


async def requeue_unfinished(owner_url: str) -> int:
    """Have the relay resend unfinished predictions, whose messages the queue lost; return how many."""
    connection = await asyncpg.connect(owner_url, command_timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        done = await connection.execute(
            """
            update outbox set sent_at = null
            from predictions
            where predictions.prediction_id = outbox.prediction_id
                and outbox.destination = 'predictions'
                and outbox.sent_at is not null
                and predictions.finished_at is null
            """
        )
    finally:
        await connection.close(timeout=REQUEST_TIMEOUT_SECONDS)
    return int(done.removeprefix("UPDATE "))
