"""Deletes uploads that nobody will ever score: stored, but without a row, since something failed in between.

An object is deleted only if its key is one that this API makes, it is older than `ORPHAN_AGE_SECONDS`, and no
row has its id. A row is written within seconds after its object, if at all.
"""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.objects import Objects, StorageUnavailable, StoredKey
from producer_api.telemetry import ApiMetrics
from producer_api.uploads.store import UploadStore

INTERVAL_SECONDS = 3_600.0
"""Between two sweeps of one replica. To list a million objects takes a thousand requests."""

UPLOADS = "uploads/"

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
            deleted = 0
            async for page in self._objects.list_objects(UPLOADS):
                deleted += await self._delete_orphans(page)
            async for unfinished in self._objects.list_unfinished(UPLOADS):
                for upload in unfinished:
                    if self._is_old(upload.modified_at) and _KEY.fullmatch(upload.key):
                        await self._objects.abort_unfinished(upload)
                        self._metrics.orphan_uploads.labels("unfinished").inc()
                        deleted += 1
        return deleted

    async def _delete_orphans(self, page: list[StoredKey]) -> int:
        ids = {
            stored.key: UUID(match[1])
            for stored in page
            if self._is_old(stored.modified_at) and (match := _KEY.fullmatch(stored.key))
        }
        if not ids:
            return 0
        known = await self._store.find_uploads(list(ids.values()))
        orphans = [key for key, upload_id in ids.items() if upload_id not in known]
        if orphans:
            await self._objects.delete_objects(orphans)
            self._metrics.orphan_uploads.labels("object").inc(len(orphans))
            log.info("orphan_uploads_deleted", objects=len(orphans))
        return len(orphans)

    def _is_old(self, modified_at: datetime) -> bool:
        return datetime.now(UTC) - modified_at > self._age
