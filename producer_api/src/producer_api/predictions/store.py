"""Predictions in PostgreSQL: one method per operation, the SQL in `queries.sql`."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from aiohttp import web

from producer_api.database import Database, load_queries
from producer_api.outbox.store import Destination
from retainwise_contracts.codec import Message, MessageSource, encode, wrap
from retainwise_contracts.prediction_finished import PredictionCancelledV1
from retainwise_contracts.prediction_requested import ModelReference, PredictionRequestedV1

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_queries = load_queries(__package__)


class MetadataTooLarge(Exception):
    """Metadata may have 16,384 bytes as JSON text."""


@dataclass(frozen=True)
class Prediction:
    """One row of `predictions` and its upload, as its tenant may see them.

    `summary`, `result`, `failure`, `mapping`, `options` and `metadata` are JSON. `mapping` and `options` are
    None in a row of a release that did not store them.
    """

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
    progress_rows: int | None
    progress_total: int | None
    summary: str | None
    result: str | None
    failure: str | None
    mapping: str | None
    options: str | None
    label: str | None
    metadata: str | None
    retry_of: UUID | None
    revision: int
    upload_id: UUID
    file_name: str | None
    size_bytes: int
    sha256: str

    @property
    def model(self) -> ModelReference:
        """The model it is scored with."""
        return ModelReference(name=self.model_name, version=self.model_version)


@dataclass(frozen=True)
class NewPrediction:
    """What is stored of a prediction besides the message that requests it."""

    upload_id: UUID
    label: str | None = None
    metadata: Mapping[str, Any] | None = None
    retry_of: UUID | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Filters:
    """Which predictions a list has. None leaves a filter out."""

    statuses: Sequence[str] | None = None
    model_name: str | None = None
    model_version: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    text: str | None = None
    """A part of the label or of the file's name, in any case."""


@dataclass(frozen=True)
class Event:
    """One row of `prediction_events`. `detail` is JSON."""

    sequence: int
    type: str
    at: datetime
    detail: str


class PredictionStore:
    """Predictions in PostgreSQL. Its methods raise what `Database` raises.

    Those that take a connection are parts of a transaction, which `write` begins and commits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def write(self, tenant_id: str) -> AsyncIterator[Connection]:
        """Begin a transaction of one tenant, which is committed when the block ends."""
        async with self._database.write(tenant_id) as connection:
            yield connection

    async def lock_upload(self, connection: Connection, upload_id: UUID, tenant_id: str) -> str | None:
        """Keep an upload as it is until the transaction ends, and return its state; None if it is gone."""
        state: str | None = await _queries.lock_upload(connection, upload_id=upload_id, tenant_id=tenant_id)
        return state

    async def create_prediction(
        self, connection: Connection, data: PredictionRequestedV1, new: NewPrediction
    ) -> Prediction:
        """Store a QUEUED prediction of a stored upload and the message that requests it.

        Raises:
            MetadataTooLarge: its metadata is.
        """
        with _checking_metadata():
            await _queries.insert_prediction(
                connection,
                prediction_id=data.prediction_id,
                tenant_id=data.tenant_id,
                upload_id=new.upload_id,
                model_name=data.model.name,
                model_version=data.model.version,
                mapping=_dump(data.mapping),
                options=data.options.model_dump_json(),
                label=new.label,
                metadata=_dump(new.metadata),
                retry_of=new.retry_of,
                requested_at=data.requested_at,
                deadline=data.deadline,
            )
        await _insert_message(connection, "predictions", data, new.traceparent)
        (prediction,) = await _read(connection, [data.prediction_id], data.tenant_id)
        return prediction

    async def read_prediction(self, prediction_id: UUID, tenant_id: str) -> Prediction | None:
        """Return a tenant's prediction; None if there is none or it belongs to another tenant."""
        async with self._database.read(tenant_id) as connection:
            return next(iter(await _read(connection, [prediction_id], tenant_id)), None)

    async def lock_prediction(
        self, connection: Connection, prediction_id: UUID, tenant_id: str
    ) -> Prediction | None:
        """Keep a prediction as it is until the transaction ends, and return it; None if there is none."""
        await _queries.lock_prediction(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return next(iter(await _read(connection, [prediction_id], tenant_id)), None)

    async def list_predictions(
        self,
        tenant_id: str,
        filters: Filters,
        *,
        newest_first: bool,
        after: tuple[datetime, UUID] | None,
        at_most: int,
    ) -> list[Prediction]:
        """Return a tenant's predictions that fit the filters, from the one that follows `after`.

        Args:
            tenant_id: whose.
            filters: which.
            newest_first: the order, by when they were requested.
            after: when the last one of the page before was requested, and its id.
            at_most: how many.
        """
        find = _queries.find_newest if newest_first else _queries.find_oldest
        after_at, after_id = after or (None, None)
        async with self._database.read(tenant_id) as connection:
            found = find(
                connection,
                tenant_id=tenant_id,
                statuses=filters.statuses,
                model_name=filters.model_name,
                model_version=filters.model_version,
                since=filters.since,
                until=filters.until,
                label=filters.label,
                pattern=filters.text and f"%{_escape_pattern(filters.text)}%",
                after_at=after_at,
                after_id=after_id,
                at_most=at_most,
            )
            ids = [row["prediction_id"] async for row in found]
            predictions = {
                prediction.prediction_id: prediction for prediction in await _read(connection, ids, tenant_id)
            }
        return [predictions[found_id] for found_id in ids if found_id in predictions]

    async def describe_prediction(
        self,
        connection: Connection,
        prediction_id: UUID,
        tenant_id: str,
        *,
        label: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> Prediction:
        """Store the label and the metadata of a locked prediction, and return it.

        Raises:
            MetadataTooLarge: its metadata is.
        """
        with _checking_metadata():
            await _queries.describe_prediction(
                connection,
                prediction_id=prediction_id,
                tenant_id=tenant_id,
                label=label,
                metadata=_dump(metadata),
            )
        (prediction,) = await _read(connection, [prediction_id], tenant_id)
        return prediction

    async def cancel_prediction(
        self, connection: Connection, prediction_id: UUID, tenant_id: str, *, traceparent: str | None
    ) -> Prediction | None:
        """End a prediction as CANCELLED, with the event for other teams; None if there is none to end."""
        row = await _queries.cancel_prediction(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        if row is None:
            return None
        event = PredictionCancelledV1(
            prediction_id=prediction_id,
            tenant_id=tenant_id,
            model=ModelReference(name=row["model_name"], version=row["model_version"]),
            attempts=row["attempt"],
            requested_at=row["requested_at"],
            finished_at=row["finished_at"],
        )
        await _insert_message(connection, "events", event, traceparent)
        (prediction,) = await _read(connection, [prediction_id], tenant_id)
        return prediction

    async def read_events(
        self, prediction_id: UUID, tenant_id: str, *, after: int, at_most: int
    ) -> list[Event]:
        """Return the next events of a prediction after the one with the sequence `after`."""
        async with self._database.read(tenant_id) as connection:
            rows = _queries.read_events(
                connection, prediction_id=prediction_id, tenant_id=tenant_id, after=after, at_most=at_most
            )
            return [Event(**row) async for row in rows]


PREDICTIONS = web.AppKey("predictions", PredictionStore)


def result_folder(tenant_id: str, prediction_id: UUID) -> str:
    """Return the prefix of all results of a prediction, each attempt's in a folder of its own."""
    return f"results/{tenant_id}/{prediction_id}/"


async def _read(connection: Connection, prediction_ids: Sequence[UUID], tenant_id: str) -> list[Prediction]:
    rows = _queries.read_predictions(connection, prediction_ids=prediction_ids, tenant_id=tenant_id)
    return [Prediction(**row) async for row in rows]


async def _insert_message(
    connection: Connection, destination: Destination, data: Message, traceparent: str | None
) -> None:
    message = wrap(data, source=MessageSource.PRODUCER_API, traceparent=traceparent)
    await _queries.insert_message(
        connection,
        destination=destination,
        message_id=message.id,
        message_type=message.type,
        prediction_id=data.prediction_id,
        tenant_id=data.tenant_id,
        traceparent=traceparent,
        body=encode(message),
    )


@contextmanager
def _checking_metadata() -> Iterator[None]:
    try:
        yield
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != "predictions_metadata_check":
            raise
        raise MetadataTooLarge(MetadataTooLarge.__doc__) from error


def _dump(content: Mapping[str, Any] | None) -> str | None:
    return None if content is None else orjson.dumps(content).decode()


def _escape_pattern(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
