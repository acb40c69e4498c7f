"""No prediction stays unfinished for ever: what no message and no worker will end, this ends or requeues."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Never
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from consumer_worker.sqs.queue import BATCH_SIZE, SqsQueue
from consumer_worker.store import ParkedOutcome, Store
from consumer_worker.subject import read_subject
from retainwise_contracts.codec import decode
from retainwise_contracts.errors import ContractError, UnsupportedVersion
from retainwise_contracts.prediction_requested import PredictionRequestedV1

LOST_AFTER_LEASES = 2
"""Leases after which an untouched prediction may have lost its message: SQS would have redelivered it."""

RETENTION_SECONDS = 4 * 24 * 3600.0
"""The queue's: a message that was sent before this is gone, however long the queue is."""

UNSENDABLE_AFTER_SECONDS = 4 * 24 * 3600.0
"""Longer than any outage of SQS: a message that was refused for so long will never be sent."""

PARKED_VISIBILITY_SECONDS = 60
"""A parked message that stays parked is looked at again after this."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ReconcilerSettings:
    """How often a sweep is made, and when a message counts as lost."""

    sweep_seconds: float
    lease_seconds: float
    max_attempts: int

    @property
    def lost_seconds(self) -> float:
        """How long nobody has touched a prediction whose message may be lost."""
        return LOST_AFTER_LEASES * self.lease_seconds


class Reconciler:
    """Sweeps the predictions and the dead-letter queue; one replica at a time does the former."""

    def __init__(
        self,
        store: Store,
        queue: SqsQueue,
        dead_letter_queue: SqsQueue,
        settings: ReconcilerSettings,
        registry: CollectorRegistry,
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_paused` says whether an outage keeps this worker from its work: then nothing proves a loss."""
        self._store = store
        self._queue = queue
        self._dead_letter_queue = dead_letter_queue
        self._settings = settings
        self._is_paused = is_paused
        self._reconciled = Counter(
            "retainwise_reconciled_predictions",
            "Predictions that only the reconciler could end or requeue, by outcome",
            ["outcome"],
            registry=registry,
        )

    async def run(self) -> Never:
        """Sweep until cancelled; a sweep that fails is repeated at the next turn."""
        while True:
            try:
                await self.sweep()
            except Exception:  # no error may end the sweeps
                log.warning("reconcile_failed", exc_info=True)
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self) -> None:
        """Make one sweep, unless an outage keeps this worker from its work.

        Raises:
            DatabaseUnavailable: the database cannot be used.
            QueueError: one of the queues cannot be reached.
        """
        if self._is_paused():
            return
        reconciled = await self._store.reconcile_predictions(
            queue_is_empty=await self._queue.count_messages() == 0,
            lost_seconds=self._settings.lost_seconds,
            retention_seconds=RETENTION_SECONDS,
            unsendable_after_seconds=UNSENDABLE_AFTER_SECONDS,
        )
        if reconciled is not None:
            self._report("expired", reconciled.expired)
            self._report("failed", reconciled.failed)
            self._report("requeued", reconciled.requeued)
        await self._settle_parked_messages()

    async def _settle_parked_messages(self) -> None:
        """Settle the predictions of parked messages; a message that cannot be read stays for a redrive."""
        while True:
            messages = await self._dead_letter_queue.receive(
                BATCH_SIZE, wait_seconds=0, visibility_seconds=PARKED_VISIBILITY_SECONDS
            )
            if not messages:
                return
            done_with = [
                message.receipt_handle for message in messages if await self._settle_parked(message.body)
            ]
            if done_with:
                await self._dead_letter_queue.delete(done_with)

    async def _settle_parked(self, body: str) -> bool:
        """Settle the prediction of one parked message; return whether the message can be deleted."""
        try:
            request = decode(body).data
        except UnsupportedVersion:
            if subject := read_subject(body):
                await self._store.mark_parked(subject)
            return False
        except ContractError:
            return False
        if not isinstance(request, PredictionRequestedV1):
            return False
        outcome = await self._store.settle_parked_prediction(
            request, max_attempts=self._settings.max_attempts, silent_seconds=self._settings.lost_seconds
        )
        if outcome is ParkedOutcome.FAILED:
            self._report("failed", (request.prediction_id,))
        if outcome is ParkedOutcome.SENT_AGAIN:
            self._report("requeued", (request.prediction_id,))
        return outcome is not ParkedOutcome.STILL_OPEN

    def _report(self, outcome: str, prediction_ids: tuple[UUID, ...]) -> None:
        for prediction_id in prediction_ids:
            self._reconciled.labels(outcome).inc()
            log.warning("prediction_reconciled", outcome=outcome, prediction_id=str(prediction_id))
