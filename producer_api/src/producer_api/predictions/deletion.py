"""Deletes a prediction with all that belongs to it.

Its rows go in one transaction, which leaves a receipt: from then on the prediction is gone for everyone. Its
objects go next. If that fails, or the process dies, the sweep finds the receipt and deletes them.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web
from pydantic import ValidationError

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.objects import ObjectMissing, Objects, ObjectVersion, StorageUnavailable
from producer_api.outbox.relay import OutboxTasks
from producer_api.predictions.errors import MessagesUnsent, NotFinished, PredictionNotFound
from producer_api.predictions.receipts import Doomed, ReceiptStore
from producer_api.predictions.store import result_folder
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.results import ResultManifest

MANIFEST = "manifest.json"

SWEEP_INTERVAL_SECONDS = 60.0
SWEEP_BATCH_SIZE = 100

QUIET_SECONDS = 900.0
"""After a deletion, its objects are looked for a last time. An overtaken worker stops within a minute,
but may have begun to store a file before."""

SEND_SECONDS = 5.0
"""How long a deletion waits until the prediction's messages are sent, which takes some milliseconds."""

SEND_POLL_SECONDS = 0.1

MAX_MANIFEST_BYTES = 1 << 20

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Deletions:
    """Deletes predictions, and finishes deletions that died half-way."""

    def __init__(self, store: ReceiptStore, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    async def delete_prediction(
        self, prediction_id: UUID, tenant_id: str, outbox: OutboxTasks
    ) -> dict[str, Any]:
        """Delete a prediction, or what is left of one that is deleted already, and return its receipt.

        Raises:
            PredictionNotFound: there is none.
            NotFinished: it has not finished.
            MessagesUnsent: the workers or other teams have not heard of it yet.
            StorageUnavailable: its rows are deleted, some of its objects are not: they will be.
        """
        receipt = await self._store.read_receipt(prediction_id, tenant_id)
        if receipt is None:
            doomed = await self._wait_sent(prediction_id, tenant_id, outbox)
            if doomed is not None:
                receipt = await self._delete_rows(prediction_id, tenant_id, doomed)
            if receipt is None:  # another request was faster
                receipt = await self._store.read_receipt(prediction_id, tenant_id)
            if receipt is None:
                raise PredictionNotFound
            log.info("prediction_deleted", **{LogField.PREDICTION_ID: str(prediction_id)})
        await self.delete_objects(prediction_id, tenant_id, {named["key"] for named in receipt["objects"]})
        return receipt

    async def delete_objects(self, prediction_id: UUID, tenant_id: str, keys: Collection[str]) -> int:
        """Delete every version of these objects and of all below the prediction's folder; return how many.

        Raises:
            StorageUnavailable: some are left.
        """
        folder = result_folder(tenant_id, prediction_id)
        deleted = 0
        for prefix in (folder, *(key for key in keys if not key.startswith(folder))):
            async for page in self._objects.list_versions(prefix):
                found = [version for version in page if prefix == folder or version.key == prefix]
                await self._objects.delete_versions(found)
                deleted += len(found)
        async for unfinished in self._objects.list_unfinished(folder):
            for upload in unfinished:
                await self._objects.abort_unfinished(upload)
        return deleted

    async def run(self) -> None:
        """Sweep until cancelled. A failed sweep is logged and retried."""
        while True:
            try:
                await self.sweep()
            except (DatabaseUnavailable, DatabaseBusy) as error:
                log.warning("deletion_sweep_failed", reason=str(error))
            except Exception:
                log.exception("deletion_sweep_failed")
            await asyncio.sleep(SWEEP_INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """Delete what is left of the objects of deleted predictions, and return how many those were.

        Replicas that sweep at the same time do each other no harm.

        Raises:
            DatabaseUnavailable, DatabaseBusy: the rest is left to the next sweep.
        """
        deleted = 0
        for due in await self._store.find_due_receipts(at_most=SWEEP_BATCH_SIZE):
            context = {LogField.PREDICTION_ID: str(due.prediction_id), LogField.TENANT_ID: due.tenant_id}
            try:
                left = await self.delete_objects(due.prediction_id, due.tenant_id, due.object_keys)
            except StorageUnavailable as error:  # of one object, perhaps: the others are tried
                log.warning("deletion_not_finished", reason=str(error), **context)
                continue
            await self._store.settle_receipt(due.prediction_id, quiet_seconds=QUIET_SECONDS)
            if left:
                log.warning("deletion_finished", objects=left, **context)
            deleted += left
        return deleted

    async def _wait_sent(self, prediction_id: UUID, tenant_id: str, outbox: OutboxTasks) -> Doomed | None:
        """Wait until a finished prediction's messages are sent; None if there is no such prediction.

        Raises:
            NotFinished, MessagesUnsent: it cannot be deleted.
        """
        deadline = asyncio.get_running_loop().time() + SEND_SECONDS
        while doomed := await self._store.read_doomed(prediction_id, tenant_id):
            if not doomed.status.is_final:
                raise NotFinished(doomed.status)
            if doomed.is_sent:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise MessagesUnsent
            outbox.nudge()
            await asyncio.sleep(SEND_POLL_SECONDS)
        return doomed

    async def _delete_rows(
        self, prediction_id: UUID, tenant_id: str, doomed: Doomed
    ) -> dict[str, Any] | None:
        folder = result_folder(tenant_id, prediction_id)
        digests = await self._digests(doomed, folder)
        results = [found async for page in self._objects.list_versions(folder) for found in page]
        uploads = [
            found
            async for page in self._objects.list_versions(doomed.object_key)
            for found in page
            if found.key == doomed.object_key
        ]
        return await self._store.delete_prediction(
            prediction_id,
            tenant_id,
            doomed.upload_id,
            results=[_named(found, digests) for found in results],
            uploads=[_named(found, digests) for found in uploads],
        )

    async def _digests(self, doomed: Doomed, folder: str) -> Mapping[str, str]:
        """Return the SHA-256 digests that are known, by key: of the upload and of the result's files."""
        digests = {doomed.object_key: doomed.sha256}
        try:
            location = ResultLocation.model_validate_json(doomed.result or "null", extra="ignore")
        except ValidationError:  # none, or one that only a later release can read: it is deleted all the same
            return digests
        for file in location.files:
            digests[file.key] = file.sha256
            if file.name == MANIFEST and file.key.startswith(folder):
                digests |= await self._digests_in_manifest(file.key)
        return digests

    async def _digests_in_manifest(self, key: str) -> Mapping[str, str]:
        """Return the digests of the files beside a manifest: it knows all of them, the row does not."""
        try:
            content = await self._objects.read_head(key, None, MAX_MANIFEST_BYTES)
            manifest = ResultManifest.model_validate_json(content, extra="ignore")
        except (ObjectMissing, ValidationError):
            return {}
        return {f"{key.removesuffix(MANIFEST)}{file.name}": file.sha256 for file in manifest.outputs}


DELETIONS = web.AppKey("deletions", Deletions)


def _named(found: ObjectVersion, digests: Mapping[str, str]) -> dict[str, Any]:
    """Describe an object for the receipt. The files of an attempt that was overtaken have no known digest."""
    return {
        "key": found.key,
        "version_id": found.version_id,
        "size_bytes": found.size_bytes,
        "sha256": digests.get(found.key),
    }
