"""Runs the migrations against DATABASE_URL, one process at a time, each revision in its own transaction."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

LOCK_KEY = 0x52657461696E  # "Retain": the advisory lock that all who migrate this database take
CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT = "60s"
"""For a table that is in use: better to fail and try again than to queue every request behind a migration."""


def _database_url() -> str:
    url = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("DATABASE_URL is not set. Set it to: postgresql://owner:password@host:5432/name")
    return str(url)


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _migrate() -> None:
    engine = create_async_engine(
        make_url(_database_url()).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"lock_timeout": LOCK_TIMEOUT}},
    )
    try:
        async with engine.connect() as locking, engine.connect() as migrating:
            await locking.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            await migrating.run_sync(_run)
    finally:
        await engine.dispose()


asyncio.run(_migrate())
