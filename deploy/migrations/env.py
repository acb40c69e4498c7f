"""Runs the migrations against DATABASE_URL, one process at a time, each revision in its own transaction."""

import asyncio
import os

import asyncpg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

LOCK_KEY = 0x52657461696E  # "Retain": the advisory lock that every migration of this database takes
CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT = "60s"
"""On a table in use it is better to fail and retry than to queue every request behind the migration."""


async def _connect() -> asyncpg.Connection:
    """Connect as the services do: asyncpg reads the whole URL, `?sslmode=verify-full` included."""
    url = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not url:
        raise CommandError("DATABASE_URL is not set. Set it to: postgresql://owner:password@host:5432/name")
    try:
        return await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"lock_timeout": LOCK_TIMEOUT}
        )
    except (asyncpg.InterfaceError, asyncpg.PostgresError, OSError, ValueError) as error:
        raise CommandError(
            f"the database at DATABASE_URL cannot be reached: {str(error) or repr(error)}"
        ) from error


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _migrate() -> None:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=_connect, poolclass=NullPool)
    try:
        async with engine.connect() as locking, engine.connect() as migrating:
            await locking.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            await migrating.run_sync(_run)
    finally:
        await engine.dispose()


asyncio.run(_migrate())
