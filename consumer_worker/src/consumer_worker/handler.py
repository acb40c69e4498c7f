"""What happens to one message, in the order of the file: decode, claim, attempt, settle an error.

A message asks for one prediction. The handler claims it, fetches and scores its file, stores the results and
completes the prediction; the outcome it returns says what the consumer does with the message.

How an attempt can end, by what was raised:

| raised | the prediction | the message | costs an attempt |
|---|---|---|---|
| a failure that no attempt can fix (`_PERMANENT`) | FAILED, with its code | deleted | |
| `DependencyUnavailable` | waits, as if it had not been claimed | released by the open breaker | no |
| the same again, while others succeed | waits; FAILED after FAULT_AFTER_SECONDS | retried or deleted | no |
| `FenceLost` | another worker's | retried | no |
| a cancellation: drain, lost lease | waits, as if it had not been claimed | released | no |
| nothing: the worker died | waits until its lease expires, then is a suspect | visible again | no |
| any other error | retried; FAILED after the last of `max_attempts` | retried or deleted | yes |

A suspect (`crashes` above 0) is scored in a child process. If that dies too, or after MAX_CRASHES, the
prediction is FAILED as `worker_crashed`. Its progress is not reported.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Never, cast
from uuid import UUID, uuid4

import structlog
from structlog.contextvars import bound_contextvars

from consumer_worker.errors import (
    DatabaseUnavailable,
    DependencyUnavailable,
    ScratchUnavailable,
    StorageUnavailable,
)
from consumer_worker.isolation import ScoringProcessDied
from consumer_worker.lone_failures import Blame, LoneFailures
from consumer_worker.objects import RESULTS_PREFIX, Objects, UploadChanged, UploadMissing
from consumer_worker.scoring import (
    ScoringFailed,
    ScoringLimits,
    ScoringProgress,
    ScoringReport,
    ScoringRequest,
    score_file,
)
from consumer_worker.scoring_pool import ScoringPool, is_large
from consumer_worker.scratch import attempt_folder, scratch_bytes, scratch_errors
from consumer_worker.sqs.backoff import full_jitter
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Outcome, Park, Retry, Unavailable
from consumer_worker.store import (
    AlreadyFinal,
    Claim,
    DeletedPrediction,
    FenceLost,
    ForgedRequest,
    HeldElsewhere,
    Refused,
    Store,
    UnknownPrediction,
)
from consumer_worker.subject import read_subject
from ml_models.runtime import ChurnModel
from retainwise_contracts.codec import decode
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.errors import ContractError, MalformedMessage, UnsupportedVersion
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_requested import PredictionRequestedV1
from retainwise_contracts.status import PredictionStatus

Request = Envelope[PredictionRequestedV1]

LEASE_MARGIN_SECONDS = 2.0
"""The lease on the row ends this much before the message's: the delivery after a crash finds it expired."""

MAX_CRASHES = 10
"""Workers that may die while they hold one prediction. If its own file kills them, its child process dies
next and ends it; so many crashes are those of other files, or of the child's parent."""

HELD_ELSEWHERE_MARGIN_SECONDS = 1.0
"""If another worker holds the claim, the message is delivered again this long after its lease ends."""

CANCELLATION_CHECK_SECONDS = 0.5
"""Time between two checks for cancelled predictions: one small query for all that are running."""

PROGRESS_SECONDS = 1.1
"""Time between two reports of an attempt's progress; the database keeps none that is a second or less apart
from the last one."""

RELEASE_TIMEOUT_SECONDS = 2.0
"""The limit for releasing a claim while the handler is cancelled: the process may have to exit soon."""

RETRY_BASE_SECONDS = 2.0
RETRY_CAP_SECONDS = 300.0
"""A failed attempt is tried again after up to min(cap, base * 2^(attempt - 1)) seconds, at random."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Attempt:
    """One try at one prediction: the message, the delivery it came in, and the claim it writes under."""

    delivery: Delivery
    message: Request
    claim: Claim


class ModelNotInstalled(Exception):
    """This worker does not have the model; a worker of another release may."""


class TookTooLong(Exception):
    """The attempt did not end within the time a file may take."""


_PERMANENT: Mapping[type[Exception], Callable[..., Failure]] = MappingProxyType(
    {
        ScoringFailed: lambda error: Failure.of(error.code, error.detail),
        UploadMissing: lambda _: Failure.of(FailureCode.UPLOAD_MISSING),
        UploadChanged: lambda _: Failure.of(FailureCode.UPLOAD_CHANGED),
        ScoringProcessDied: lambda _: Failure.of(FailureCode.WORKER_CRASHED),
    }
)
"""Errors that no further attempt can fix, and the failure each becomes. All others are transient."""

_TRANSIENT: Mapping[type[Exception], FailureCode] = MappingProxyType(
    {ModelNotInstalled: FailureCode.MODEL_UNAVAILABLE, TookTooLong: FailureCode.TOOK_TOO_LONG}
)
"""The code of a transient error: the reason of a retry, and of the failure after the last attempt. Any other
error has ATTEMPTS_EXHAUSTED."""


_OWN_FAULT: Mapping[type[DependencyUnavailable], FailureCode] = MappingProxyType(
    {
        StorageUnavailable: FailureCode.ATTEMPTS_EXHAUSTED,
        # It fits the limit and the disk, but not beside what else is there.
        ScratchUnavailable: FailureCode.FILE_TOO_LARGE,
    }
)
"""The code of a file that alone found a dependency unavailable for so long that it is to blame itself."""


class PredictionHandler:
    """Handles prediction requests, many at once; it remembers no more of them than who failed alone."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        models: Mapping[str, ChurnModel],
        scoring_pool: ScoringPool,
        max_attempts: int,
        max_handling_seconds: float,
        max_receive_count: int,
        scratch: Path,
    ) -> None:
        self._store = store
        self._objects = objects
        self._models = models
        self._scoring_pool = scoring_pool
        self._max_attempts = max_attempts
        self._max_handling_seconds = max_handling_seconds
        self._max_receive_count = max_receive_count
        self._scratch = scratch
        self._lone_failures = LoneFailures()
        self._running: dict[UUID, Delivery] = {}
        self._orphaned: dict[UUID, UUID] = {}
        """Claims that could not be released, or whose answer was lost, each with its token."""

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Handle one delivery; the consumer treats whatever this raises as transient."""
        try:
            try:
                message = decode(delivery.body)
            except (MalformedMessage, UnsupportedVersion) as error:
                return await self._park(delivery, error)
            if not isinstance(message.data, PredictionRequestedV1):
                return Park(f"UnexpectedMessage: {message.type} does not belong in this queue")
            return await self._handle(delivery, cast("Request", message))
        except DependencyUnavailable as error:
            return Unavailable(error.dependency, str(error))

    async def probe_database(self) -> None:
        """Check that the database is back, and release the claims that it could not be asked to release.

        Raises:
            DatabaseUnavailable: it is not.
        """
        await self._store.probe()
        if orphaned := dict(self._orphaned):
            await self._store.release_orphaned_claims(orphaned)
            for prediction_id, token in orphaned.items():
                if self._orphaned.get(prediction_id) == token:
                    del self._orphaned[prediction_id]

    async def _park(self, delivery: Delivery, error: ContractError) -> Park:
        """Park a message that cannot be read; the prediction that it names is not taken for lost."""
        if subject := read_subject(delivery.body):
            await self._store.mark_parked(subject)
        return Park(f"{type(error).__name__}: {error}")

    async def _handle(self, delivery: Delivery, message: Request) -> Outcome:
        fields: dict[str, object] = {
            LogField.PREDICTION_ID: str(message.data.prediction_id),
            LogField.TENANT_ID: message.data.tenant_id,
        }
        delivery.notes |= fields
        with bound_contextvars(**{LogField.MESSAGE_ID: delivery.message_id}, **fields):
            with _timed(delivery, "claim_seconds"):
                claimed = await self._claim(delivery, message.data)
            match claimed:
                case AlreadyFinal(status):
                    log.info("prediction_already_final", status=status)
                    return Ack()
                case HeldElsewhere(lease_seconds_left):
                    log.info("prediction_held_elsewhere", lease_seconds_left=lease_seconds_left)
                    return Retry(lease_seconds_left + HELD_ELSEWHERE_MARGIN_SECONDS, reason="held elsewhere")
                case DeletedPrediction():
                    log.info("prediction_deleted")
                    return Ack()
                case UnknownPrediction():
                    log.warning("prediction_unknown", receive_count=delivery.receive_count)
                    if delivery.receive_count < self._max_receive_count:
                        return Retry(reason="no such prediction yet")
                    return Park("UnknownPrediction: there is no row with this id")
                case ForgedRequest(field):
                    log.error("request_forged", field=field)
                    return Park(f"ForgedRequest: {field} is not the prediction's")
                case Claim() as claim:
                    log.info(
                        "prediction_claimed", fence=claim.fence, attempt=claim.attempt, crashes=claim.crashes
                    )
                    delivery.notes |= {"fence": claim.fence, "attempt": claim.attempt}
                    return await self._attempt(Attempt(delivery, message, claim))

    async def _claim(self, delivery: Delivery, request: PredictionRequestedV1) -> Claim | Refused:
        """Claim the prediction; if cancelled meanwhile, release what may have been claimed by then."""
        # One for each delivery: a second delivery of the same message must not pass for the first.
        token = uuid4()
        claiming = asyncio.ensure_future(
            self._store.claim_prediction(request, token, lease_seconds=_lease_seconds(delivery))
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # If this fails, the lease expires by itself.
            with suppress(Exception):
                async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                    if isinstance(claimed := await claiming, Claim):
                        await self._release(claimed)
            raise
        except DependencyUnavailable:
            self._orphaned[request.prediction_id] = token
            raise

    async def _attempt(self, attempt: Attempt) -> Outcome:
        """Score the prediction, or end it; meanwhile its lease is renewed and it can be cancelled."""
        claim = attempt.claim
        attempt.delivery.on_extended = partial(self._renew_lease, attempt)
        self._running[claim.prediction_id] = attempt.delivery
        try:
            return await self._score_or_end(attempt)
        except FenceLost:
            log.warning("prediction_overtaken", fence=claim.fence)
            return Retry(reason="overtaken by another worker")
        except (asyncio.CancelledError, DependencyUnavailable):
            await self._release(claim)
            raise
        finally:
            del self._running[claim.prediction_id]

    async def _score_or_end(self, attempt: Attempt) -> Outcome:
        claim = attempt.claim
        if claim.is_overdue:
            await self._end(attempt, PredictionStatus.EXPIRED)
        elif claim.crashes >= MAX_CRASHES:
            await self._fail(attempt, Failure.of(FailureCode.WORKER_CRASHED))
        elif claim.attempt > self._max_attempts:  # the setting was lowered
            await self._fail(attempt, Failure.of(FailureCode.ATTEMPTS_EXHAUSTED))
        else:
            try:
                await self._score_in_time(attempt)
            except (FenceLost, DatabaseUnavailable):
                raise
            except DependencyUnavailable as error:
                return await self._settle_unavailable(attempt, error)
            except Exception as error:  # an unknown one is transient
                return await self._settle_error(attempt, error)
        return Ack()

    async def _score_in_time(self, attempt: Attempt) -> None:
        limit = asyncio.timeout(self._max_handling_seconds)
        try:
            async with limit:
                await self._score(attempt)
        except TimeoutError as error:
            if limit.expired():
                raise TookTooLong(f"not done after {self._max_handling_seconds} s") from error
            raise

    async def _score(self, attempt: Attempt) -> None:
        """Fetch the file, score it, store the results under this claim's fence, complete the prediction."""
        delivery, claim, request = attempt.delivery, attempt.claim, attempt.message.data
        model = self._models.get(str(request.model))
        if model is None:
            raise ModelNotInstalled(str(request.model))
        self._require_room(request.upload.size_bytes)
        async with attempt_folder(self._scratch) as folder:
            with _timed(delivery, "fetching_seconds"):
                await self._objects.download(request.upload, folder / "upload")
            with _timed(delivery, "scoring_seconds"), scratch_errors():
                report = await self._score_file(attempt, model, folder)
            with _timed(delivery, "storing_seconds"):
                # The fence is part of the key: an overtaken worker writes beside the result, never over it.
                prefix = f"{RESULTS_PREFIX}{request.tenant_id}/{request.prediction_id}/{claim.fence}"
                result = await self._objects.store_results(folder, report.files, prefix)
                await self._store.complete_prediction(
                    claim, attempt.message, rows=report.rows, summary=report.summary, result=result
                )
        self._lone_failures.succeeded(claim.prediction_id)
        log.info(
            "prediction_ended",
            status=PredictionStatus.COMPLETED,
            rows=report.rows.total,
            rejected=report.rows.rejected,
        )

    async def _score_file(self, attempt: Attempt, model: ChurnModel, folder: Path) -> ScoringReport:
        """Score in a thread, or in a child process if the file may have killed a worker before."""
        request = attempt.message.data
        source = folder / "upload"
        asked = ScoringRequest(
            prediction_id=request.prediction_id,
            input_sha256=request.upload.sha256,
            mapping=request.mapping,
            reasons=request.options.reasons,
            confirmed=frozenset(request.options.confirmed),
            values=request.options.values,
            currency=request.options.currency,
            customer_value_period=request.options.customer_value_period,
        )
        large = await asyncio.to_thread(is_large, source)
        if attempt.claim.crashes:
            log.info("scoring_suspect", crashes=attempt.claim.crashes)
            return await self._scoring_pool.run_alone(
                source, folder, str(request.model), asked, is_large=large
            )
        progress = ScoringProgress()
        async with self._reporting(attempt.claim, progress):
            return await self._scoring_pool.run(
                lambda cancelled: score_file(
                    source, folder, model, asked, cancelled=cancelled, progress=progress
                ),
                size_bytes=request.upload.size_bytes,
                is_large=large,
            )

    @asynccontextmanager
    async def _reporting(self, claim: Claim, progress: ScoringProgress) -> AsyncIterator[None]:
        """Store the progress while the block runs, beside it: scoring never waits for the database."""
        reporting = asyncio.create_task(self._report_progress(claim, progress))
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])

    async def _report_progress(self, claim: Claim, progress: ScoringProgress) -> Never:
        reported = 0
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if (rows := progress.rows) <= reported:
                continue
            try:
                await self._store.report_progress(claim, rows=rows, expected_rows=progress.expected_rows)
            except Exception as error:  # the attempt goes on without
                log.warning("progress_not_stored", error=repr(error))
            else:
                reported = rows

    def _require_room(self, size_bytes: int) -> None:
        """Refuse a file that cannot be scored here however empty the disk is, before it is fetched.

        Raises:
            ScoringFailed: it is too large.
            ScratchUnavailable: the disk cannot be looked at.
        """
        limit = min(ScoringLimits().max_bytes, scratch_bytes(self._scratch))
        if size_bytes > limit:
            raise ScoringFailed(
                FailureCode.FILE_TOO_LARGE, f"It has {size_bytes:,} bytes; the limit is {limit:,}."
            )

    async def _settle_unavailable(self, attempt: Attempt, error: DependencyUnavailable) -> Outcome:
        """Wait for the end of an outage, unless others succeed: then let this file wait by itself, or fail.

        Raises:
            DependencyUnavailable: `error`, if it is an outage.
        """
        claim = attempt.claim
        blame, times = self._lone_failures.failed(claim.prediction_id)
        if blame is Blame.OUTAGE:
            raise error
        log.warning("prediction_failed_alone", times=times, dependency=error.dependency, error=str(error))
        if blame is Blame.FILE:
            await self._fail(attempt, Failure.of(_OWN_FAULT[type(error)]))
            return Ack()
        delay = full_jitter(times, RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        await self._store.release_prediction(
            claim, retry_reason="interrupted", retry_seconds=delay, interrupted=True
        )
        return Retry(delay, reason=f"{error.dependency} is unavailable to this file alone")

    async def _settle_error(self, attempt: Attempt, error: Exception) -> Outcome:
        """Decide by the error's type: permanent, the last attempt, or one more."""
        permanent = _PERMANENT.get(type(error))
        if permanent is not None:
            await self._fail(attempt, permanent(error))
            return Ack()
        claim = attempt.claim
        code = _TRANSIENT.get(type(error), FailureCode.ATTEMPTS_EXHAUSTED)
        log.warning("attempt_failed", attempt=claim.attempt, error=repr(error), exc_info=error)
        if claim.attempt >= self._max_attempts:
            await self._fail(attempt, Failure.of(code))
            return Ack()
        delay = full_jitter(claim.attempt, RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        await self._store.release_prediction(claim, retry_reason=code.value, retry_seconds=delay)
        return Retry(delay, reason=type(error).__name__)

    async def _fail(self, attempt: Attempt, failure: Failure) -> None:
        await self._end(attempt, PredictionStatus.FAILED, failure)

    async def _end(self, attempt: Attempt, status: PredictionStatus, failure: Failure | None = None) -> None:
        await self._store.end_prediction(attempt.claim, attempt.message, status=status, failure=failure)
        log.info("prediction_ended", status=status, failure=failure.code if failure else None)

    async def _release(self, claim: Claim) -> None:
        """Release the claim of a handler that is stopped, so that the next delivery need not wait.

        If the database is unavailable, the probe releases it later, or the lease expires by itself.
        """
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await self._store.release_prediction(
                    claim, retry_reason="interrupted", retry_seconds=0, interrupted=True
                )
        except FenceLost:
            return
        except Exception as error:  # the handler's own end is the one to report
            log.warning("release_failed", fence=claim.fence, error=repr(error))
            self._orphaned[claim.prediction_id] = claim.token
        else:
            log.info("prediction_released", fence=claim.fence)

    async def _renew_lease(self, attempt: Attempt, _seconds_left: float) -> None:
        """Renew the lease on the row; the consumer calls this after each extension of the message's."""
        try:
            await self._store.renew_lease(attempt.claim, _lease_seconds(attempt.delivery))
        except FenceLost:
            attempt.delivery.stop_handler(Retry(reason="overtaken by another worker"))

    async def watch_cancellations(self) -> Never:
        """Stop the handlers of predictions that are cancelled while they run; runs until cancelled itself."""
        while True:
            await asyncio.sleep(CANCELLATION_CHECK_SECONDS)
            if not self._running:
                continue
            try:
                ended = await self._store.find_ended(self._running)
            except Exception as error:  # no error may end the watch
                log.warning("cancellation_check_failed", error=repr(error))
                continue
            for prediction_id in ended:
                if delivery := self._running.get(prediction_id):
                    log.info("prediction_stopped", prediction_id=str(prediction_id))
                    delivery.stop_handler(Ack())


def _lease_seconds(delivery: Delivery) -> float:
    """Return how long a claim may last: a little less than the message stays invisible."""
    left = delivery.lease_seconds_left()
    return max(left - LEASE_MARGIN_SECONDS, left / 2)  # the latter for very short leases


@contextmanager
def _timed(delivery: Delivery, stage: str) -> Iterator[None]:
    """Record how long a stage took, for the line that is logged when the message has ended."""
    began = time.monotonic()
    try:
        yield
    finally:
        delivery.notes[stage] = round(time.monotonic() - began, 3)
