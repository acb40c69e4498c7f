"""What the API reads and writes in the database: one method per operation, the SQL in `queries.sql`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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

SCHEMA_REVISION = "0001"
"""The oldest schema revision this release works with. Newer revisions stay compatible by rule."""

COMMAND_TIMEOUT_SECONDS = 10.0
"""For each statement, and for acquiring a connection: far more than a healthy database needs."""

Destination = Literal["predictions", "events"]
"""Where an outbox message is sent: to the SQS queue of requests or the SNS topic of events."""

_queries: Any = aiosql.from_str(files(__package__).joinpath("queries.sql").read_text("utf-8"), "asyncpg")


class DatabaseUnavailable(Exception):
    """The database cannot be reached, refuses the connection or does not answer in time."""


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

    Every method raises `DatabaseUnavailable` when the database cannot be reached or does not answer in time.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def read_schema_revision(self) -> str:
        """Return the database's schema revision."""
        async with self._connection() as connection:
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
        async with self._connection() as connection, connection.transaction():
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
        async with self._connection() as connection:
            row = await _queries.read_prediction(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return Prediction(**row) if row is not None else None

    @asynccontextmanager
    async def lock_unsent(self, destination: Destination, *, at_most: int) -> AsyncIterator[UnsentBatch]:
        """Lock the next messages while the block runs; other replicas skip them."""
        async with self._connection() as connection, connection.transaction():
            rows = _queries.lock_unsent_messages(connection, destination=destination, at_most=at_most)
            messages = tuple([OutboxMessage(**row) async for row in rows])
            yield UnsentBatch(connection, destination, messages)

    async def measure_outbox(self, destination: Destination) -> tuple[int, float]:
        """Return the number of unsent messages and the age of the oldest in seconds."""
        async with self._connection() as connection:
            row = await _queries.measure_outbox(connection, destination=destination)
        return row["unsent"], row["lag_seconds"]

    async def purge_messages(self, *, sent_seconds_ago: float, at_most: int) -> int:
        """Delete messages sent at least this long ago whose prediction has ended; return how many."""
        async with self._connection() as connection:
            status = await _queries.purge_messages(
                connection, sent_seconds_ago=sent_seconds_ago, at_most=at_most
            )
        return int(status.rpartition(" ")[2])

    @asynccontextmanager
    async def _connection(self) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        try:
            async with self._pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection:
                yield connection
        except (
            OSError,  # includes TimeoutError
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            asyncpg.PostgresConnectionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.OperatorInterventionError,
            asyncpg.CannotConnectNowError,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.ReadOnlySQLTransactionError,
        ) as error:
            raise DatabaseUnavailable("the database cannot be reached") from error


STORE = web.AppKey("store", Store)
