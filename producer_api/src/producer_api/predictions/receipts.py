"""Deletions in PostgreSQL: what goes with a prediction, and the receipt that stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from producer_api.database import Database, load_queries
from producer_api.predictions.store import Connection
from retainwise_contracts.status import PredictionStatus

_queries = load_queries(__package__)


@dataclass(frozen=True)
class Doomed:
    """What a deletion begins with. `result` is JSON, or None if the prediction has none."""

    status: PredictionStatus
    result: str | None
    upload_id: UUID
    object_key: str
    sha256: str
    is_sent: bool
    """Whether all its messages are sent: what is unsent would be deleted with it."""


@dataclass(frozen=True)
class DueReceipt:
    """A deletion whose objects are to be looked for."""

    prediction_id: UUID
    tenant_id: str
    object_keys: tuple[str, ...]


class ReceiptStore:
    """Deletions in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_doomed(self, prediction_id: UUID, tenant_id: str) -> Doomed | None:
        """Return what is to be deleted with a prediction; None if there is none."""
        async with self._database.read(tenant_id) as connection:
            row = await _queries.read_doomed(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return Doomed(**{**row, "status": PredictionStatus(row["status"])}) if row is not None else None

    async def read_receipt(self, prediction_id: UUID, tenant_id: str) -> dict[str, Any] | None:
        """Return the receipt of a deleted prediction; None if there is none."""
        async with self._database.read(tenant_id) as connection:
            row = await _queries.read_receipt(connection, prediction_id=prediction_id, tenant_id=tenant_id)
        return (
            None if row is None else _receipt(prediction_id, row["deleted_at"], orjson.loads(row["receipt"]))
        )

    async def delete_prediction(
        self,
        prediction_id: UUID,
        tenant_id: str,
        upload_id: UUID,
        *,
        results: Sequence[Mapping[str, Any]],
        uploads: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any] | None:
        """Delete the rows of a finished prediction in one transaction, and return the receipt.

        The row of the upload goes too, unless another prediction is of the same file.

        Args:
            prediction_id: the prediction.
            tenant_id: whose.
            upload_id: its upload.
            results: the objects of its results, as the receipt names them.
            uploads: the objects of its upload.

        Returns:
            None if another request has deleted it in between.
        """
        of_prediction: dict[str, Any] = {"prediction_id": prediction_id, "tenant_id": tenant_id}
        of_upload: dict[str, Any] = {"upload_id": upload_id, "tenant_id": tenant_id}
        async with self._database.write(tenant_id) as connection:
            await _queries.lock_upload_to_delete(connection, **of_upload)
            if await _queries.lock_prediction(connection, **of_prediction) is None:
                return None
            shared = await _queries.is_upload_shared(connection, **of_prediction, upload_id=upload_id)
            counted = await _queries.count_messages(connection, **of_prediction)
            await _queries.delete_prediction(connection, **of_prediction)
            paths = [f"/v1/predictions/{prediction_id}"]
            if not shared:
                await _queries.delete_upload(connection, **of_upload)
                paths.append(f"/v1/uploads/{upload_id}")
            kept_answers = await _delete_kept_answers(connection, tenant_id, paths)
            receipt = {
                "rows": {
                    "predictions": 1,
                    "uploads": int(not shared),
                    "events": counted["events"],
                    "messages": counted["messages"],
                    "kept_answers": kept_answers,
                },
                "objects": [*results, *([] if shared else uploads)],
            }
            deleted_at = await _queries.insert_receipt(
                connection, **of_prediction, receipt=orjson.dumps(receipt).decode()
            )
        return _receipt(prediction_id, deleted_at, receipt)

    async def find_due_receipts(self, *, at_most: int) -> list[DueReceipt]:
        """Return deletions whose objects are to be looked for now."""
        async with self._database.background() as connection:
            rows = _queries.find_due_receipts(connection, at_most=at_most)
            return [
                DueReceipt(
                    row["prediction_id"],
                    row["tenant_id"],
                    tuple({named["key"] for named in orjson.loads(row["receipt"])["objects"]}),
                )
                async for row in rows
            ]

    async def settle_receipt(self, prediction_id: UUID, *, quiet_seconds: float) -> None:
        """Note that its objects are deleted; they are looked for again `quiet_seconds` after the deletion."""
        async with self._database.background() as connection:
            await _queries.settle_receipt(
                connection, prediction_id=prediction_id, quiet_seconds=quiet_seconds
            )


RECEIPTS = web.AppKey("receipts", ReceiptStore)


def _receipt(prediction_id: UUID, deleted_at: datetime, content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "prediction_id": str(prediction_id),
        "deleted_at": deleted_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **content,
    }


async def _delete_kept_answers(connection: Connection, tenant_id: str, paths: Sequence[str]) -> int:
    status = await _queries.delete_kept_answers(connection, tenant_id=tenant_id, paths=paths)
    return int(status.rpartition(" ")[2])
