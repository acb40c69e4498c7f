"""What happens to one message, in the order of the file: decode, claim, attempt, settle an error.

A message asks for one prediction. The handler claims it, fetches and scores its file, stores the results and
completes the prediction; the outcome it returns says what the consumer does with the message. A prediction
becomes FAILED only when its message dies.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Never, cast
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from consumer_worker.objects import Objects, UploadChanged, UploadMissing
from consumer_worker.scoring import ScoringFailed, ScoringRequest, score_file
from consumer_worker.scoring_pool import ScoringPool
from consumer_worker.scratch import attempt_folder
from consumer_worker.sqs.backoff import full_jitter
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Outcome, Park, Retry
from consumer_worker.store import AlreadyFinal, Claim, FenceLost, HeldElsewhere, Store, UnknownPrediction
from ml_models.runtime import ChurnModel
from retainwise_contracts.codec import decode
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.errors import MalformedMessage, UnsupportedVersion
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_requested import PredictionRequestedV1
from retainwise_contracts.status import PredictionStatus

Request = Envelope[PredictionRequestedV1]

HELD_ELSEWHERE_MARGIN_SECONDS = 1.0
"""Added to what is left of another worker's lease before its message is delivered again."""

CANCELLATION_CHECK_SECONDS = 0.5
"""Between checks whether a running prediction was cancelled: one small query for all that run."""

RELEASE_TIMEOUT_SECONDS = 2.0
"""For releasing a claim while the handler is being cancelled: the process may have to exit soon."""

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
    }
)
"""Errors that no further attempt can fix, and the failure each becomes. All others are transient."""

_TRANSIENT: Mapping[type[Exception], FailureCode] = MappingProxyType(
    {ModelNotInstalled: FailureCode.MODEL_UNAVAILABLE, TookTooLong: FailureCode.TOOK_TOO_LONG}
)
"""The code of a transient error: the reason of a retry, and of the failure after the last attempt. Any other
error has ATTEMPTS_EXHAUSTED."""


class PredictionHandler:
    """Handles prediction requests, many at once; it keeps nothing from one message to the next."""

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
        self._running: dict[UUID, Delivery] = {}

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Handle one delivery; the consumer treats whatever this raises as transient."""
        message = _decode_request(delivery)
        if isinstance(message, Park):
            return message
        fields: dict[str, object] = {
            LogField.PREDICTION_ID: str(message.data.prediction_id),
            LogField.TENANT_ID: message.data.tenant_id,
        }
        delivery.notes |= fields
        with bound_contextvars(**{LogField.MESSAGE_ID: delivery.message_id}, **fields):
            with _timed(delivery, "claim_seconds"):
                claimed = await self._claim(message.data.prediction_id)
            match claimed:
                case AlreadyFinal(status):
                    log.info("prediction_already_final", status=status)
                    return Ack()
                case HeldElsewhere(lease_seconds_left):
                    log.info("prediction_held_elsewhere", lease_seconds_left=lease_seconds_left)
                    return Retry(lease_seconds_left + HELD_ELSEWHERE_MARGIN_SECONDS, reason="held elsewhere")
                case UnknownPrediction():
                    log.warning("prediction_unknown", receive_count=delivery.receive_count)
                    if delivery.receive_count < self._max_receive_count:
                        return Retry(reason="no such prediction yet")
                    return Park("UnknownPrediction: there is no row with this id")
                case Claim() as claim:
                    log.info("prediction_claimed", fence=claim.fence, attempt=claim.attempt)
                    delivery.notes |= {"fence": claim.fence, "attempt": claim.attempt}
                    return await self._attempt(Attempt(delivery, message, claim))

    async def _claim(self, prediction_id: UUID) -> Claim | HeldElsewhere | AlreadyFinal | UnknownPrediction:
        """Claim the prediction; if cancelled meanwhile, release what may have been claimed by then."""
        claiming = asyncio.ensure_future(self._store.claim_prediction(prediction_id))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # Where this fails the lease lapses by itself.
            with suppress(Exception):
                async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                    if isinstance(claimed := await claiming, Claim):
                        await self._release(claimed)
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
        except asyncio.CancelledError:
            await self._release(claim)
            raise
        finally:
            del self._running[claim.prediction_id]

    async def _score_or_end(self, attempt: Attempt) -> Outcome:
        deadline = attempt.message.data.deadline
        if deadline is not None and datetime.now(UTC) >= deadline:
            await self._end(attempt, PredictionStatus.EXPIRED)
        elif attempt.claim.attempt > self._max_attempts:
            # Each attempt before this one died with its worker, so that none could record a failure.
            await self._fail(attempt, Failure.of(FailureCode.ATTEMPTS_EXHAUSTED))
        else:
            try:
                await self._score_in_time(attempt)
            except FenceLost:
                raise
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
            raise  # a timeout of the database or of S3

    async def _score(self, attempt: Attempt) -> None:
        """Fetch the file, score it, store the results under this claim's fence, complete the prediction."""
        delivery, claim, request = attempt.delivery, attempt.claim, attempt.message.data
        model = self._models.get(str(request.model))
        if model is None:
            raise ModelNotInstalled(str(request.model))
        score = partial(
            score_file,
            model=model,
            request=ScoringRequest(
                prediction_id=request.prediction_id,
                input_sha256=request.upload.sha256,
                mapping=request.mapping,
                reasons=request.options.reasons,
                confirmed=frozenset(request.options.confirmed),
            ),
        )
        async with attempt_folder(self._scratch) as folder:
            with _timed(delivery, "fetching_seconds"):
                await self._objects.download(request.upload, folder / "upload")
            with _timed(delivery, "scoring_seconds"):
                report = await self._scoring_pool.run(
                    lambda cancelled: score(folder / "upload", folder, cancelled=cancelled),
                    size_bytes=request.upload.size_bytes,
                )
            with _timed(delivery, "storing_seconds"):
                # The fence is part of the key: an overtaken worker writes beside the result, never over it.
                prefix = f"results/{request.tenant_id}/{request.prediction_id}/{claim.fence}"
                result = await self._objects.store_results(folder, report.files, prefix)
                await self._store.complete_prediction(
                    claim, attempt.message, rows=report.rows, summary=report.summary, result=result
                )
        log.info(
            "prediction_ended",
            status=PredictionStatus.COMPLETED,
            rows=report.rows.total,
            rejected=report.rows.rejected,
        )

    async def _settle_error(self, attempt: Attempt, error: Exception) -> Outcome:
        """Decide by the error's type: permanent, the last attempt, or one more."""
        permanent = _PERMANENT.get(type(error))
        if permanent is not None:
            await self._fail(attempt, permanent(error))
            return Ack()
        claim = attempt.claim
        code = _TRANSIENT.get(type(error), FailureCode.ATTEMPTS_EXHAUSTED)
        log.warning("attempt_failed", attempt=claim.attempt, error=repr(error), exc_info=error)
        last_delivery = attempt.delivery.receive_count >= self._max_receive_count
        if claim.attempt >= self._max_attempts or last_delivery:
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
        """Release the claim of a handler that is being cancelled, so that the next worker need not wait."""
        # Where this fails, for whatever reason, the lease lapses by itself.
        with suppress(Exception):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await self._store.release_prediction(
                    claim, retry_reason="interrupted", retry_seconds=0, interrupted=True
                )
                log.info("prediction_released", fence=claim.fence)

    async def _renew_lease(self, attempt: Attempt, _granted_seconds: float) -> None:
        """Renew the lease on the row; the consumer calls this after each extension of the message's."""
        try:
            await self._store.renew_lease(attempt.claim)
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


def _decode_request(delivery: Delivery) -> Request | Park:
    try:
        message = decode(delivery.body)
    except (MalformedMessage, UnsupportedVersion) as error:
        return Park(f"{type(error).__name__}: {error}")
    if not isinstance(message.data, PredictionRequestedV1):
        return Park(f"UnexpectedMessage: {message.type} does not belong in this queue")
    return cast("Request", message)


@contextmanager
def _timed(delivery: Delivery, stage: str) -> Iterator[None]:
    """Record how long a stage took, for the line that is logged when the message has ended."""
    began = time.monotonic()
    try:
        yield
    finally:
        delivery.notes[stage] = round(time.monotonic() - began, 3)
