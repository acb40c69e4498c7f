"""The worker's view of the predictions table: one method for each act, the SQL in `queries.sql`.

Every write but the claim itself carries the fence the claim gave. A worker that was overtaken, paused or
cut off holds an old fence, and its writes change no row.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib.resources import files
from typing import Any
from uuid import UUID

import aiosql
import asyncpg

from consumer_worker.errors import DatabaseUnavailable
from consumer_worker.retrying import retry_unavailable
from consumer_worker.subject import Subject
from retainwise_contracts.codec import MessageSource, encode, wrap
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_finished import PredictionCompletedV1, PredictionFailedV1, ResultLocation
from retainwise_contracts.prediction_requested import ModelReference, PredictionRequestedV1, ScoringOptions
from retainwise_contracts.results import RowCounts, Summary
from retainwise_contracts.status import PredictionStatus

SCHEMA_REVISION = "0003"
"""The oldest revision of the schema this release can work with; newer ones stay compatible by rule."""

COMMAND_TIMEOUT_SECONDS = 10.0
"""For each statement, acquiring a connection included: far above a healthy database, far below a lease."""

IDLE_TRANSACTION_SECONDS = 10.0
"""After this the server ends a transaction that waits for its client. The connection of a host that has
vanished looks alive for hours, and the rows that it has locked could not be claimed."""

CLAIM_RETRY_SECONDS = 2.0
"""For how long a claim and a release are repeated: a lost answer is one, an outage the breaker's."""

RESULT_RETRY_SECONDS = 30.0
"""For how long the end of a prediction is repeated: what was scored for an hour is worth a wait."""

MAX_DOUBLINGS = 5
"""A message that seems lost is sent again after up to 2^5 times the first wait: an hour, at the defaults."""

SWEEP_ROWS = 100
"""Predictions of each kind that one sweep of the reconciler takes up, so that it stays short."""

_queries: Any = aiosql.from_str(files(__package__).joinpath("queries.sql").read_text("utf-8"), "asyncpg")


_UNAVAILABLE_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
_UNAVAILABLE_CODES = frozenset({"25006", "25P03"})
"""SQLSTATE classes of errors that concern every statement (connections, logins, no such database, deadlocks
and other rollbacks, resources, the server's state, shutdowns, the system), and two
codes: a read-only database, and a transaction that was ended since its client was paused."""


@dataclass(frozen=True)
class Claim:
    """The right to write one prediction, until somebody claims it again."""

    prediction_id: UUID
    fence: int
    attempt: int
    """Those that failed, and this one."""
    token: UUID
    crashes: int = 0
    """Workers that died while they held it."""
    is_overdue: bool = False
    """Whether its deadline has passed, by the database's clock."""


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


@dataclass(frozen=True)
class DeletedPrediction:
    """The prediction has ended and was deleted; only its receipt is left."""


@dataclass(frozen=True)
class ForgedRequest:
    """The message says something else than the row it names: somebody but the API has written it."""

    field: str


Refused = HeldElsewhere | AlreadyFinal | UnknownPrediction | DeletedPrediction | ForgedRequest
"""Why there is nothing to claim."""


class FenceLost(Exception):
    """Another worker has claimed the prediction since; nothing was written."""


@dataclass(frozen=True)
class FinishedPrediction:
    """What says which files of a prediction that has ended are of use."""

    tenant_id: str
    result: ResultLocation | None


@dataclass(frozen=True)
class Reconciled:
    """The predictions that one sweep of the reconciler ended or requeued."""

    expired: tuple[UUID, ...]
    failed: tuple[UUID, ...]
    requeued: tuple[UUID, ...]


class ParkedOutcome(Enum):
    """The outcome for a prediction whose message is parked in the dead-letter queue."""

    FAILED = "failed"
    SENT_AGAIN = "sent again"
    ALREADY_FINAL = "already final"
    STILL_OPEN = "still open"
    """A worker is working on it or soon will be, there is no such row, or the message is forged."""


class Store:
    """Predictions in PostgreSQL.

    Every method raises DatabaseUnavailable where the database cannot be used; claims, releases and ends are
    first repeated for a while, and do no harm if only the answer was lost.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, lease_owner: str) -> None:
        self._pool = pool
        self._lease_owner = lease_owner

    async def read_schema_revision(self) -> str:
        """Return the revision of the database's schema."""
        async with self._connection() as connection:
            return str(await _queries.read_schema_revision(connection))

    async def probe(self) -> None:
        """Check that the database can be written to. Raises DatabaseUnavailable."""
        async with self._connection() as connection:
            if not await _queries.probe_database(connection):
                raise DatabaseUnavailable("it is read-only")

    async def claim_prediction(
        self, request: PredictionRequestedV1, token: UUID, *, lease_seconds: float
    ) -> Claim | Refused:
        """Take a prediction that is neither final nor held under a live lease, if the request is the row's.

        A claim that is already held under `token` is returned again.
        """
        claim = partial(self._claim, request, token, lease_seconds)
        return await retry_unavailable(claim, within_seconds=CLAIM_RETRY_SECONDS)

    async def _claim(
        self, request: PredictionRequestedV1, token: UUID, lease_seconds: float
    ) -> Claim | Refused:
        async with self._connection() as connection:
            try:
                row = await _queries.claim_prediction(
                    connection,
                    prediction_id=request.prediction_id,
                    **_identity(request),
                    **_asked(request),
                    lease_token=token,
                    lease_owner=self._lease_owner,
                    lease_seconds=lease_seconds,
                )
            except asyncpg.DataError:
                return ForgedRequest("a value that no row can hold")
            if row is not None:
                return Claim(request.prediction_id, **row, token=token)
            row = await _queries.read_prediction(connection, prediction_id=request.prediction_id)
            if row is None:
                is_deleted = await _is_deleted(connection, request)
                return DeletedPrediction() if is_deleted else UnknownPrediction()
        if field := _find_forged_field(request, row):
            return ForgedRequest(field)
        status = PredictionStatus(row["status"])
        if status.is_final:
            return AlreadyFinal(status)
        return HeldElsewhere(max(0.0, row["lease_seconds_left"] or 0.0))

    async def release_orphaned_claims(self, tokens: Mapping[UUID, UUID]) -> None:
        """Release the claims held under these tokens, by prediction; none of them counts as an attempt."""
        async with self._connection() as connection:
            await _queries.release_orphaned_claims(
                connection, prediction_ids=list(tokens), lease_tokens=list(tokens.values())
            )

    async def mark_parked(self, subject: Subject) -> None:
        """Note that a prediction's message is parked, so that it is not taken for lost, if it is its own."""
        async with self._connection() as connection:
            await _queries.mark_parked(
                connection,
                prediction_id=subject.prediction_id,
                tenant_id=subject.tenant_id,
                message_id=subject.message_id,
            )

    async def report_progress(self, claim: Claim, *, rows: int, expected_rows: int) -> None:
        """Store how many rows are done, of about how many; an overtaken worker's report changes nothing."""
        async with self._connection() as connection:
            await _queries.report_progress(
                connection,
                prediction_id=claim.prediction_id,
                fence=claim.fence,
                progress_rows=rows,
                progress_total=expected_rows,
            )

    async def find_ended(self, prediction_ids: Collection[UUID]) -> tuple[UUID, ...]:
        """Return which of these predictions have ended, whoever ended them."""
        async with self._connection() as connection:
            ended = _queries.find_ended(connection, prediction_ids=list(prediction_ids))
            return _ids([row async for row in ended])

    async def renew_lease(self, claim: Claim, lease_seconds: float) -> None:
        """Keep the claim for so long from now. Raises FenceLost."""
        async with self._connection() as connection:
            kept = await _queries.renew_lease(
                connection,
                prediction_id=claim.prediction_id,
                fence=claim.fence,
                lease_seconds=lease_seconds,
            )
        if not kept:
            raise FenceLost

    async def release_prediction(
        self, claim: Claim, *, retry_reason: str, retry_seconds: float, interrupted: bool = False
    ) -> None:
        """Release the claim and store when and why it is tried again. Raises FenceLost.

        An attempt that was `interrupted`, by the worker's own stop or an outage, does not count as one.
        """
        release = partial(self._release, claim, retry_reason, retry_seconds, interrupted=interrupted)
        await retry_unavailable(release, within_seconds=CLAIM_RETRY_SECONDS)

    async def _release(
        self, claim: Claim, retry_reason: str, retry_seconds: float, *, interrupted: bool
    ) -> None:
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
                row = await _queries.read_prediction(connection, prediction_id=claim.prediction_id)
                if row is None or row["fence"] != claim.fence or PredictionStatus(row["status"]).is_final:
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
        """Store a result and its event in one transaction; does nothing if that is done. Raises FenceLost."""
        complete = partial(self._complete, claim, message, rows, summary, result)
        await retry_unavailable(complete, within_seconds=RESULT_RETRY_SECONDS)

    async def _complete(
        self,
        claim: Claim,
        message: Envelope[PredictionRequestedV1],
        rows: RowCounts,
        summary: Summary,
        result: ResultLocation,
    ) -> None:
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
                await self._require_ended(connection, claim, PredictionStatus.COMPLETED)
                return
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
        """End a prediction as FAILED or EXPIRED, with its event, in one transaction; does nothing if it has.

        Raises:
            FenceLost: another worker has claimed the prediction since, or it has ended in another way.
        """
        end = partial(self._end_claimed, claim, message, status, failure)
        await retry_unavailable(end, within_seconds=RESULT_RETRY_SECONDS)

    async def _end_claimed(
        self,
        claim: Claim,
        message: Envelope[PredictionRequestedV1],
        status: PredictionStatus,
        failure: Failure | None,
    ) -> None:
        held = {"prediction_id": claim.prediction_id, "fence": claim.fence}
        async with self._connection() as connection, connection.transaction():
            try:
                await self._end(connection, held, status, failure, message.traceparent)
            except FenceLost:
                await self._require_ended(connection, claim, status)

    async def _require_ended(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        claim: Claim,
        status: PredictionStatus,
    ) -> None:
        """Check that this claim itself has ended the prediction, in a try whose answer was lost."""
        row = await _queries.read_prediction(connection, prediction_id=claim.prediction_id)
        if row is None or (row["fence"], row["status"]) != (claim.fence, status.value):
            raise FenceLost

    async def settle_parked_prediction(
        self, request: PredictionRequestedV1, *, max_attempts: int, silent_seconds: float
    ) -> ParkedOutcome:
        """Have the message of a parked one's prediction sent again; fail it if no attempt is left.

        Nothing happens if it has ended, if a worker may still finish it, or if the message is not the row's.
        """
        async with self._connection() as connection, connection.transaction():
            try:
                parked = await _queries.lock_parked_prediction(
                    connection,
                    prediction_id=request.prediction_id,
                    **_identity(request),
                    **_asked(request),
                    silent_seconds=silent_seconds,
                )
            except asyncpg.DataError:  # no row can hold such a value
                return ParkedOutcome.STILL_OPEN
            if parked is not None and parked["failed_attempts"] >= max_attempts:
                failure = Failure.of(FailureCode.ATTEMPTS_EXHAUSTED)
                await self._end(connection, parked, PredictionStatus.FAILED, failure)
                return ParkedOutcome.FAILED
            if parked is not None:
                await _queries.send_again(connection, prediction_id=request.prediction_id)
                return ParkedOutcome.SENT_AGAIN
            row = await _queries.read_prediction(connection, prediction_id=request.prediction_id)
            if row is None:
                final = await _is_deleted(connection, request)
            else:
                final = PredictionStatus(row["status"]).is_final
        return ParkedOutcome.ALREADY_FINAL if final else ParkedOutcome.STILL_OPEN

    async def find_finished(self, prediction_ids: Collection[UUID]) -> Mapping[UUID, FinishedPrediction]:
        """Return those of these predictions that have ended."""
        async with self._connection() as connection:
            found = _queries.find_finished(connection, prediction_ids=list(prediction_ids))
            return {
                row["prediction_id"]: FinishedPrediction(
                    row["tenant_id"],
                    ResultLocation.model_validate_json(row["result"]) if row["result"] else None,
                )
                async for row in found
            }

    async def reconcile_predictions(
        self,
        *,
        queue_is_empty: bool,
        lost_seconds: float,
        retention_seconds: float,
        unsendable_after_seconds: float,
    ) -> Reconciled | None:
        """End or requeue what nobody is working on any more; None if another replica is doing so.

        A message can be lost once its prediction was not touched for `lost_seconds`; the queue keeps none for
        longer than `retention_seconds`, and one is unsendable when sending it was tried for
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
                connection,
                queue_is_empty=queue_is_empty,
                lost_seconds=lost_seconds,
                retention_seconds=retention_seconds,
                max_doublings=MAX_DOUBLINGS,
                at_most=SWEEP_ROWS,
            )
            requeued = _ids([row async for row in lost])
        return Reconciled(expired=expired, failed=unsendable, requeued=requeued)

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
        try:
            async with self._pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection:
                yield connection
        except Exception as error:
            if not _is_unavailable(error):
                raise
            raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _is_unavailable(error: Exception) -> bool:
    """Return whether an error concerns the database, not the one statement that met it."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_CODES
    if isinstance(error, asyncpg.InterfaceError):  # a ValueError among them is about an argument
        return not isinstance(error, ValueError)
    return isinstance(error, asyncpg.InternalClientError | OSError)  # a TimeoutError is an OSError


def _identity(request: PredictionRequestedV1) -> Mapping[str, Any]:
    """Return what a request says of its prediction, by the names of the columns that must say the same."""
    return {
        "tenant_id": request.tenant_id,
        "bucket": request.upload.bucket,
        "object_key": request.upload.key,
        "version_id": request.upload.version_id,
        "size_bytes": request.upload.size_bytes,
        "sha256": request.upload.sha256,
        "model_name": request.model.name,
        "model_version": request.model.version,
    }


def _asked(request: PredictionRequestedV1) -> Mapping[str, Any]:
    """Return what a request asks for, as JSON, and what a row says that lacks one of the options."""
    return {
        "mapping": json.dumps(request.mapping),
        "options": request.options.model_dump_json(),
        "default_options": ScoringOptions().model_dump_json(),
    }


def _find_forged_field(request: PredictionRequestedV1, row: asyncpg.Record) -> str | None:
    """Return the name of the first field in which a request differs from its row, None if none does."""
    for field, value in _identity(request).items():
        if row[field] != value:
            return field
    if row["mapping"] is not None and json.loads(row["mapping"]) != request.mapping:
        return "mapping"
    if row["options"] is not None:
        stored = ScoringOptions.model_validate_json(row["options"], extra="ignore")
        if stored != request.options:
            return "options"
    return None


async def _is_deleted(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", request: PredictionRequestedV1
) -> bool:
    receipt = await _queries.read_receipt(
        connection, prediction_id=request.prediction_id, tenant_id=request.tenant_id
    )
    return receipt is not None


def _ids(rows: list[asyncpg.Record]) -> tuple[UUID, ...]:
    return tuple(row["prediction_id"] for row in rows)
