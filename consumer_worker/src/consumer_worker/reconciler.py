"""No prediction stays unfinished for ever: what no message and no worker will end, this ends or re-queues."""

import asyncio
from dataclasses import dataclass
from typing import Never
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from consumer_worker.sqs.queue import BATCH_SIZE, SqsQueue
from consumer_worker.store import ParkedEnd, Store
from retainwise_contracts.codec import decode
from retainwise_contracts.errors import ContractError
from retainwise_contracts.failures import Failure, FailureCode
from retainwise_contracts.prediction_requested import PredictionRequestedV1

DIED_AFTER_LEASES = 2
"""Leases without a renewal after which a worker counts as dead: SQS has redelivered its message by then."""

LOST_AFTER_SECONDS_AT_MOST = 4 * 24 * 3600.0
"""The queue's retention: a message that was sent before this is gone, however long the queue is."""

UNSENDABLE_AFTER_SECONDS = 4 * 24 * 3600.0
"""Longer than any outage of SQS: a message that was refused for so long is never taken."""

PARKED_VISIBILITY_SECONDS = 300
"""A parked message that stays parked is looked at again after this."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ReconcilerSettings:
    """How often a sweep is made, and what it takes for dead."""

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
        parked: SqsQueue,
        settings: ReconcilerSettings,
        registry: CollectorRegistry,
    ) -> None:
        self._store = store
        self._queue = queue
        self._parked = parked
        self._settings = settings
        self._reconciled = Counter(
            "retainwise_reconciled_predictions",
            "Predictions that only the reconciler could move on, by what became of them",
            ["outcome"],
            registry=registry,
        )

    async def run(self) -> Never:
        """Sweep until cancelled; a sweep that fails is made again at the next turn."""
        while True:
            try:
                await self.sweep()
            except Exception:  # whatever it was must not end the sweeps
                log.warning("reconcile_failed", exc_info=True)
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self) -> None:
        """Make one sweep.

        Raises:
            asyncpg.PostgresError, OSError: the database cannot be reached.
            QueueError: one of the queues cannot be reached.
        """
        died_after = self._settings.died_after_seconds
        # Where nothing waits and nothing is in flight, whatever is unfinished has lost its message. Otherwise
        # it may be waiting its turn, and only the retention tells.
        nothing_on_its_way = await self._queue.count_messages() == 0
        reconciled = await self._store.reconcile_predictions(
            max_attempts=self._settings.max_attempts,
            died_after_seconds=died_after,
            lost_after_seconds=died_after if nothing_on_its_way else LOST_AFTER_SECONDS_AT_MOST,
            unsendable_after_seconds=UNSENDABLE_AFTER_SECONDS,
        )
        if reconciled is not None:
            self._tell("expired", reconciled.expired)
            self._tell("failed", reconciled.failed)
            self._tell("requeued", reconciled.requeued)
        await self._end_parked()

    async def _end_parked(self) -> None:
        """Give the predictions of parked messages their end; what cannot be read stays for a redrive."""
        while True:
            messages = await self._parked.receive(
                BATCH_SIZE, wait_seconds=0, visibility_seconds=PARKED_VISIBILITY_SECONDS
            )
            if not messages:
                return
            ended = [message.receipt_handle for message in messages if await self._end(message.body)]
            if ended:
                await self._parked.delete(ended)

    async def _end(self, body: str) -> bool:
        """Return whether the row says all the message could: then the message may go."""
        try:
            request = decode(body).data
        except ContractError:
            return False
        if not isinstance(request, PredictionRequestedV1):
            return False
        end = await self._store.fail_parked_prediction(
            request.prediction_id,
            Failure.of(FailureCode.ATTEMPTS_EXHAUSTED),
            died_after_seconds=self._settings.died_after_seconds,
        )
        if end is ParkedEnd.FAILED_NOW:
            self._tell("failed", (request.prediction_id,))
        return end is not ParkedEnd.NOT_YET

    def _tell(self, outcome: str, prediction_ids: tuple[UUID, ...]) -> None:
        for prediction_id in prediction_ids:
            self._reconciled.labels(outcome).inc()
            log.warning("prediction_reconciled", outcome=outcome, prediction_id=str(prediction_id))
