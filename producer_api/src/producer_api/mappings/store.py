"""Saved mappings in PostgreSQL: one method per operation, the SQL in `queries.sql`."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from producer_api.database import Database, load_queries

MAX_OFFERED = 10
"""How many mappings are offered for one file."""

Connection = Any
"""asyncpg's connection, or its pool's proxy of one."""

_queries = load_queries(__package__)


@dataclass(frozen=True)
class SavedMapping:
    """One row of `mappings`. `mapping` and `values` are JSON."""

    name: str
    model_name: str
    headers: Sequence[str]
    mapping: str
    values: str
    revision: int
    created_at: datetime
    updated_at: datetime


def headers_digest(headers: Sequence[str]) -> str:
    """Return what files with the same columns, in any order, have in common: a SHA-256."""
    return hashlib.sha256(orjson.dumps(sorted(headers))).hexdigest()


class MappingStore:
    """Saved mappings in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_mappings(self, tenant_id: str, *, after: str, limit: int) -> Sequence[SavedMapping]:
        """Return a tenant's mappings whose names follow `after`, by name."""
        async with self._database.read(tenant_id) as connection:
            rows = _queries.list_mappings(connection, tenant_id=tenant_id, after=after, limit=limit)
            return [SavedMapping(**row) async for row in rows]

    async def read_mapping(self, tenant_id: str, name: str) -> SavedMapping | None:
        """Return a tenant's mapping; None if there is none."""
        async with self._database.read(tenant_id) as connection:
            row = await _queries.read_mapping(connection, tenant_id=tenant_id, name=name)
        return SavedMapping(**row) if row is not None else None

    async def find_names(self, tenant_id: str, model_name: str, headers_sha256: str) -> Sequence[str]:
        """Return the names of a tenant's mappings for files with these headers, the newest first."""
        async with self._database.read(tenant_id) as connection:
            rows = _queries.find_names(
                connection,
                tenant_id=tenant_id,
                model_name=model_name,
                headers_sha256=headers_sha256,
                limit=MAX_OFFERED,
            )
            return [row["name"] async for row in rows]

    @asynccontextmanager
    async def change(self, tenant_id: str, name: str) -> AsyncIterator["MappingChange"]:
        """Change one mapping in a transaction, which is committed when the block ends."""
        async with self._database.write(tenant_id) as connection:
            row = await _queries.lock_mapping(connection, tenant_id=tenant_id, name=name)
            yield MappingChange(connection, tenant_id, name, SavedMapping(**row) if row is not None else None)


class MappingChange:
    """A change of one mapping, within its transaction."""

    def __init__(
        self, connection: Connection, tenant_id: str, name: str, before: SavedMapping | None
    ) -> None:
        self._connection = connection
        self._names = {"tenant_id": tenant_id, "name": name}
        self.before = before
        """As it was; nobody else can change it meanwhile. None: there is none."""

    async def has_mappings(self, at_least: int) -> bool:
        """Return whether the tenant has so many mappings."""
        return bool(
            await _queries.has_mappings(
                self._connection, tenant_id=self._names["tenant_id"], at_least=at_least
            )
        )

    async def save(
        self,
        *,
        model_name: str,
        headers: Sequence[str],
        mapping: Mapping[str, str],
        values: Mapping[str, Mapping[str, str]],
    ) -> SavedMapping | None:
        """Write the mapping; None if another request has created it meanwhile."""
        write = _queries.insert_mapping if self.before is None else _queries.update_mapping
        row = await write(
            self._connection,
            **self._names,
            model_name=model_name,
            headers=list(headers),
            headers_sha256=headers_digest(headers),
            mapping=orjson.dumps(mapping).decode(),
            values=orjson.dumps(values).decode(),
        )
        return SavedMapping(**row) if row is not None else None

    async def delete(self) -> None:
        """Delete the mapping."""
        await _queries.delete_mapping(self._connection, **self._names)


MAPPINGS = web.AppKey("mappings", MappingStore)
