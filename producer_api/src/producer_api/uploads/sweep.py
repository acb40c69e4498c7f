"""Deletes uploads that nobody will ever score: those never completed, and objects without a row.

An orphan is an object whose key is one that this API makes, that is older than `ORPHAN_AGE_SECONDS`, and
whose id no row has. A row is written within seconds after its object, if at all.
"""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.objects import Objects, StorageUnavailable, StoredKey
from producer_api.telemetry import ApiMetrics
from producer_api.uploads.receive import UPLOAD_SECONDS
from producer_api.uploads.store import UploadStore

INTERVAL_SECONDS = 3_600.0
"""Between two sweeps of one replica. To list a million objects takes a thousand requests."""

UPLOADS = "uploads/"

GRACE = timedelta(seconds=UPLOAD_SECONDS)
"""After an upload has expired: it may be being completed, which takes no longer."""

BATCH = 500
"""Uploads deleted at a time."""

_KEY = re.compile(
    r"uploads/[^/]+/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.csv", re.ASCII
)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class OrphanSweep:
    """Deletes orphan uploads now and then, by one replica at a time."""

    def __init__(
        self, store: UploadStore, objects: Objects, metrics: ApiMetrics, *, age_seconds: float
    ) -> None:
        self._store = store
        self._objects = objects
        self._metrics = metrics
        self._age = timedelta(seconds=age_seconds)

    async def run(self) -> None:
        """Sweep until cancelled. A failed sweep is logged and retried."""
        while True:
            try:
                await self.sweep()
            except (DatabaseUnavailable, DatabaseBusy, StorageUnavailable) as error:
                log.warning("orphan_sweep_failed", reason=str(error))
            except Exception:
                log.exception("orphan_sweep_failed")
            await asyncio.sleep(INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """Delete all orphans there are now, and return how many; 0 while another replica sweeps.

        Raises:
            DatabaseUnavailable, DatabaseBusy, StorageUnavailable: the rest is left to the next sweep.
        """
        async with self._store.lock_sweep() as locked:
            if not locked:
                return 0
            deleted = await self._delete_ended()
            async for page in self._objects.list_objects(UPLOADS):
                deleted += await self._delete_orphans(page)
            async for unfinished in self._objects.list_unfinished(UPLOADS):
                for upload in await self._find_orphans(unfinished):
                    await self._objects.abort_unfinished(upload)
                    self._metrics.orphan_uploads.labels("unfinished").inc()
                    deleted += 1
        return deleted

    async def _delete_ended(self) -> int:
        """Delete the uploads that have expired, and those whose deletion did not come to its end."""
        deleted = 0
        while ended := await self._store.take_ended(datetime.now(UTC) - GRACE, BATCH):
            for upload in ended:
                if upload.multipart_id is not None:
                    unfinished = StoredKey(upload.object_key, datetime.now(UTC), upload.multipart_id)
                    await self._objects.abort_unfinished(unfinished)
            await self._objects.delete_objects([upload.object_key for upload in ended])
            await self._store.forget_uploads([upload.upload_id for upload in ended])
            log.info("ended_uploads_deleted", uploads=len(ended))
            deleted += len(ended)
        return deleted

    async def _delete_orphans(self, page: list[StoredKey]) -> int:
        orphans = [stored.key for stored in await self._find_orphans(page)]
        if orphans:
            await self._objects.delete_objects(orphans)
            self._metrics.orphan_uploads.labels("object").inc(len(orphans))
            log.info("orphan_uploads_deleted", objects=len(orphans))
        return len(orphans)

    async def _find_orphans(self, page: list[StoredKey]) -> list[StoredKey]:
        """Return those of these objects, complete or not, that are old and have no row."""
        ids = {
            stored: UUID(match[1])
            for stored in page
            if self._is_old(stored.modified_at) and (match := _KEY.fullmatch(stored.key))
        }
        if not ids:
            return []
        known = await self._store.find_uploads(list(ids.values()))
        return [stored for stored, upload_id in ids.items() if upload_id not in known]

    def _is_old(self, modified_at: datetime) -> bool:
        return datetime.now(UTC) - modified_at > self._age
