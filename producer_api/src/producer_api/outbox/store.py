"""What the relays read and write: unsent messages, locked by the transaction that sends them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from producer_api.database import Database, load_queries

Destination = Literal["predictions", "events"]
"""Where an outbox message is sent: to the SQS queue of requests or the SNS topic of events."""

_queries = load_queries(__package__)


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


class OutboxStore:
    """The outbox in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def lock_unsent(self, destination: Destination, *, at_most: int) -> AsyncIterator[UnsentBatch]:
        """Lock the next messages while the block runs; other replicas skip them."""
        async with self._database.background() as connection, connection.transaction():
            rows = _queries.lock_unsent_messages(connection, destination=destination, at_most=at_most)
            messages = tuple([OutboxMessage(**row) async for row in rows])
            yield UnsentBatch(connection, destination, messages)

    async def measure_outbox(self, destination: Destination) -> tuple[int, float]:
        """Return the number of unsent messages and the age of the oldest in seconds."""
        async with self._database.background() as connection:
            row = await _queries.measure_outbox(connection, destination=destination)
        return row["unsent"], row["lag_seconds"]

    async def purge_messages(self, *, sent_seconds_ago: float, at_most: int) -> int:
        """Delete messages sent at least this long ago whose prediction has ended; return how many."""
        async with self._database.background() as connection:
            status = await _queries.purge_messages(
                connection, sent_seconds_ago=sent_seconds_ago, at_most=at_most
            )
        return int(status.rpartition(" ")[2])
