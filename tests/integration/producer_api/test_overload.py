"""A database that hangs, and more clients than there are slots: answers stay honest and in time."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from producer_api.database import DATABASE, READ_LIMITS, DatabaseBusy, open_pools
from tests.conftest import figure

MAX_READ_P99_SECONDS = 0.3


class SilentProxy:
    """Forwards TCP connections until it is silenced: then it takes what it is sent and says nothing."""

    def __init__(self, host, port):
        self._upstream = host, port
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._tasks = set()
        self.url = ""

    def silence(self):
        self._speaks.clear()

    def resume(self):
        self._speaks.set()

    async def connect(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            await self._speaks.wait()
            upstream = await asyncio.open_connection(*self._upstream)
            await asyncio.gather(self._forward(reader, upstream[1]), self._forward(upstream[0], writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _forward(self, reader, writer):
        try:
            while data := await reader.read(65_536):
                await self._speaks.wait()
                writer.write(data)
        finally:
            writer.close()

    def stop(self):
        for task in self._tasks:
            task.cancel()


@pytest.fixture
async def silent_proxy(database):
    """A proxy in front of the database, with the URL to use."""
    url = urlsplit(database.producer)
    proxy = SilentProxy(url.hostname, url.port)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy.url = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{port}").geturl()
    yield proxy
    server.close()
    proxy.stop()


async def test_hanging_database_is_reported_in_time(start_api, silent_proxy, customers, until):
    async with start_api(database_url=silent_proxy.url) as api:
        path = "/v1/predictions/00000000-0000-0000-0000-000000000000"
        assert (await api.get(path))[0] == 404
        silent_proxy.silence()

        async def timed(request):
            started = time.monotonic()
            status, problem = await request
            return status, problem.get("code"), time.monotonic() - started

        reading = [asyncio.create_task(timed(api.get(path))) for _ in range(20)]
        writing = [asyncio.create_task(timed(api.post(customers))) for _ in range(5)]
        slowest = 0.0
        while not all(task.done() for task in reading + writing):
            started = time.monotonic()
            await api.get("/readyz")
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.02)
        for task in reading + writing:
            status, code, seconds = task.result()
            assert (status, code) == (503, "database_unavailable")
            assert seconds < 10
        assert slowest < 3

        async def not_ready():
            return (await api.get("/readyz"))[0] == 503

        await until(not_ready)
        silent_proxy.resume()

        async def ready():
            return (await api.get("/readyz"))[0] == 200

        await until(ready)
        assert (await api.get(path))[0] == 404
        assert (await api.post(customers))[0] == 202


async def test_waiting_uploads_do_not_delay_reads(start_api, customers, record_property):
    """All connections for writes are taken: reads, probes and the relay have their own."""
    async with start_api() as api:
        status, prediction = await api.post(customers)
        assert status == 202
        pool = api.app[DATABASE].pools.writes
        async with pool.connection(30), pool.connection(30), pool.connection(30):
            waiting = [asyncio.create_task(api.post(customers)) for _ in range(8)]
            seconds = []
            for _ in range(200):
                started = time.monotonic()
                assert (await api.get(prediction["links"]["self"]))[0] == 200
                seconds.append(time.monotonic() - started)
            assert (await api.get("/readyz"))[0] == 200
            assert not any(task.done() for task in waiting)
        assert {status for status, _ in await asyncio.gather(*waiting)} == {202}
        p99 = sorted(seconds)[int(len(seconds) * 0.99)]
        record_property(*figure(json.dumps({"read_p99_ms_while_uploads_wait": round(p99 * 1_000)})))
        assert p99 < MAX_READ_P99_SECONDS


async def test_full_pool_is_overload_and_not_an_outage(start_api):
    async with start_api() as api:
        pool = api.app[DATABASE].pools.reads
        path = "/v1/predictions/00000000-0000-0000-0000-000000000000"

        async def hold():
            async with pool.connection(30):
                await asyncio.Event().wait()

        async with AsyncExitStack() as first:
            await first.enter_async_context(pool.connection(30))
            holding = [asyncio.create_task(hold()) for _ in range(3)]  # one of them waits for the first
            await asyncio.sleep(0.1)
            reading = asyncio.create_task(api.get(path))
            await asyncio.sleep(0.1)
        status, problem = await reading
        for task in holding:
            task.cancel()
        await asyncio.wait(holding)
        assert (status, problem["code"]) == (503, "overloaded")


async def test_session_is_reset_only_where_it_holds_a_lock(database):
    async with open_pools(database.producer) as pools:
        locks = {}
        for name in ("reads", "writes", "background", "probe"):
            pool = getattr(pools, name)
            async with pool.connection() as connection:
                await connection.fetchval("select pg_advisory_lock(7)")
            async with pool.connection() as connection:
                locks[name] = await connection.fetchval(
                    "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
                )
                await connection.execute("select pg_advisory_unlock_all()")
    assert locks == {"reads": 1, "writes": 1, "background": 0, "probe": 1}


async def test_open_transaction_does_not_outlive_its_use(database):
    async with open_pools(database.producer) as pools:
        async with pools.writes.connection() as connection:
            await connection.execute("begin; select 1")
        async with pools.writes.connection() as connection:
            assert not connection.is_in_transaction()


async def test_request_that_would_wait_in_vain_is_refused_at_once(database, monkeypatch):
    limits = replace(READ_LIMITS, connections=1, wait_seconds=60.0, max_waiting=2)
    monkeypatch.setattr("producer_api.database.READ_LIMITS", limits)
    may_end = asyncio.Event()

    async def use(pools) -> None:
        async with pools.reads.connection() as connection:
            await may_end.wait()
            assert await connection.fetchval("select 1") == 1

    async with open_pools(database.producer) as pools, asyncio.TaskGroup() as tasks:
        for _ in range(1 + limits.max_waiting):
            tasks.create_task(use(pools))
        while pools.reads._waiting < limits.max_waiting:
            await asyncio.sleep(0)
        with pytest.raises(DatabaseBusy):
            await use(pools)
        may_end.set()


async def test_connection_that_was_used_is_used_again_unless_it_is_closed(database):
    async def backend(pools, *, closes: bool = False) -> int:
        async with pools.reads.connection() as connection:
            pid = int(await connection.fetchval("select pg_backend_pid()"))
            if closes:
                connection.terminate()
            return pid

    async with open_pools(database.producer) as pools:
        first = await backend(pools)
        assert await backend(pools, closes=True) == first
        second = await backend(pools)
        assert second != first
        assert await backend(pools) == second
