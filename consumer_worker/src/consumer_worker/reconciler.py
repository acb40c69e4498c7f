"""No prediction stays unfinished for ever: what no message and no worker will end, this ends or requeues."""

import asyncio
from dataclasses import dataclass
from typing import Never
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from consumer_worker.sqs.queue import BATCH_SIZE, SqsQueue
from consumer_worker.store import ParkedOutcome, Store
from retainwise_contracts.codec import decode
from retainwise_contracts.errors import ContractError
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_requested import PredictionRequestedV1

DIED_AFTER_LEASES = 2
"""Leases without a renewal after which a worker counts as dead: SQS has redelivered its message by then."""

MAX_LOST_AFTER_SECONDS = 4 * 24 * 3600.0
"""The queue's retention: a message that was sent before this is gone, however long the queue is."""

UNSENDABLE_AFTER_SECONDS = 4 * 24 * 3600.0
"""Longer than any outage of SQS: a message that was refused for so long will never be sent."""

PARKED_VISIBILITY_SECONDS = 300
"""A parked message that stays parked is looked at again after this."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ReconcilerSettings:
    """How often a sweep is made, and when a worker counts as dead."""

    sweep_seconds: float
    lease_seconds: float
    max_attempts: int

    @property
    def died_after_seconds(self) -> float:
        """How long after a lease lapsed its worker counts as dead."""
        return DIED_AFTER_LEASES * self.lease_seconds


class Reconciler:
    """Sweeps the predictions and the dead-letter queue; one replica at a time does the former."""

    def __init__(
        self,
        store: Store,
        queue: SqsQueue,
        dead_letter_queue: SqsQueue,
        settings: ReconcilerSettings,
        registry: CollectorRegistry,
    ) -> None:
        self._store = store
        self._queue = queue
        self._dead_letter_queue = dead_letter_queue
        self._settings = settings
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
        """Make one sweep.

        Raises:
            asyncpg.PostgresError, OSError: the database cannot be reached.
            QueueError: one of the queues cannot be reached.
        """
        died_after = self._settings.died_after_seconds
        # With no message waiting or in flight, what is unfinished has lost its message. Otherwise its message
        # may still be waiting, and only the queue's retention bounds how long.
        queue_is_empty = await self._queue.count_messages() == 0
        reconciled = await self._store.reconcile_predictions(
            max_attempts=self._settings.max_attempts,
            died_after_seconds=died_after,
            lost_after_seconds=died_after if queue_is_empty else MAX_LOST_AFTER_SECONDS,
            unsendable_after_seconds=UNSENDABLE_AFTER_SECONDS,
        )
        if reconciled is not None:
            self._report("expired", reconciled.expired)
            self._report("failed", reconciled.failed)
            self._report("requeued", reconciled.requeued)
        await self._end_parked_predictions()

    async def _end_parked_predictions(self) -> None:
        """End the predictions of parked messages; a message that cannot be read stays for a redrive."""
        while True:
            messages = await self._dead_letter_queue.receive(
                BATCH_SIZE, wait_seconds=0, visibility_seconds=PARKED_VISIBILITY_SECONDS
            )
            if not messages:
                return
            done_with = [
                message.receipt_handle for message in messages if await self._end_parked(message.body)
            ]
            if done_with:
                await self._dead_letter_queue.delete(done_with)

    async def _end_parked(self, body: str) -> bool:
        """End the prediction of one parked message; return whether the message can be deleted."""
        try:
            request = decode(body).data
        except ContractError:
            return False
        if not isinstance(request, PredictionRequestedV1):
            return False
        outcome = await self._store.fail_parked_prediction(
            request.prediction_id,
            Failure.of(FailureCode.ATTEMPTS_EXHAUSTED),
            died_after_seconds=self._settings.died_after_seconds,
        )
        if outcome is ParkedOutcome.FAILED:
            self._report("failed", (request.prediction_id,))
        return outcome is not ParkedOutcome.STILL_OPEN

    def _report(self, outcome: str, prediction_ids: tuple[UUID, ...]) -> None:
        for prediction_id in prediction_ids:
            self._reconciled.labels(outcome).inc()
            log.warning("prediction_reconciled", outcome=outcome, prediction_id=str(prediction_id))
