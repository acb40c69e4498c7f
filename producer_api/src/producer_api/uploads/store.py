"""What is known of uploads in PostgreSQL: one method per operation, the SQL in `queries.sql`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from aiohttp import web

from producer_api.database import BACKGROUND_LIMITS, SWEEP_SECONDS, Database, load_queries

UPLOAD_HOURS = 24
"""How long an upload waits for its file."""

Connection = Any
"""asyncpg's connection, or its pool's proxy of one."""

_queries = load_queries(__package__)


@dataclass(frozen=True)
class Upload:
    """One row of `uploads`, as its tenant may see it."""

    upload_id: UUID
    state: Literal["AWAITING", "READY"]
    object_key: str
    version_id: str | None
    file_name: str | None
    size_bytes: int | None
    """Null while it is AWAITING, as is the digest."""
    sha256: str | None
    declared_size: int | None
    """What the customer said before sending the file; null if the file came through this API."""
    declared_sha256: str | None
    multipart_id: str | None
    part_bytes: int | None
    created_at: datetime
    expires_at: datetime | None
    completed_at: datetime | None


Conclude = Callable[[Connection, Upload], Awaitable[None]]
"""What is to be done in the transaction that writes an upload."""


@dataclass(frozen=True)
class DeletedUpload:
    """An upload whose objects are to be removed."""

    upload_id: UUID
    object_key: str
    multipart_id: str | None


class UploadStore:
    """Uploads in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_ready(self, tenant_id: str, conclude: Conclude, **columns: object) -> Upload:
        """Store a file that is there; `columns` are those of the query `insert_ready_upload`."""
        async with self._database.write(tenant_id) as connection:
            row = await _queries.insert_ready_upload(connection, tenant_id=tenant_id, **columns)
            upload = Upload(**row)
            await conclude(connection, upload)
        return upload

    async def insert_awaiting(
        self, tenant_id: str, conclude: Conclude, *, at_most: int, **columns: object
    ) -> Upload | None:
        """Store a file that will come; None if the tenant has `at_most` of them already.

        Requests under way at the same moment do not see each other, so a few more are possible.
        `columns` are those of the query `insert_awaiting_upload`.
        """
        async with self._database.write(tenant_id) as connection:
            if await _queries.has_awaiting(connection, tenant_id=tenant_id, at_least=at_most):
                return None
            row = await _queries.insert_awaiting_upload(connection, tenant_id=tenant_id, **columns)
            upload = Upload(**row)
            await conclude(connection, upload)
        return upload

    async def read_upload(self, upload_id: UUID, tenant_id: str) -> Upload | None:
        """Return a tenant's upload; None if there is none or it is deleted."""
        async with self._database.read(tenant_id) as connection:
            row = await _queries.read_upload(connection, upload_id=upload_id, tenant_id=tenant_id)
        return Upload(**row) if row is not None else None

    async def complete_upload(
        self, upload_id: UUID, tenant_id: str, *, version_id: str | None, size_bytes: int, sha256: str
    ) -> Upload | None:
        """Make an AWAITING upload READY; None if it is not AWAITING any more."""
        async with self._database.write(tenant_id) as connection:
            row = await _queries.complete_upload(
                connection,
                upload_id=upload_id,
                tenant_id=tenant_id,
                version_id=version_id,
                size_bytes=size_bytes,
                sha256=sha256,
            )
        return Upload(**row) if row is not None else None

    async def mark_deleted(self, upload_id: UUID, tenant_id: str) -> DeletedUpload | Literal["used"] | None:
        """Begin to delete an upload, or go on with it: what is to be removed is returned.

        Returns:
            None if there is none, `"used"` if a prediction is of it.
        """
        names = {"upload_id": upload_id, "tenant_id": tenant_id}
        async with self._database.write(tenant_id) as connection:
            row = await _queries.lock_upload(connection, **names)
            if row is None:
                return None
            # After the lock, in a statement of its own: it sees what was committed meanwhile.
            if await _queries.is_used(connection, **names):
                return "used"
            await _queries.mark_deleted(connection, **names)
        return DeletedUpload(upload_id, row["object_key"], row["multipart_id"])

    async def delete_upload(self, upload_id: UUID, tenant_id: str) -> None:
        """Delete the row of a deleted upload, after its objects."""
        async with self._database.write(tenant_id) as connection:
            await _queries.delete_upload(connection, upload_id=upload_id, tenant_id=tenant_id)

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

    async def take_deleted(self, now: datetime, grace: timedelta, limit: int) -> Sequence[DeletedUpload]:
        """Mark uploads as deleted that expired before `now - grace`, and return some that are marked.

        Those marked within the grace are left to the request that deletes them.
        """
        async with self._database.background() as connection:
            await _queries.mark_expired(connection, before=now - grace, limit=limit)
            rows = _queries.find_deleted(connection, before=now, limit=limit)
            return [DeletedUpload(**row) async for row in rows]

    async def forget_uploads(self, upload_ids: Sequence[UUID]) -> None:
        """Delete the rows of deleted uploads, after their objects."""
        async with self._database.background() as connection:
            await _queries.forget_uploads(connection, upload_ids=list(upload_ids))


UPLOADS = web.AppKey("uploads", UploadStore)
