"""Failed predictions in PostgreSQL."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from aiohttp import web

from producer_api.database import Database, load_queries

_queries = load_queries(__package__)


@dataclass(frozen=True)
class DailyCount:
    """How many predictions failed with a code on one day (UTC)."""

    code: str
    day: date
    failures: int


@dataclass(frozen=True)
class FailureSample:
    """One failed prediction."""

    code: str
    prediction_id: UUID
    label: str | None
    file_name: str | None
    message: str
    finished_at: datetime


class FailureStore:
    """Failed predictions in PostgreSQL. Its methods raise what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_failures(
        self, tenant_id: str, since: datetime, *, samples: int
    ) -> tuple[list[DailyCount], list[FailureSample]]:
        """Return a tenant's failures since a time, by code and day, and the latest few of each code."""
        async with self._database.read(tenant_id) as connection:
            counts = _queries.count_failures(connection, tenant_id=tenant_id, since=since)
            daily = [DailyCount(**row) async for row in counts]
            latest = _queries.read_failure_samples(
                connection, tenant_id=tenant_id, since=since, at_most=samples
            )
            return daily, [FailureSample(**row) async for row in latest]


FAILURE_STORE = web.AppKey("failure_store", FailureStore)
