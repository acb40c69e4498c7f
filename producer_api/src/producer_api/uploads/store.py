"""What is known of uploads in PostgreSQL: one method per operation, the SQL in `queries.sql`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
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

    @asynccontextmanager
    async def write(self, tenant_id: str) -> AsyncIterator[Connection]:
        """Use a connection for one transaction of one tenant, which is committed when the block ends."""
        async with self._database.write(tenant_id) as connection:
            yield connection

    async def insert_ready(self, connection: Connection, **columns: object) -> Upload:
        """Store a file that is there; `columns` are those of the query `insert_ready_upload`."""
        return Upload(**await _queries.insert_ready_upload(connection, **columns))

    async def insert_awaiting(self, connection: Connection, **columns: object) -> Upload:
        """Store a file that will come; `columns` are those of the query `insert_awaiting_upload`."""
        return Upload(**await _queries.insert_awaiting_upload(connection, **columns))

    async def has_awaiting(self, tenant_id: str, at_least: int) -> bool:
        """Return whether a tenant has so many uploads that wait for their files."""
        async with self._database.read(tenant_id) as connection:
            return bool(await _queries.has_awaiting(connection, tenant_id=tenant_id, at_least=at_least))

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

    async def take_ended(self, expired_before: datetime, limit: int) -> Sequence[DeletedUpload]:
        """Return some uploads of all tenants that have expired or are deleted; nobody sees them any more."""
        async with self._database.background() as connection:
            await _queries.mark_expired(connection, before=expired_before, limit=limit)
            rows = _queries.find_deleted(connection, limit=limit)
            return [DeletedUpload(**row) async for row in rows]

    async def forget_uploads(self, upload_ids: Sequence[UUID]) -> None:
        """Delete the rows of deleted uploads, after their objects."""
        async with self._database.background() as connection:
            await _queries.forget_uploads(connection, upload_ids=list(upload_ids))


UPLOADS = web.AppKey("uploads", UploadStore)
