"""What the API reads and writes in the database: one method per operation, the SQL in `queries.sql`.

Reads, uploads, the background work and the readiness probe each have connections of their own, so that none
waits for another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Literal
from uuid import UUID

import aiosql
import asyncpg
from aiohttp import web

from retainwise_contracts.codec import MessageSource, encode, wrap
from retainwise_contracts.prediction_requested import PredictionRequestedV1

SCHEMA_REVISION = "0002"
"""The oldest schema revision this release works with. Newer revisions stay compatible by rule."""

CONNECT_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 5.0
RESET_TIMEOUT_SECONDS = 1.0
"""For the statement that resets a connection after its use; a connection that does not answer is cut."""

SWEEP_SECONDS = 1_800.0
"""How long one sweep may hold its connection, which is idle most of that time."""

Destination = Literal["predictions", "events"]
"""Where an outbox message is sent: to the SQS queue of requests or the SNS topic of events."""

_queries: Any = aiosql.from_str(files(__package__).joinpath("queries.sql").read_text("utf-8"), "asyncpg")


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


READ_LIMITS = PoolLimits(connections=3, wait_seconds=2.0, use_seconds=4.0)
"""A read takes about a millisecond. If the database hangs, it is answered after 6 seconds."""

WRITE_LIMITS = PoolLimits(connections=3, wait_seconds=3.0, use_seconds=5.0)
"""The transaction of an upload takes some milliseconds, and the gate admits few at the same time."""

BACKGROUND_LIMITS = PoolLimits(connections=5, wait_seconds=10.0, use_seconds=30.0, resets=True)
"""Two relays, each of which holds one while it sends, the purge, the sweep of uploads, and one to spare."""

PROBE_LIMITS = PoolLimits(connections=1, wait_seconds=1.5, use_seconds=1.0)


class Pool:
    """Some connections with limits in time, which hold even if the database takes data and never answers."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", limits: PoolLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._released_at = float("-inf")

    @asynccontextmanager
    async def connection(
        self, use_seconds: float | None = None
    ) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """Use a connection while the block runs.

        Raises:
            DatabaseBusy: none became free in time, but others were answered meanwhile.
            DatabaseUnavailable: the database cannot be reached or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            connection = await self._acquire()
            try:
                # Not a timeout of the task: its cancellation would wait for a rollback, which hangs as well.
                limit = loop.call_later(use_seconds or self._limits.use_seconds, connection.terminate)
                try:
                    yield connection
                finally:
                    limit.cancel()
            finally:
                await self._pool.release(connection, timeout=RESET_TIMEOUT_SECONDS)
            self._released_at = loop.time()
        except _UNAVAILABLE as error:
            raise DatabaseUnavailable("the database cannot be reached") from error

    async def close(self) -> None:
        """Close all connections; those that do not end in time are cut."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _acquire(self) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
        started = asyncio.get_running_loop().time()
        try:
            return await self._pool.acquire(timeout=self._limits.wait_seconds)
        except TimeoutError as error:
            if self._released_at > started:
                raise DatabaseBusy("all connections to the database are in use") from error
            raise


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
                    reset=None if limits.resets else _keep_session,
                    server_settings={
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


@dataclass(frozen=True)
class Prediction:
    """One row of `predictions`, as its tenant may see it. `summary`, `result` and `failure` are JSON."""

    prediction_id: UUID
    status: str
    model_name: str
    model_version: str
    requested_at: datetime
    sqs_queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    attempt: int
    retry_reason: str | None
    retry_at: datetime | None
    is_held: bool
    """Whether a worker holds an unexpired lease on it."""
    rows_total: int | None
    rows_scored: int | None
    rows_rejected: int | None
    summary: str | None
    result: str | None
    failure: str | None


@dataclass(frozen=True)
class OutboxMessage:
    """A message to be sent."""

    outbox_id: int
    message_id: UUID
    message_type: str
    prediction_id: UUID
    tenant_id: str
    traceparent: str | None
    body: str


class UnsentBatch:
    """Messages that only this transaction may send and mark; the marks are committed when the block ends."""

    def __init__(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        destination: Destination,
        messages: tuple[OutboxMessage, ...],
    ) -> None:
        self._connection = connection
        self._destination = destination
        self.messages = messages

    async def mark_sent(self, sent: Mapping[OutboxMessage, str]) -> None:
        """Mark messages as sent, each with the id that SQS or SNS gave it."""
        if not sent:
            return
        await _queries.mark_messages_sent(self._connection, outbox_ids=[m.outbox_id for m in sent])
        if self._destination == "predictions":
            await _queries.mark_predictions_queued(
                self._connection,
                prediction_ids=[message.prediction_id for message in sent],
                sqs_message_ids=list(sent.values()),
            )

    async def mark_failed(self, failed: Mapping[OutboxMessage, str]) -> None:
        """Store for each message why it was not accepted."""
        if failed:
            await _queries.mark_messages_failed(
                self._connection,
                outbox_ids=[message.outbox_id for message in failed],
                errors=list(failed.values()),
            )


class Store:
    """Uploads, predictions and the outbox in PostgreSQL.

    Every method raises `DatabaseUnavailable` when the database cannot be reached or does not answer in time,
    and `DatabaseBusy` when too many others use it.
    """

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    async def read_schema_revision(self) -> str:
        """Return the database's schema revision."""
        async with self._pools.probe.connection() as connection:
            return str(await _queries.read_schema_revision(connection))

    async def create_prediction(
        self,
        data: PredictionRequestedV1,
        *,
        upload_id: UUID,
        file_name: str | None,
        traceparent: str | None,
    ) -> Prediction:
        """Store an upload, its QUEUED prediction and the message that requests it, in one transaction."""
        message = wrap(data, source=MessageSource.PRODUCER_API, traceparent=traceparent)
        async with self._pools.writes.connection() as connection, connection.transaction():
            await _queries.insert_upload(
                connection,
                upload_id=upload_id,
                tenant_id=data.tenant_id,
                bucket=data.upload.bucket,
                object_key=data.upload.key,
                version_id=data.upload.version_id,
                file_name=file_name,
                size_bytes=data.upload.size_bytes,
                sha256=data.upload.sha256,
            )
            await _queries.insert_prediction(
                connection,
                prediction_id=data.prediction_id,
                tenant_id=data.tenant_id,
                upload_id=upload_id,
                model_name=data.model.name,
                model_version=data.model.version,
                requested_at=data.requested_at,
                deadline=data.deadline,
            )
            await _queries.insert_message(
                connection,
                destination="predictions",
                message_id=message.id,
                message_type=message.type,
                prediction_id=data.prediction_id,
                tenant_id=data.tenant_id,
                traceparent=traceparent,
                body=encode(message),
            )
            row = await _queries.read_prediction(
                connection, prediction_id=data.prediction_id, tenant_id=data.tenant_id
            )
        return Prediction(**row)

    async def read_prediction(self, prediction_id: UUID, tenant_id: str) -> Prediction | None:
        """Return a tenant's prediction; None if there is none or it belongs to another tenant."""
        async with self._pools.reads.connection() as connection:
            row = await _queries.read_prediction(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return Prediction(**row) if row is not None else None

    @asynccontextmanager
    async def lock_unsent(self, destination: Destination, *, at_most: int) -> AsyncIterator[UnsentBatch]:
        """Lock the next messages while the block runs; other replicas skip them."""
        async with self._pools.background.connection() as connection, connection.transaction():
            rows = _queries.lock_unsent_messages(connection, destination=destination, at_most=at_most)
            messages = tuple([OutboxMessage(**row) async for row in rows])
            yield UnsentBatch(connection, destination, messages)

    async def measure_outbox(self, destination: Destination) -> tuple[int, float]:
        """Return the number of unsent messages and the age of the oldest in seconds."""
        async with self._pools.background.connection() as connection:
            row = await _queries.measure_outbox(connection, destination=destination)
        return row["unsent"], row["lag_seconds"]

    async def purge_messages(self, *, sent_seconds_ago: float, at_most: int) -> int:
        """Delete messages sent at least this long ago whose prediction has ended; return how many."""
        async with self._pools.background.connection() as connection:
            status = await _queries.purge_messages(
                connection, sent_seconds_ago=sent_seconds_ago, at_most=at_most
            )
        return int(status.rpartition(" ")[2])

    @asynccontextmanager
    async def lock_sweep(self) -> AsyncIterator[bool]:
        """Hold the lock of the sweep while the block runs; yields False if another replica holds it.

        The lock belongs to the connection, so that it ends with the process.
        """
        async with self._pools.background.connection(use_seconds=SWEEP_SECONDS) as connection:
            async with asyncio.timeout(BACKGROUND_LIMITS.use_seconds):
                locked = bool(await _queries.lock_sweep(connection))
            yield locked  # asyncpg unlocks when it resets the connection, and cuts it if that takes too long

    async def find_uploads(self, upload_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Return those of these ids that have a row in `uploads`."""
        async with self._pools.background.connection() as connection:
            rows = _queries.find_uploads(connection, upload_ids=list(upload_ids))
            return frozenset([row["upload_id"] async for row in rows])


STORE = web.AppKey("store", Store)
