"""Predictions in PostgreSQL: one method per operation, the SQL in `queries.sql`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiohttp import web

from producer_api.database import Database, load_queries
from retainwise_contracts.codec import MessageSource, encode, wrap
from retainwise_contracts.prediction_requested import PredictionRequestedV1

_queries = load_queries(__package__)


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


class PredictionStore:
    """Predictions in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        async with self._database.write(data.tenant_id) as connection:
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
        async with self._database.read(tenant_id) as connection:
            row = await _queries.read_prediction(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return Prediction(**row) if row is not None else None


PREDICTIONS = web.AppKey("predictions", PredictionStore)
