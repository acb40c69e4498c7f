"""Removes what ended attempts left behind: results of no use, folders of killed workers."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Never
from uuid import UUID

import structlog

from consumer_worker.errors import DependencyUnavailable
from consumer_worker.objects import RESULTS_PREFIX, Objects, StoredObject
from consumer_worker.scratch import remove_left_folders
from consumer_worker.store import FinishedPrediction, Store

PAGE_KEYS = 1_000
"""S3's limit for a listing and for a deletion."""

MAX_PAGES = 10
"""Read in one sweep; the next one goes on there. At 300 s that is 2.9 million keys a day for each worker."""

_KEY = re.compile(
    rf"{RESULTS_PREFIX}(?P<tenant>[^/]+)/(?P<prediction>[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})"
    r"/[0-9]+/[^/]+"
)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Sweeper:
    """Sweeps the bucket's results and the folder that holds this host's scratch folders.

    A result is removed if it is older than `results_age` and its prediction was deleted, or has ended and
    names no file of the same attempt: what a finished row says never changes. What has neither row nor
    receipt stays, since this may be another environment's database. A scratch folder is removed if nobody
    holds its lock.
    """

    def __init__(
        self,
        store: Store,
        objects: Objects,
        scratch: Path,
        *,
        sweep_seconds: float,
        results_age: timedelta,
    ) -> None:
        self._store = store
        self._objects = objects
        self._scratch = scratch
        self._sweep_seconds = sweep_seconds
        self._results_age = results_age
        self._after = ""
        """The last key of the last page that was read."""

    async def run(self) -> Never:
        """Sweep until cancelled; a sweep that fails is repeated at the next turn."""
        while True:
            try:
                await self.sweep_scratch()
                await self.sweep_results()
            except DependencyUnavailable as error:
                log.warning("sweep_failed", reason=str(error))
            except Exception:  # no error may end the sweeps
                log.warning("sweep_failed", exc_info=True)
            await asyncio.sleep(self._sweep_seconds)

    async def sweep_scratch(self) -> None:
        """Remove the folders that killed workers left."""
        if removed := await asyncio.to_thread(remove_left_folders, self._scratch.parent):
            log.warning("scratch_folders_removed", folders=removed)

    async def sweep_results(self) -> None:
        """Remove the next results that are of no use.

        Raises:
            DatabaseUnavailable, StorageUnavailable: try again later.
        """
        for _ in range(MAX_PAGES):
            page = await self._objects.list_results(self._after, PAGE_KEYS)
            if unused := await self._find_unused(page):
                await self._objects.delete(unused)
                log.warning("unused_results_removed", keys=len(unused))
            self._after = page[-1].key if len(page) == PAGE_KEYS else ""
            if not self._after:
                return

    async def _find_unused(self, page: list[StoredObject]) -> list[str]:
        old_before = datetime.now(UTC) - self._results_age
        candidates = {
            stored.key: (match["tenant"], UUID(match["prediction"]))
            for stored in page
            if stored.modified_at < old_before and (match := _KEY.fullmatch(stored.key))
        }
        if not candidates:
            return []
        finished = await self._store.find_finished({prediction for _, prediction in candidates.values()})
        return [
            key
            for key, (tenant, prediction) in candidates.items()
            if (ended := finished.get(prediction)) and ended.tenant_id == tenant and not _belongs(ended, key)
        ]


def _belongs(prediction: FinishedPrediction, key: str) -> bool:
    """Whether the result lies in the folder of the attempt that succeeded. Not all of its files are named."""
    if prediction.result is None:
        return False
    folder = key.rpartition("/")[0]
    return any(file.key.rpartition("/")[0] == folder for file in prediction.result.files)
