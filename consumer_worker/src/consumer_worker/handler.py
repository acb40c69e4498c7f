"""What happens to one message: read downward.

A message asks for one prediction. It is claimed, its file fetched and scored, the results stored, the
prediction completed, and the consumer told what to do with the message. A prediction is FAILED only when its
message dies.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Never, cast
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from consumer_worker.objects import Objects, UploadChanged, UploadMissing
from consumer_worker.scoring import ScoringFailed, ScoringReport, ScoringRequest, score_file
from consumer_worker.scoring_pool import ScoringPool
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
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.prediction_requested import PredictionRequestedV1
from retainwise_contracts.results import MEDIA_TYPES, ResultFile
from retainwise_contracts.status import PredictionStatus

Request = Envelope[PredictionRequestedV1]

HELD_ELSEWHERE_MARGIN_SECONDS = 1.0
"""Added to what is left of another worker's lease before its message is looked at again."""

CANCELLATION_CHECK_SECONDS = 0.5
"""Between looks at whether a prediction was cancelled while it runs: one small query for all that run."""

RELEASE_TIMEOUT_SECONDS = 2.0
"""For giving a claim back while the handler is being cancelled: the process may have to end soon."""

RETRY_BASE_SECONDS = 2.0
RETRY_CAP_SECONDS = 300.0
"""A failed attempt is tried again after up to min(cap, base * 2^(attempt - 1)) seconds, at random."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


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
"""Errors that no further attempt can mend, and the failure each becomes. All others are transient."""

_TRANSIENT: Mapping[type[Exception], FailureCode] = MappingProxyType(
    {ModelNotInstalled: FailureCode.MODEL_UNAVAILABLE, TookTooLong: FailureCode.TOOK_TOO_LONG}
)
"""What a transient error is told as, and becomes with the last attempt; the rest are ATTEMPTS_EXHAUSTED."""


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
        """Handle one delivery; whatever this raises, the consumer takes as transient."""
        message = _read_request(delivery)
        if isinstance(message, Park):
            return message
        whose: dict[str, object] = {
            LogField.PREDICTION_ID: str(message.data.prediction_id),
            LogField.TENANT_ID: message.data.tenant_id,
        }
        delivery.notes |= whose
        with bound_contextvars(**{LogField.MESSAGE_ID: delivery.message_id}, **whose):
            return await self._claim(delivery, message)

    async def _claim(self, delivery: Delivery, message: Request) -> Outcome:
        with _timed(delivery, "claim_seconds"):
            claimed = await self._claim_uninterrupted(message.data.prediction_id)
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
                delivery.on_extended = partial(self._renew_lease, delivery, claim)
                self._running[claim.prediction_id] = delivery
                try:
                    return await self._attempt(delivery, message, claim)
                finally:
                    del self._running[claim.prediction_id]

    async def _claim_uninterrupted(
        self, prediction_id: UUID
    ) -> Claim | HeldElsewhere | AlreadyFinal | UnknownPrediction:
        """Claim; cancelled in the middle of it, give back what may have been claimed by then."""
        claiming = asyncio.ensure_future(self._store.claim_prediction(prediction_id))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # Where this fails the lease lapses by itself.
            with suppress(Exception):
                async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                    if isinstance(claimed := await claiming, Claim):
                        await self._give_back(claimed)
            raise

    async def watch_cancellations(self) -> Never:
        """Stop handlers whose prediction was cancelled meanwhile; runs until it is cancelled itself."""
        while True:
            await asyncio.sleep(CANCELLATION_CHECK_SECONDS)
            if not self._running:
                continue
            try:
                ended = await self._store.find_ended(self._running)
            except Exception as error:  # whatever it is must not end the watch
                log.warning("cancellation_check_failed", error=repr(error))
                continue
            for prediction_id in ended:
                if delivery := self._running.get(prediction_id):
                    log.info("prediction_stopped", prediction_id=str(prediction_id))
                    delivery.stop_handler(Ack())

    async def _renew_lease(self, delivery: Delivery, claim: Claim, _granted_seconds: float) -> None:
        try:
            await self._store.renew_lease(claim)
        except FenceLost:
            delivery.stop_handler(Retry(reason="overtaken by another worker"))

    async def _attempt(self, delivery: Delivery, message: Request, claim: Claim) -> Outcome:
        deadline = message.data.deadline
        try:
            if deadline is not None and datetime.now(UTC) >= deadline:
                await self._end(message, claim, PredictionStatus.EXPIRED)
            elif claim.attempt > self._max_attempts:
                # The attempts before this one took their worker down with them: none lived to say so.
                await self._fail(message, claim, Failure.of(FailureCode.ATTEMPTS_EXHAUSTED))
            else:
                try:
                    await self._score_in_time(delivery, message, claim)
                except FenceLost:
                    raise
                except Exception as error:  # an unknown one is transient
                    return await self._settle_error(delivery, message, claim, error)
        except FenceLost:
            log.warning("prediction_overtaken", fence=claim.fence)
            return Retry(reason="overtaken by another worker")
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise
        return Ack()

    async def _score_in_time(self, delivery: Delivery, message: Request, claim: Claim) -> None:
        limit = asyncio.timeout(self._max_handling_seconds)
        try:
            async with limit:
                await self._score(delivery, message, claim)
        except TimeoutError as error:
            if limit.expired():
                raise TookTooLong(f"not done after {self._max_handling_seconds} s") from error
            raise  # a timeout of the database or of S3

    async def _score(self, delivery: Delivery, message: Request, claim: Claim) -> None:
        """Fetch the file, score it, store the results under this claim's fence, complete the prediction."""
        request = message.data
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
            ),
        )
        async with self._scratch_folder() as scratch:
            with _timed(delivery, "fetching_seconds"):
                await self._objects.download(request.upload, scratch / "upload")
            with _timed(delivery, "scoring_seconds"):
                report = await self._scoring_pool.run(
                    lambda cancelled: score(scratch / "upload", scratch, cancelled=cancelled),
                    size_bytes=request.upload.size_bytes,
                )
            with _timed(delivery, "storing_seconds"):
                result = await self._store_result(scratch, report, message, claim)
                await self._store.complete_prediction(
                    claim, message, rows=report.rows, summary=report.summary, result=result
                )
        log.info(
            "prediction_ended",
            status=PredictionStatus.COMPLETED,
            rows=report.rows.total,
            rejected=report.rows.rejected,
        )

    async def _store_result(
        self, folder: Path, report: ScoringReport, message: Request, claim: Claim
    ) -> ResultLocation:
        # The fence is part of the key: a worker that was overtaken writes beside the result, never over it.
        request = message.data
        prefix = f"results/{request.tenant_id}/{request.prediction_id}/{claim.fence}"
        files = tuple(
            ResultFile(
                name=file.name,
                key=f"{prefix}/{file.name}",
                media_type=MEDIA_TYPES[file.name],
                size_bytes=file.size_bytes,
                sha256=file.sha256,
            )
            for file in report.files
        )
        for file in files:
            await self._objects.upload(folder / file.name, file.key, file.media_type)
        return ResultLocation(bucket=self._objects.bucket, files=files)

    async def _settle_error(
        self, delivery: Delivery, message: Request, claim: Claim, error: Exception
    ) -> Outcome:
        """Decide by the error's type: permanent, the last attempt, or one more."""
        permanent = _PERMANENT.get(type(error))
        if permanent is not None:
            await self._fail(message, claim, permanent(error))
            return Ack()
        code = _TRANSIENT.get(type(error), FailureCode.ATTEMPTS_EXHAUSTED)
        log.warning("attempt_failed", attempt=claim.attempt, error=repr(error), exc_info=error)
        if claim.attempt >= self._max_attempts or delivery.receive_count >= self._max_receive_count:
            await self._fail(message, claim, Failure.of(code))
            return Ack()
        delay = full_jitter(claim.attempt, RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        await self._store.release_prediction(claim, retry_reason=code.value, retry_seconds=delay)
        return Retry(delay, reason=type(error).__name__)

    async def _fail(self, message: Request, claim: Claim, failure: Failure) -> None:
        await self._end(message, claim, PredictionStatus.FAILED, failure)

    async def _end(
        self, message: Request, claim: Claim, status: PredictionStatus, failure: Failure | None = None
    ) -> None:
        await self._store.end_prediction(claim, message, status=status, failure=failure)
        log.info("prediction_ended", status=status, failure=failure.code if failure else None)

    async def _give_back(self, claim: Claim) -> None:
        """Release the claim of a handler that is being cancelled, so that the next worker need not wait."""
        # Where this fails, for whatever reason, the lease lapses by itself.
        with suppress(Exception):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await self._store.release_prediction(
                    claim, retry_reason="interrupted", retry_seconds=0, interrupted=True
                )
                log.info("prediction_given_back", fence=claim.fence)

    @asynccontextmanager
    async def _scratch_folder(self) -> AsyncIterator[Path]:
        """A folder for one attempt; nothing of it outlives the attempt."""
        folder = await asyncio.to_thread(
            tempfile.TemporaryDirectory,
            prefix="prediction-",
            dir=self._scratch,
            ignore_cleanup_errors=True,
        )
        try:
            yield Path(folder.name)
        finally:
            await asyncio.shield(asyncio.to_thread(folder.cleanup))


@contextmanager
def _timed(delivery: Delivery, stage: str) -> Iterator[None]:
    """Note how long a stage took, for the line that is logged when the message has ended."""
    began = time.monotonic()
    try:
        yield
    finally:
        delivery.notes[stage] = round(time.monotonic() - began, 3)


def _read_request(delivery: Delivery) -> Request | Park:
    try:
        message = decode(delivery.body)
    except (MalformedMessage, UnsupportedVersion) as error:
        return Park(f"{type(error).__name__}: {error}")
    if not isinstance(message.data, PredictionRequestedV1):
        return Park(f"UnexpectedMessage: {message.type} is not for this queue")
    return cast("Request", message)
