"""The migration as the one-off task that it is in production, under its own policy."""

import os
import sys
from pathlib import Path

import asyncpg
import pytest

from deploy.checks.enforced.emulator import open_operator_client
from deploy.local.postgres import PostgresServer
from deploy.local.process import Child
from deploy.local.provision import REGION

OWNER_PASSWORD = "pass/wörd@of:the?owner"


def ask_for_passwords(rules):
    trusted = rules.read_text()
    rules.write_text("host all producer_api,consumer_worker 127.0.0.1/32 scram-sha-256\n" + trusted)


@pytest.fixture
async def guarded_server(tmp_path_factory, unused_port):
    """A PostgreSQL server that asks the services, but not the owner, for their passwords."""
    folder = tmp_path_factory.mktemp("guarded")
    server = PostgresServer(folder / "server", unused_port(), log=folder / "postgres.log", durable=False)
    await server.start()
    connection = await asyncpg.connect(server.dsn())
    try:
        ask_for_passwords(Path(await connection.fetchval("show hba_file")))
        await connection.execute("select pg_reload_conf()")
        await connection.execute("create database retainwise")
    finally:
        await connection.close()
    yield server
    await server.stop()
    server.remove()


@pytest.fixture
def run_task(stack, guarded_server, tmp_path):
    async def run(**changed):
        child = Child(
            "migrate",
            [sys.executable, "-m", "deploy.migrations"],
            env={
                "PATH": os.environ["PATH"],
                **stack.credentials["migrate"],
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{stack.ports.emulator}",
                "AWS_REGION": REGION,
                "DATABASE_HOST": "127.0.0.1",
                "DATABASE_PORT": str(guarded_server.port),
                "DATABASE_NAME": "retainwise",
                "OWNER_USER": "postgres",
                "OWNER_PASSWORD": OWNER_PASSWORD,
                "PRODUCER_SECRET_ARN": stack.arns["producer_secret_arn"],
                "WORKER_SECRET_ARN": stack.arns["worker_secret_arn"],
                "DATABASE_TLS": "sslmode=disable",
                **changed,
            },
            log=tmp_path / "migrate.log",
        )
        await child.start()
        code = await child.wait()
        log = (tmp_path / "migrate.log").read_text()
        assert OWNER_PASSWORD not in log
        return code, log

    return run


@pytest.fixture
def read_urls(stack):
    async def read():
        async with open_operator_client(
            "secretsmanager", f"http://127.0.0.1:{stack.ports.emulator}"
        ) as client:
            return [
                (await client.get_secret_value(SecretId=stack.arns[f"{service}_secret_arn"]))["SecretString"]
                for service in ("producer", "worker")
            ]

    return read


async def role_of(url):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(
            "select string_agg(role.rolname, ',') from pg_auth_members "
            "join pg_roles role on role.oid = roleid join pg_roles self on self.oid = member "
            "where self.rolname = current_user"
        )
    finally:
        await connection.close()


async def test_task_makes_schema_logins_and_secrets_and_changes_nothing_twice(
    run_task, read_urls, guarded_server
):
    code, log = await run_task()
    assert code == 0, log
    urls = await read_urls()
    assert [await role_of(url) for url in urls] == ["retainwise_producer", "retainwise_worker"]

    code, log = await run_task()
    assert code == 0, log
    assert await read_urls() == urls
    assert "written" not in log.partition("migration_complete")[2]

    connection = await asyncpg.connect(guarded_server.dsn(database="retainwise"))
    await connection.execute("alter role producer_api password 'of somebody else'")
    await connection.close()
    code, log = await run_task()
    assert code == 0, log
    assert await role_of(urls[0]) == "retainwise_producer"  # the secret's password is the right one


async def test_task_ends_with_the_name_of_a_missing_setting(run_task):
    code, log = await run_task(DATABASE_HOST="")
    assert code == 2
    assert "DATABASE_HOST" in log


async def test_task_ends_with_a_reason_if_the_database_is_unavailable(run_task, unused_port):
    code, log = await run_task(DATABASE_PORT=str(unused_port()))
    assert code == 1
    assert "migration_failed" in log
