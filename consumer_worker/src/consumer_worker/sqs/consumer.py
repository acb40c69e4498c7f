"""An SQS consumer: it receives, keeps leases alive, runs the handler, settles each message by its outcome.

A message's life reads downward in `Consumer`: RESERVED → BUFFERED → RUNNING → ACK_PENDING → DELETED.
A failure goes from RUNNING to BACKOFF (delivered again later) or DEAD (parked in the dead-letter queue), a
lease that ended to LEASE_LOST, and what a stopping consumer had not finished to RELEASED (visible at once).

The local deadline of a lease never outlasts the one SQS keeps, so a delivery whose deadline is ahead is ours
alone, unless SQS itself doubles it; that, and a process that was paused, is what a handler's fence is for.
"""

import asyncio
import contextvars
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import TypeVar

import structlog
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from consumer_worker.sqs.backoff import full_jitter
from consumer_worker.sqs.delivery import EXTENDED_STATES, SPENT_ON, Clock, Delivery, OnExtended, State
from consumer_worker.sqs.flow import SLACK_SECONDS, Batcher, FairBuffer, Permits
from consumer_worker.sqs.outcomes import Ack, Outcome, PermanentError, Reject, Retry
from consumer_worker.sqs.queue import (
    BATCH_SIZE,
    MAX_VISIBILITY_SECONDS,
    Entry,
    Queue,
    QueueError,
    QueueRefused,
    QueueUnavailable,
)
from consumer_worker.sqs.settings import ConsumerSettings
from consumer_worker.sqs.telemetry import ConsumerMetrics, link_to_sender

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_tracer = trace.get_tracer(__name__)

Handler = Callable[[Delivery], Awaitable[Outcome]]
T = TypeVar("T")
R = TypeVar("R")

_RELEASE = Retry(0, reason="the consumer stops")
_BUSY_POLL_SECONDS = 1.0
"""A poll of a queue that holds messages has returned by then."""


class Consumer:
    """Runs `handler` on each message of `queue` until `drain`, carrying nothing from one to the next."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        settings: ConsumerSettings,
        *,
        clock: Clock = time.monotonic,
        metrics: ConsumerMetrics | None = None,
    ) -> None:
        self.settings = settings
        self.fatal: QueueRefused | None = None
        """Why the consumer stopped by itself."""
        self._queue = queue
        self._handler = handler
        self._clock = clock
        self._metrics = metrics or ConsumerMetrics(CollectorRegistry())
        self._in_flight = {state: self._metrics.in_flight.labels(state) for state in State}
        self._ended = {state: self._metrics.deliveries.labels(state) for state in State}
        self._permits = Permits(settings.permits)
        self._deliveries: dict[str, Delivery] = {}
        """All that is held, by receipt handle: a message received twice is two deliveries."""
        self._buffer = FairBuffer[Delivery](settings.max_handlers_per_group)
        self._running = 0
        self._tasks = asyncio.TaskGroup()
        self._heartbeat_tasks = asyncio.TaskGroup()
        self._receivers: set[asyncio.Task[None]] = set()
        self._polling = 0
        """Receivers that have not decided to leave."""
        self._lives: set[asyncio.Task[None]] = set()
        self._deletes = Batcher(self._delete, settings.ack_wait_seconds, self._tasks, clock)
        self._visibilities = Batcher(self._change_visibility, settings.ack_wait_seconds, self._tasks, clock)
        self._started = False
        self._draining = asyncio.Event()
        self._blank_context = contextvars.copy_context()
        self._due: dict[str, float] = {}
        """When the heartbeat and each poll must have shown themselves again, or else they hang."""
        self._ticked_at = clock()
        self._stood_still = (-math.inf, -math.inf)
        """From when to when the process last was paused, as its heartbeat noticed."""

    # What others ask of it

    @property
    def live(self) -> bool:
        """Whether the receive, heartbeat and ack loops tick."""
        now = self._clock()
        receives = bool(self._receivers) or not self.ready
        return receives and all(
            now <= due for due in (*self._due.values(), self._deletes.due, self._visibilities.due)
        )

    @property
    def ready(self) -> bool:
        """Whether it takes messages: started, not draining, nothing fatal."""
        return self._started and not self._draining.is_set()

    def drain(self) -> None:
        """Stop: receive no more, give back what has not begun, let running handlers finish in the grace."""
        if not self._draining.is_set():
            _log.info("consumer_draining", queue=self._queue.name, held=len(self._deliveries))
            self._draining.set()
            self._permits.close()

    def release(self) -> None:
        """Stop now (a second signal): cancel polls and handlers, give back every message, leave.

        Call it, like `drain`, in the event loop's thread.
        """
        self.drain()
        self._abandon_polls()
        for delivery in self._deliveries.values():
            delivery.stop_handler(_RELEASE)
        asyncio.get_running_loop().call_later(self.settings.grace_margin_seconds, self._abandon_lives)

    # The life of the consumer

    async def run(self) -> None:
        """Consume until `drain`, and on until all that is held is settled or given back.

        Raises QueueRefused if the queue can't be used at all, after the same orderly stop.
        """
        async with self._tasks:
            heartbeat = self._tasks.create_task(self._keep_leases())
            self._start_receiver()
            self._started = True
            try:
                await self._draining.wait()
                await self._leave()
            except asyncio.CancelledError:
                self.release()
                await self._leave()
                raise
            finally:
                self._started = False
                heartbeat.cancel()
        _log.info("consumer_stopped", queue=self._queue.name)
        if self.fatal is not None:
            raise self.fatal

    async def _leave(self) -> None:
        grace = self.settings.grace_seconds - self.settings.grace_margin_seconds
        end_of_grace = asyncio.get_running_loop().call_later(grace, self.release)
        try:
            # First the polls, or our own would be given what is released. One that does not return soon waits
            # on an empty queue: what is released then wakes it, or another consumer's.
            busy = min(_BUSY_POLL_SECONDS, self.settings.poll_drain_seconds)
            await self._polls_ended(within_seconds=busy)
            self._release_buffered()
            await self._polls_ended(within_seconds=self.settings.poll_drain_seconds - busy)
            self._abandon_polls()
            await self._polls_ended()
            self._release_buffered()
            while self._lives:  # what is given back, and the handlers running, each with its ack
                await asyncio.wait(self._lives)
        finally:
            end_of_grace.cancel()

    async def _polls_ended(self, within_seconds: float | None = None) -> None:
        if self._receivers:
            await asyncio.wait(self._receivers, timeout=within_seconds)

    def _release_buffered(self) -> None:
        for delivery in self._buffer.clear():
            self._move(delivery, State.BACKOFF)
            self._start_life(delivery, self._back_off(delivery, _RELEASE))

    def _abandon_polls(self) -> None:
        for receiver in self._receivers:
            receiver.cancel()

    def _abandon_lives(self) -> None:
        for life in self._lives:
            life.cancel()

    def _fail(self, error: QueueRefused) -> None:
        if self.fatal is None:
            _log.error("queue_refused", queue=self._queue.name, error=str(error))
            self.fatal = error
            self.drain()

    # RESERVED: a receive holds a permit for each message it asks for

    def _start_receiver(self) -> None:
        self._polling += 1
        receiver = self._tasks.create_task(self._receive())
        self._receivers.add(receiver)
        receiver.add_done_callback(self._receivers.discard)

    async def _receive(self) -> None:
        """Poll until the drain; a full batch starts another receiver, a poor one ends it if not alone."""
        failures = 0
        while asked := await self._permits.reserve(BATCH_SIZE, self.settings.full_batch_wait_seconds):
            got = 0
            try:
                got = await self._poll(asked)
            except QueueUnavailable as error:
                failures += 1
                pause = self._request_pause(failures)
                _log.warning(
                    "receive_failed", queue=self._queue.name, error=str(error), retry_in=round(pause, 3)
                )
                await asyncio.sleep(pause)
            except QueueRefused as error:
                self._fail(error)
            else:
                failures = 0
            finally:
                self._permits.give_back(asked - got)
            if got == asked and self._polling < self.settings.max_receivers:
                self._start_receiver()
            elif got < asked / 2 and self._polling > 1:
                self._polling -= 1  # now, or polls that end together would all leave
                return

    async def _poll(self, most: int) -> int:
        poll = f"poll {id(asyncio.current_task())}"
        asked_at = self._clock()
        self._due[poll] = asked_at + self.settings.long_poll_seconds + SLACK_SECONDS
        try:
            messages = await self._counted(
                "receive",
                self._queue.receive(
                    most,
                    wait_seconds=self.settings.long_poll_seconds,
                    visibility_seconds=self.settings.visibility_seconds,
                ),
            )
        finally:
            del self._due[poll]
        self._metrics.receive_fill.observe(len(messages))
        received_at = self._received_at(asked_at)
        for message in messages:
            delivery = Delivery(message, received_at, self.settings.visibility_seconds, self._clock)
            if delivery.receive_count > 1:
                self._metrics.redeliveries.inc()
            self._deliveries[delivery.receipt_handle] = delivery
            self._in_flight[State.BUFFERED].inc()
            self._buffer.add(delivery.group_id, delivery)
        self._start_handlers()
        return len(messages)

    def _received_at(self, asked_at: float) -> float:
        """Return the earliest that SQS can have handed out what the poll of `asked_at` has just returned.

        The answer was under way for a round trip at most, unless the process stood still while it waited.
        """
        now = self._clock()
        earliest = now - self.settings.round_trip_seconds
        if now - self._ticked_at > self.settings.heartbeat_seconds + self.settings.round_trip_seconds:
            earliest = min(earliest, self._ticked_at)
        paused_at, resumed_at = self._stood_still
        if asked_at < resumed_at:
            earliest = min(earliest, paused_at)
        return max(asked_at, earliest)

    # BUFFERED: until a handler is free, fairly between groups

    def _start_handlers(self) -> None:
        while self._running < self.settings.max_handlers and not self._draining.is_set():
            delivery = self._buffer.pop()
            if delivery is None:
                return
            self._running += 1
            self._start_life(delivery, self._live(delivery))

    def _start_life(self, delivery: Delivery, life: Coroutine[None, None, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._lives.discard(task)
            if delivery.receipt_handle in self._deliveries:
                self._lose(delivery, "it was abandoned before it was settled")

        # A context of its own: what one handler binds, no other sees.
        task = self._tasks.create_task(life, context=self._blank_context.copy())
        task.add_done_callback(ended)
        self._lives.add(task)

    async def _live(self, delivery: Delivery) -> None:
        try:
            outcome = await self._handle(delivery) if await self._has_lease_to_start(delivery) else None
        finally:
            self._running -= 1
            self._buffer.finished(delivery.group_id)
        self._start_handlers()
        if outcome is not None:
            await self._settle(delivery, outcome)

    async def _has_lease_to_start(self, delivery: Delivery) -> bool:
        """Extend a lease the heartbeat could be too late for; without a fresh one the message is dropped."""
        enough = self.settings.lease_margin_seconds + self.settings.heartbeat_seconds
        if delivery.lease_seconds_left() < enough:
            await self._stop_extending(delivery)
            if delivery.state is State.BUFFERED and delivery.lease_seconds_left() < enough:
                await self._extend([delivery])
            delivery.busy = False
            if delivery.state is State.BUFFERED and delivery.lease_seconds_left() < enough:
                self._lose(delivery, "too little lease left to start")
        return delivery.state is State.BUFFERED

    # RUNNING

    async def _handle(self, delivery: Delivery) -> Outcome | None:
        """Run the handler; None means that the message is no longer ours to settle."""
        self._move(delivery, State.RUNNING)
        link = link_to_sender(delivery.message)
        ends_at = (
            delivery.received_at + self.settings.max_handling_seconds - self.settings.lease_margin_seconds
        )
        scope = asyncio.timeout(ends_at - self._clock())
        outcome: Outcome
        try:
            with _tracer.start_as_current_span(
                f"process {self._queue.name}", kind=trace.SpanKind.CONSUMER, links=[link] if link else None
            ):
                async with scope:
                    delivery.scope = scope
                    outcome = await self._handler(delivery)
                if not isinstance(outcome, Outcome):
                    raise TypeError(f"a handler must return an outcome, not {outcome!r}")
        except PermanentError as error:
            outcome = Reject(str(error))
        except Exception as error:  # what is unknown may pass: it is tried again
            outcome = Retry(reason=f"{type(error).__name__}: {error}")
            if not scope.expired():
                _log.warning("handler_failed", message_id=delivery.message_id, exc_info=True)
        finally:
            delivery.scope = None
        if delivery.state is State.LEASE_LOST:
            return None
        return delivery.if_stopped if scope.expired() and isinstance(outcome, Retry) else outcome

    # ACK_PENDING, BACKOFF or DEAD: until SQS has confirmed it

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        match outcome:
            case Ack():
                self._move(delivery, State.ACK_PENDING)
                await self._acknowledge(delivery)
            case Retry():
                self._move(delivery, State.BACKOFF)
                await self._back_off(delivery, outcome)
            case Reject(reason):
                self._move(delivery, State.DEAD)
                await self._reject(delivery, reason)

    async def _acknowledge(self, delivery: Delivery) -> None:
        self._metrics.lease_left.observe(max(0.0, delivery.lease_seconds_left()))
        entry = await self._confirmed(delivery, self._deletes, delivery.receipt_handle)
        if entry in (Entry.DONE, Entry.GONE):
            self._end(delivery, State.DEAD if delivery.state is State.DEAD else State.DELETED)
        elif entry is not None:
            self._lose(delivery, "it could not be deleted")

    async def _back_off(self, delivery: Delivery, retry: Retry) -> None:
        seconds = self._backoff_seconds(delivery, retry)
        delivery.notes |= {"retry_seconds": seconds, "reason": retry.reason}
        entry = await self._confirmed(delivery, self._visibilities, (delivery.receipt_handle, seconds))
        if entry is Entry.DONE:
            self._end(delivery, State.RELEASED if retry is _RELEASE else State.BACKOFF)
        elif entry is not None:
            self._lose(delivery, "it could not be given back")

    async def _reject(self, delivery: Delivery, reason: str) -> None:
        delivery.notes["reason"] = reason
        try:
            await self._counted("dead_letter", self._queue.dead_letter(delivery.message, reason))
        except QueueError as error:
            # Not fatal even if refused: the queue's own redrive parks the message after its last delivery.
            _log.error("dead_letter_failed", message_id=delivery.message_id, reason=reason, error=str(error))
            self._move(delivery, State.BACKOFF)
            await self._back_off(delivery, Retry(reason=str(error)))
        else:
            _log.error("message_rejected", message_id=delivery.message_id, reason=reason)
            await self._acknowledge(delivery)

    async def _confirmed(self, delivery: Delivery, batcher: Batcher[T], request: T) -> Entry | None:
        """Return SQS's answer about a receipt, asked for again while the lease lives; None if it was lost."""
        failures = 0
        while True:
            await self._stop_extending(delivery)
            if delivery.receipt_handle not in self._deliveries:
                return None
            if delivery.lease_seconds_left() <= 0:
                return Entry.FAILED
            entry = await batcher.submit(request)
            if entry is not Entry.FAILED:
                return entry
            delivery.busy = False
            failures += 1
            await asyncio.sleep(min(self._request_pause(failures), max(0.0, delivery.lease_seconds_left())))

    async def _delete(self, receipts: Sequence[str]) -> list[Entry]:
        self._metrics.ack_batch.observe(len(receipts))
        return await self._entries("delete", self._queue.delete(receipts), len(receipts))

    async def _change_visibility(self, changes: Sequence[tuple[str, int]]) -> list[Entry]:
        return await self._entries("change_visibility", self._queue.change_visibility(changes), len(changes))

    async def _entries(self, action: str, request: Awaitable[list[Entry]], count: int) -> list[Entry]:
        try:
            return await self._counted(action, request)
        except QueueUnavailable as error:
            _log.warning("request_failed", queue=self._queue.name, action=action, error=str(error))
            return [Entry.FAILED] * count
        except QueueRefused as error:
            self._fail(error)
            return [Entry.REFUSED] * count

    async def _counted(self, action: str, request: Awaitable[R]) -> R:
        try:
            result = await request
        except QueueError:
            self._metrics.requests.labels(action, "failed").inc()
            raise
        self._metrics.requests.labels(action, "ok").inc()
        return result

    def _backoff_seconds(self, delivery: Delivery, retry: Retry) -> int:
        """Return the delay asked for, else full jitter; within the 12 hours SQS allows from the receive."""
        delay = retry.delay
        if delay is None:
            settings = self.settings
            delay = full_jitter(
                delivery.receive_count, settings.retry_base_seconds, settings.retry_cap_seconds
            )
        allowed = delivery.received_at + MAX_VISIBILITY_SECONDS - self._clock()
        return max(0, int(min(round(delay), allowed)))

    def _request_pause(self, failures: int) -> float:
        settings = self.settings
        return full_jitter(failures, settings.request_retry_base_seconds, settings.request_retry_cap_seconds)

    # The lease, all the while

    async def _keep_leases(self) -> None:
        """Every so often extend the leases that are half over, and give up on those that ended."""
        async with self._heartbeat_tasks:
            while True:
                self._tick()
                for batch in _batches(self._leases_to_extend()):
                    extension = self._heartbeat_tasks.create_task(self._extend(batch))
                    for delivery in batch:
                        delivery.extension = extension
                await asyncio.sleep(self.settings.heartbeat_seconds)

    def _tick(self) -> None:
        now = self._clock()
        if now - self._ticked_at > self.settings.heartbeat_seconds + self.settings.round_trip_seconds:
            self._stood_still = (self._ticked_at, now)
        self._ticked_at = now
        self._due["heartbeat"] = now + self.settings.heartbeat_seconds + SLACK_SECONDS

    def _leases_to_extend(self) -> list[Delivery]:
        due = []
        for delivery in list(self._deliveries.values()):
            left = delivery.lease_seconds_left()
            if delivery.busy:
                continue
            if left <= self.settings.lease_margin_seconds:
                self._lose(delivery, "its lease could not be kept")
            elif (
                left <= self.settings.extend_below_seconds
                and delivery.state in EXTENDED_STATES
                and delivery.extension is None
                and self._extension_seconds(delivery) > left
            ):
                due.append(delivery)
        return due

    def _extension_seconds(self, delivery: Delivery) -> int:
        """Return how long the lease may be made now: SQS refuses to go beyond 12 hours, it does not clamp."""
        ends_at = delivery.received_at + self.settings.max_handling_seconds
        return int(min(self.settings.visibility_seconds, ends_at - self._clock()))

    async def _extend(self, batch: Sequence[Delivery]) -> None:
        asked_at = self._clock()
        seconds = [self._extension_seconds(delivery) for delivery in batch]
        try:
            entries = await self._change_visibility(
                [(delivery.receipt_handle, granted) for delivery, granted in zip(batch, seconds, strict=True)]
            )
        finally:
            for delivery in batch:
                delivery.extension = None
        for delivery, granted, entry in zip(batch, seconds, entries, strict=True):
            self._metrics.extensions.labels(entry.value).inc()
            if delivery.receipt_handle not in self._deliveries:
                continue
            if entry is Entry.DONE:
                delivery.lease_deadline = asked_at + granted
                if delivery.state is State.RUNNING and delivery.on_extended is not None:
                    self._heartbeat_tasks.create_task(self._tell_extended(delivery, delivery.on_extended))
            elif entry is Entry.GONE:
                self._lose(delivery, "SQS no longer knows its receipt")

    async def _tell_extended(self, delivery: Delivery, on_extended: OnExtended) -> None:
        try:
            await on_extended(delivery.lease_seconds_left())
        except Exception:  # the handler's own lease is the handler's to lose
            _log.warning("on_extended_failed", message_id=delivery.message_id, exc_info=True)

    async def _stop_extending(self, delivery: Delivery) -> None:
        """Let no extension start, and await one in the air: landing late, it would undo what comes next."""
        delivery.busy = True
        if delivery.extension is not None:
            await asyncio.wait((delivery.extension,))

    def _lose(self, delivery: Delivery, why: str) -> None:
        _log.warning("lease_lost", message_id=delivery.message_id, state=delivery.state, why=why)
        self._metrics.leases_lost.inc()
        delivery.notes["reason"] = why
        if delivery.state is State.BUFFERED:
            self._buffer.discard(delivery.group_id, delivery)
        self._end(delivery, State.LEASE_LOST)
        delivery.stop_handler(Retry(reason=why))

    # Every step of a life is one of these two

    def _move(self, delivery: Delivery, state: State) -> None:
        self._count_time(delivery)
        self._in_flight[delivery.state].dec()
        self._in_flight[state].inc()
        delivery.state = state

    def _end(self, delivery: Delivery, state: State) -> None:
        self._count_time(delivery)
        del self._deliveries[delivery.receipt_handle]
        self._in_flight[delivery.state].dec()
        self._ended[state].inc()
        delivery.state = state
        self._permits.give_back(1)
        # The one line that each delivery leaves.
        _log.info(
            "message_ended",
            message_id=delivery.message_id,
            state=state,
            receive_count=delivery.receive_count,
            **{name: round(seconds, 3) for name, seconds in delivery.seconds.items()},
            **delivery.notes,
        )

    def _count_time(self, delivery: Delivery) -> None:
        """Add the time in the state that is left to what it was spent on."""
        now = self._clock()
        spent_on = SPENT_ON.get(delivery.state, "settling_seconds")
        delivery.seconds[spent_on] = delivery.seconds.get(spent_on, 0.0) + now - delivery.since
        delivery.since = now


def _batches(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    return (deliveries[n : n + BATCH_SIZE] for n in range(0, len(deliveries), BATCH_SIZE))
