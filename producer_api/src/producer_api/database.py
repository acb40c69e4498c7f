"""The database: its pools of connections, and whose rows each of them may see.

Reads, writes, the background work and the readiness probe each have connections of their own, so that none
waits for another. The SQL is beside the code that needs it, in the `queries.sql` of each folder.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import aiosql
import asyncpg
from aiohttp import web

SCHEMA_REVISION = "0003"
"""The oldest schema revision this release works with. Newer revisions stay compatible by rule."""

CONNECT_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 5.0
RESET_TIMEOUT_SECONDS = 1.0
"""For the statement that resets a connection after its use; a connection that does not answer is cut."""

SWEEP_SECONDS = 1_800.0
"""How long one sweep may hold its connection, which is idle most of that time."""


class DatabaseUnavailable(Exception):
    """The database cannot be reached, refuses the connection or does not answer in time."""


class DatabaseBusy(Exception):
    """All connections were in use for too long, although the database answers."""


@dataclass(frozen=True)
class PoolLimits:
    """The limits of one pool of connections."""

    connections: int
    wait_seconds: float
    """For a connection to become free or to be opened."""
    use_seconds: float
    """For all statements that one use of a connection makes, including its end."""
    resets: bool = False
    """Whether a session is reset after each use, which costs a round trip before the answer."""
    role: str | None = None
    """What the sessions run as; None for the login's own role."""
    max_waiting: int = 1_000
    """So many may wait for a connection. One more is refused at once, since it would wait in vain."""


REQUESTS_ROLE = "retainwise_requests"
"""May do what one request of one tenant may, and sees that tenant's rows alone."""

READ_LIMITS = PoolLimits(
    connections=3, wait_seconds=2.0, use_seconds=4.0, role=REQUESTS_ROLE, max_waiting=300
)
"""A read takes about a millisecond. If the database hangs, it is answered after 6 seconds."""

WRITE_LIMITS = PoolLimits(
    connections=3, wait_seconds=3.0, use_seconds=5.0, role=REQUESTS_ROLE, max_waiting=100
)
"""The transaction of an upload takes some milliseconds, and the gate admits few at the same time."""

BACKGROUND_LIMITS = PoolLimits(connections=6, wait_seconds=10.0, use_seconds=30.0, resets=True)
"""Two relays, each of which holds one while it sends, the purge, the sweeps of uploads and of deletions, and
one to spare."""

PROBE_LIMITS = PoolLimits(connections=1, wait_seconds=1.5, use_seconds=1.0)


class Pool:
    """Some connections with limits in time, which hold even if the database takes data and never answers.

    asyncpg opens and resets the connections. One that was used without an error is kept here and used next:
    asyncpg would start two tasks for each use, which take longer than a read.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", limits: PoolLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._free = asyncio.Semaphore(limits.connections)
        self._kept: list[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]] = []
        self._released_at = float("-inf")
        self._waiting = 0

    @asynccontextmanager
    async def connection(
        self, use_seconds: float | None = None
    ) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """Use a connection while the block runs.

        Raises:
            DatabaseBusy: none became free in time, but others were answered meanwhile; or too many wait.
            DatabaseUnavailable: the database cannot be reached or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            await self._wait_for_turn()
            try:
                connection = await self._take()
                keeps = False
                try:
                    # Not a timeout of the task: its cancellation would wait for a rollback, which hangs too.
                    limit = loop.call_later(use_seconds or self._limits.use_seconds, connection.terminate)
                    try:
                        yield connection
                    finally:
                        limit.cancel()
                    keeps = not self._limits.resets and _is_usable(connection)
                finally:
                    if keeps:
                        self._kept.append(connection)
                    else:
                        await self._pool.release(connection, timeout=RESET_TIMEOUT_SECONDS)
            finally:
                self._free.release()
            self._released_at = loop.time()
        except _UNAVAILABLE as error:
            raise DatabaseUnavailable("the database cannot be reached") from error

    async def close(self) -> None:
        """Close all connections; those that do not end in time are cut."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                while self._kept:
                    await self._pool.release(self._kept.pop())
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _wait_for_turn(self) -> None:
        """Wait until fewer connections are used than there may be. Raises DatabaseBusy, TimeoutError."""
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        if self._waiting >= self._limits.max_waiting:
            raise DatabaseBusy("too many requests wait for a connection to the database")
        started = asyncio.get_running_loop().time()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            if self._released_at > started:
                raise DatabaseBusy("all connections to the database are in use") from error
            raise
        finally:
            self._waiting -= 1

    async def _take(self) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
        """Return a connection that was kept and is still open, or else a new one."""
        while self._kept:
            connection = self._kept.pop()
            if _is_usable(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.acquire(timeout=self._limits.wait_seconds)


def _is_usable(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> bool:
    """Return whether a connection is open and in no transaction."""
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:  # it has been closed, and the pool has taken it back
        return False


_UNAVAILABLE = (
    OSError,  # includes TimeoutError
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


@dataclass(frozen=True)
class Pools:
    """The connections of each kind of work."""

    reads: Pool
    writes: Pool
    background: Pool
    probe: Pool

    async def close(self) -> None:
        """Close all connections."""
        for pool in (self.reads, self.writes, self.background, self.probe):
            await pool.close()


async def _keep_session(_: object) -> None:
    """Leave a session as it is. asyncpg has rolled back a transaction that was left open."""


@asynccontextmanager
async def open_pools(url: str) -> AsyncIterator[Pools]:
    """Open the connections while the block runs.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError: none can be opened.
    """
    async with AsyncExitStack() as stack:

        async def open_pool(limits: PoolLimits) -> Pool:
            pool = Pool(
                await asyncpg.create_pool(
                    url,
                    min_size=1,
                    max_size=limits.connections,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    connection_class=_Session,
                    reset=None if limits.resets else _keep_session,
                    server_settings={
                        **({"role": limits.role} if limits.role else {}),
                        "application_name": "retainwise-producer-api",
                        # Work that nobody waits for any more must not keep the database busy.
                        "statement_timeout": str(int(limits.use_seconds * 1_000)),
                        # A host that has vanished must not keep its locks.
                        "idle_in_transaction_session_timeout": str(int(limits.use_seconds * 1_000)),
                    },
                ),
                limits,
            )
            stack.push_async_callback(pool.close)
            return pool

        yield Pools(
            reads=await open_pool(READ_LIMITS),
            writes=await open_pool(WRITE_LIMITS),
            background=await open_pool(BACKGROUND_LIMITS),
            probe=await open_pool(PROBE_LIMITS),
        )


class Database:
    """What a handler or a background task uses of the database.

    Every use raises `DatabaseUnavailable` when the database cannot be reached or does not answer in time, and
    `DatabaseBusy` when too many others use it.
    """

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    @asynccontextmanager
    async def read(self, tenant_id: str) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """Use a connection for reads of one tenant: it sees no other tenant's rows."""
        async with self.pools.reads.connection() as connection:
            await _use_tenant(connection, tenant_id)
            yield connection

    @asynccontextmanager
    async def write(
        self, tenant_id: str
    ) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """Use a connection for one transaction of one tenant, which is committed when the block ends."""
        async with self.pools.writes.connection() as connection:
            await _use_tenant(connection, tenant_id)
            async with connection.transaction():
                yield connection

    @asynccontextmanager
    async def background(
        self, use_seconds: float | None = None
    ) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """Use a connection for work that is no tenant's request: the relays, the purge and the sweeps."""
        async with self.pools.background.connection(use_seconds) as connection:
            yield connection

    async def read_schema_revision(self) -> str:
        """Return the database's schema revision."""
        async with self.pools.probe.connection() as connection:
            return str(await connection.fetchval("select version_num from alembic_version"))


DATABASE = web.AppKey("database", Database)


def load_queries(package: str) -> Any:  # noqa: ANN401 aiosql's queries have no types
    """Load the `queries.sql` of a folder of this package."""
    return aiosql.from_str(files(package).joinpath("queries.sql").read_text("utf-8"), "asyncpg")


class _Session(asyncpg.Connection):
    """A connection that knows for which tenant its session is set."""

    tenant_id: str | None = None

    async def use_tenant(self, tenant_id: str) -> None:
        """Let the session see this tenant's rows alone: row-level security reads the setting."""
        if self.tenant_id != tenant_id:
            await self.execute("select set_config('retainwise.tenant_id', $1, false)", tenant_id)
            self.tenant_id = tenant_id


async def _use_tenant(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", tenant_id: str) -> None:
    await cast("_Session", connection).use_tenant(tenant_id)  # the pool's proxy passes the call on
