"""`python -m alembic --config deploy/migrations/alembic.ini upgrade head`, as a release runs it."""

import asyncio
import os
import sys
import uuid

import asyncpg
import pytest

from tests.conftest import ROOT

LOCK_KEY = 0x52657461696E  # of deploy/migrations/env.py
WAITING = (
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
)


async def migrate(**env: str) -> tuple[int | None, str]:
    """Run the command and return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", "--config", "deploy/migrations/alembic.ini", "upgrade", "head"),
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.fixture
async def empty_database(postgres_server):
    """The URL of a database without a schema."""
    name = f"empty_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_server.dsn())
    try:
        await connection.execute(f"create database {name}")
        yield postgres_server.dsn(database=name)
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


async def test_concurrent_migrations_take_turns_and_accept_tls_options_in_the_url(empty_database):
    url = f"{empty_database}?sslmode=prefer"
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK_KEY)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            runs = [group.create_task(migrate(DATABASE_URL=url)) for _ in range(2)]
            while await connection.fetchval(WAITING) < len(runs):
                await asyncio.sleep(0.05)
            assert await connection.fetchval("select to_regclass('alembic_version')") is None
            await connection.execute("select pg_advisory_unlock($1)", LOCK_KEY)

        assert [run.result()[0] for run in runs] == [0, 0], [run.result() for run in runs]
        assert len(await connection.fetch("select version_num from alembic_version")) == 1
        assert await connection.fetchval("select count(*) from predictions") == 0
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "mysql://owner:secret@127.0.0.1/x"}, "invalid DSN"),
        ({"DATABASE_URL": "postgresql://owner:secret@127.0.0.1:1/x"}, "cannot be reached"),
    ],
    ids=["missing", "other scheme", "no server"],
)
async def test_unusable_url_is_reported_in_one_sentence_without_its_password(env, sentence):
    code, output = await migrate(**env)

    assert code != 0
    assert sentence in output
    assert "Traceback" not in output
    assert "secret" not in output
