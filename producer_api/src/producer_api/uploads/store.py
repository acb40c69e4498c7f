"""What is known of uploads in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from producer_api.database import BACKGROUND_LIMITS, SWEEP_SECONDS, Database, load_queries

_queries = load_queries(__package__)


class UploadStore:
    """Uploads in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def lock_sweep(self) -> AsyncIterator[bool]:
        """Hold the lock of the sweep while the block runs; yields False if another replica holds it.

        The lock belongs to the connection, so that it ends with the process.
        """
        async with self._database.background(use_seconds=SWEEP_SECONDS) as connection:
            async with asyncio.timeout(BACKGROUND_LIMITS.use_seconds):
                locked = bool(await _queries.lock_sweep(connection))
            yield locked  # asyncpg unlocks when it resets the connection, and cuts it if that takes too long

    async def find_uploads(self, upload_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Return those of these ids that have a row in `uploads`."""
        async with self._database.background() as connection:
            rows = _queries.find_uploads(connection, upload_ids=list(upload_ids))
            return frozenset([row["upload_id"] async for row in rows])
