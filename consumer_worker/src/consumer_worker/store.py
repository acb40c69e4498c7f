"""The worker's view of the predictions table: one method for each act, the SQL in `queries.sql`.

Every write but the claim itself carries the fence the claim gave. A worker that was overtaken, paused or
cut off holds an old fence, and its writes change no row.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import Any
from uuid import UUID

import aiosql
import asyncpg

from retainwise_contracts.codec import MessageSource, encode, wrap
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_finished import PredictionCompletedV1, PredictionFailedV1, ResultLocation
from retainwise_contracts.prediction_requested import ModelReference, PredictionRequestedV1
from retainwise_contracts.results import RowCounts, Summary
from retainwise_contracts.status import PredictionStatus

SCHEMA_REVISION = "0001"
"""The oldest revision of the schema this release can work with; newer ones stay compatible by rule."""

COMMAND_TIMEOUT_SECONDS = 10.0
"""For each statement, acquiring a connection included: far above a healthy database, far below a lease."""

SWEEP_ROWS = 100
"""Predictions of each kind that one sweep of the reconciler takes up, so that it stays short."""

_queries: Any = aiosql.from_str(files(__package__).joinpath("queries.sql").read_text("utf-8"), "asyncpg")


@dataclass(frozen=True)
class Claim:
    """The right to write one prediction, until somebody claims it again."""

    prediction_id: UUID
    fence: int
    attempt: int


@dataclass(frozen=True)
class HeldElsewhere:
    """Another worker has a live lease on the prediction, for so many more seconds."""

    lease_seconds_left: float


@dataclass(frozen=True)
class AlreadyFinal:
    """The prediction has ended; its message is a duplicate."""

    status: PredictionStatus


@dataclass(frozen=True)
class UnknownPrediction:
    """There is no such row: not yet, on a replica that lags, or never."""


class FenceLost(Exception):
    """Another worker has claimed the prediction since; nothing was written."""


@dataclass(frozen=True)
class Reconciled:
    """The predictions that one sweep of the reconciler ended or requeued."""

    expired: tuple[UUID, ...]
    failed: tuple[UUID, ...]
    requeued: tuple[UUID, ...]


class ParkedOutcome(Enum):
    """The outcome for a prediction whose message is parked in the dead-letter queue."""

    FAILED = "failed"
    ALREADY_FINAL = "already final"
    STILL_OPEN = "still open"
    """A worker is working on it or soon will be, or there is no such row."""


class Store:
    """Predictions in PostgreSQL.

    Every method may raise `asyncpg.PostgresError`, `OSError` or `TimeoutError` where the database cannot be
    reached or refuses; the handler treats these as transient.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", *, lease_owner: str, lease_seconds: float
    ) -> None:
        self._pool = pool
        self._lease_owner = lease_owner
        self._lease_seconds = lease_seconds

    async def read_schema_revision(self) -> str:
        """Return the revision of the database's schema."""
        async with self._connection() as connection:
            return str(await _queries.read_schema_revision(connection))

    async def claim_prediction(
        self, prediction_id: UUID
    ) -> Claim | HeldElsewhere | AlreadyFinal | UnknownPrediction:
        """Take a prediction that is neither final nor held under a live lease."""
        async with self._connection() as connection:
            row = await _queries.claim_prediction(
                connection,
                prediction_id=prediction_id,
                lease_owner=self._lease_owner,
                lease_seconds=self._lease_seconds,
            )
            if row is not None:
                return Claim(prediction_id, fence=row["fence"], attempt=row["attempt"])
            row = await _queries.read_claim(connection, prediction_id=prediction_id)
        if row is None:
            return UnknownPrediction()
        status = PredictionStatus(row["status"])
        if status.is_final:
            return AlreadyFinal(status)
        return HeldElsewhere(max(0.0, row["lease_seconds_left"] or 0.0))

    async def find_ended(self, prediction_ids: Collection[UUID]) -> tuple[UUID, ...]:
        """Return which of these predictions have ended, whoever ended them."""
        async with self._connection() as connection:
            ended = _queries.find_ended(connection, prediction_ids=list(prediction_ids))
            return _ids([row async for row in ended])

    async def renew_lease(self, claim: Claim) -> None:
        """Keep the claim for another lease. Raises FenceLost."""
        async with self._connection() as connection:
            kept = await _queries.renew_lease(
                connection,
                prediction_id=claim.prediction_id,
                fence=claim.fence,
                lease_seconds=self._lease_seconds,
            )
        if not kept:
            raise FenceLost

    async def release_prediction(
        self, claim: Claim, *, retry_reason: str, retry_seconds: float, interrupted: bool = False
    ) -> None:
        """Release the claim and store when and why it is tried again. Raises FenceLost.

        An attempt that was `interrupted` by the worker's own stop does not count as one.
        """
        async with self._connection() as connection:
            released = await _queries.release_prediction(
                connection,
                prediction_id=claim.prediction_id,
                fence=claim.fence,
                retry_reason=retry_reason,
                retry_seconds=retry_seconds,
                interrupted=interrupted,
            )
        if not released:
            raise FenceLost

    async def complete_prediction(
        self,
        claim: Claim,
        message: Envelope[PredictionRequestedV1],
        *,
        rows: RowCounts,
        summary: Summary,
        result: ResultLocation,
    ) -> None:
        """Store a result and its event in one transaction. Raises FenceLost."""
        async with self._connection() as connection, connection.transaction():
            row = await _queries.complete_prediction(
                connection,
                prediction_id=claim.prediction_id,
                fence=claim.fence,
                rows_total=rows.total,
                rows_scored=rows.scored,
                rows_rejected=rows.rejected,
                summary=summary.model_dump_json(),
                result=result.model_dump_json(),
            )
            if row is None:
                raise FenceLost
            event = PredictionCompletedV1(
                prediction_id=claim.prediction_id,
                tenant_id=message.data.tenant_id,
                model=message.data.model,
                rows=rows,
                risk_distribution=summary.risk_distribution,
                result=result,
                requested_at=row["requested_at"],
                finished_at=row["finished_at"],
            )
            await self._insert_event(connection, event, message.traceparent)

    async def end_prediction(
        self,
        claim: Claim,
        message: Envelope[PredictionRequestedV1],
        *,
        status: PredictionStatus,
        failure: Failure | None,
    ) -> None:
        """End a prediction as FAILED or EXPIRED, with its event, in one transaction. Raises FenceLost."""
        async with self._connection() as connection, connection.transaction():
            await self._end(
                connection,
                {"prediction_id": claim.prediction_id, "fence": claim.fence},
                status,
                failure,
                message.traceparent,
            )

    async def fail_parked_prediction(
        self, prediction_id: UUID, failure: Failure, *, died_after_seconds: float
    ) -> ParkedOutcome:
        """End the prediction of a parked message, unless it has ended or a worker may still finish it."""
        async with self._connection() as connection, connection.transaction():
            parked = await _queries.find_parked_prediction(
                connection, prediction_id=prediction_id, silent_seconds=died_after_seconds
            )
            if parked is not None:
                await self._end(connection, parked, PredictionStatus.FAILED, failure)
                return ParkedOutcome.FAILED
            row = await _queries.read_claim(connection, prediction_id=prediction_id)
        final = row is not None and PredictionStatus(row["status"]).is_final
        return ParkedOutcome.ALREADY_FINAL if final else ParkedOutcome.STILL_OPEN

    async def reconcile_predictions(
        self,
        *,
        max_attempts: int,
        died_after_seconds: float,
        lost_after_seconds: float,
        unsendable_after_seconds: float,
    ) -> Reconciled | None:
        """End or requeue what nobody is working on any more; None if another replica is doing so.

        A worker counts as dead `died_after_seconds` after its lease lapsed, a message as lost when its
        prediction was not touched for `lost_after_seconds`, and as unsendable when sending it was tried for
        `unsendable_after_seconds`.
        """
        async with self._connection() as connection, connection.transaction():
            if not await _queries.lock_reconciler(connection):
                return None
            expired = await self._end_each(
                connection,
                _queries.find_overdue_predictions(connection, at_most=SWEEP_ROWS),
                PredictionStatus.EXPIRED,
                None,
            )
            exhausted = await self._end_each(
                connection,
                _queries.find_exhausted_predictions(
                    connection,
                    max_attempts=max_attempts,
                    silent_seconds=died_after_seconds,
                    at_most=SWEEP_ROWS,
                ),
                PredictionStatus.FAILED,
                Failure.of(FailureCode.ATTEMPTS_EXHAUSTED),
            )
            unsendable = await self._end_each(
                connection,
                _queries.find_unsendable_predictions(
                    connection, silent_seconds=unsendable_after_seconds, at_most=SWEEP_ROWS
                ),
                PredictionStatus.FAILED,
                Failure.of(FailureCode.INTERNAL_ERROR),
            )
            await _queries.give_up_messages(connection, prediction_ids=list(unsendable))
            lost = _queries.requeue_lost_predictions(
                connection, silent_seconds=lost_after_seconds, at_most=SWEEP_ROWS
            )
            requeued = _ids([row async for row in lost])
        return Reconciled(expired=expired, failed=exhausted + unsendable, requeued=requeued)

    async def _end_each(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        found: AsyncIterator[asyncpg.Record],
        status: PredictionStatus,
        failure: Failure | None,
    ) -> tuple[UUID, ...]:
        """End the predictions that were found and locked, all in the same way."""
        rows = [row async for row in found]
        for row in rows:
            await self._end(connection, row, status, failure)
        return _ids(rows)

    async def _end(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        held: Mapping[str, Any] | asyncpg.Record,
        status: PredictionStatus,
        failure: Failure | None,
        traceparent: str | None = None,
    ) -> None:
        """End a prediction that is held by its fence, and write its event. Raises FenceLost."""
        row = await _queries.end_prediction(
            connection,
            prediction_id=held["prediction_id"],
            fence=held["fence"],
            status=status.value,
            failure=failure.model_dump_json() if failure else None,
        )
        if row is None:
            raise FenceLost
        event = PredictionFailedV1(
            prediction_id=row["prediction_id"],
            tenant_id=row["tenant_id"],
            model=ModelReference(name=row["model_name"], version=row["model_version"]),
            status=PredictionStatus(row["status"]),
            failure=failure,
            attempts=row["attempt"],
            requested_at=row["requested_at"],
            finished_at=row["finished_at"],
        )
        await self._insert_event(connection, event, traceparent)

    async def _insert_event(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        event: PredictionCompletedV1 | PredictionFailedV1,
        traceparent: str | None,
    ) -> None:
        envelope = wrap(event, source=MessageSource.CONSUMER_WORKER, traceparent=traceparent)
        await _queries.insert_event(
            connection,
            message_id=envelope.id,
            message_type=envelope.type,
            prediction_id=event.prediction_id,
            tenant_id=event.tenant_id,
            traceparent=traceparent,
            body=encode(envelope),
        )

    @asynccontextmanager
    async def _connection(self) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        async with self._pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection:
            yield connection


def _ids(rows: list[asyncpg.Record]) -> tuple[UUID, ...]:
    return tuple(row["prediction_id"] for row in rows)
