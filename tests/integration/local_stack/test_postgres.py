"""A PostgreSQL in a folder that its user may not enter: killed, restarted, removed."""

import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import asyncpg
import pytest

from deploy.local import postgres
from deploy.local.postgres import PostgresServer


@pytest.fixture
def strict_umask(monkeypatch):
    """New files are closed to others, and nothing is left of an earlier start."""
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))
    home.chmod(0o755)
    monkeypatch.setattr(postgres, "_SHARED_HOME", home / "retainwise")
    before = os.umask(0o077)
    yield
    os.umask(before)
    shutil.rmtree(home)


@pytest.fixture
def closed_folder(tmp_path, strict_umask):
    """A folder that only its owner may enter, like a home directory."""
    folder = tmp_path / "Bestände 2026"
    folder.mkdir()
    return folder


@pytest.fixture
async def start_server(closed_folder, tmp_path, unused_port):
    servers = []

    async def start() -> PostgresServer:
        server = PostgresServer(closed_folder / "postgres", unused_port(), log=tmp_path / "postgres.log")
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


async def add_row(server: PostgresServer) -> int:
    """Add a row and return the number of rows."""
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute("create table if not exists rows (id int)")
        await connection.execute("insert into rows values (1)")
        return int(await connection.fetchval("select count(*) from rows"))
    finally:
        await connection.close()


async def test_data_survives_a_kill_and_a_stop_but_not_its_folder(start_server, closed_folder):
    server = await start_server()
    assert await add_row(server) == 1
    os.kill(server.child.pid, signal.SIGKILL)
    await server.child.wait()
    await server.start()
    assert await add_row(server) == 2
    await server.stop()

    server = await start_server()
    assert await add_row(server) == 3
    await server.stop()

    assert stat.S_IMODE(closed_folder.stat().st_mode) == 0o700
    shutil.rmtree(closed_folder / "postgres")
    assert await add_row(await start_server()) == 1
    assert len([*postgres._SHARED_HOME.glob("*/data"), *closed_folder.glob("postgres/data")]) == 1
