"""The consumer: it receives, keeps leases alive, runs the handler and settles each message by its outcome.

`Consumer` has a message's life in order, from top to bottom: BUFFERED → RUNNING → ACK_PENDING → DELETED. A
permit is reserved before the receive. From RUNNING a failure goes to BACKOFF (delivered again later) or
PARKED (moved to the dead-letter queue). A lease that ended goes to LEASE_LOST, and a message that a draining
consumer did not finish to RELEASED (visible at once).

The local deadline of a lease is never later than the one SQS keeps. Until it passes, no other consumer has
the message, unless SQS delivers it twice. For that, and for a paused process, a handler needs a fence.
"""

import asyncio
import contextvars
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import structlog
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from consumer_worker.sqs.backoff import full_jitter
from consumer_worker.sqs.breaker import TRIAL, Breakers, Probe
from consumer_worker.sqs.delivery import EXTENDED_STATES, TIME_FIELDS, Clock, Delivery, OnExtended, State
from consumer_worker.sqs.flow import SLACK_SECONDS, Batcher, FairBuffer, Permits
from consumer_worker.sqs.outcomes import Ack, Outcome, Park, Release, Retry, Unavailable
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

_STOPPING = Release("the consumer stops")
_BUSY_POLL_SECONDS = 1.0
"""A poll of a queue that holds messages returns within this time."""
_ROUNDED_SECONDS = 1.0
"""Extensions are of whole seconds: the last one may end this much before it has to."""


class Consumer:
    """Runs `handler` on each message of `queue` until `drain`; it keeps nothing from one message to the next.

    `probes` has a check for each dependency that the handler names in `Unavailable`.

    `drain` and `stop_now` are called in the event loop's thread, from a signal handler for example.
    """

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        settings: ConsumerSettings,
        *,
        probes: Mapping[str, Probe] = MappingProxyType({}),
        clock: Clock = time.monotonic,
        metrics: ConsumerMetrics | None = None,
    ) -> None:
        self.settings = settings
        self.fatal: QueueRefused | None = None
        """The error for which the consumer stopped by itself."""
        self._queue = queue
        self._handler = handler
        self._clock = clock
        self._metrics = metrics or ConsumerMetrics(CollectorRegistry())
        self._in_flight = {state: self._metrics.in_flight.labels(state) for state in State}
        self._ended = {state: self._metrics.deliveries.labels(state) for state in State}
        self._permits = Permits(settings.permits)
        self._deliveries: dict[str, Delivery] = {}
        """All deliveries held, by receipt handle: a message received twice is two deliveries."""
        self._buffer = FairBuffer[Delivery](settings.max_handlers_per_group)
        self._running = 0
        self._tasks = asyncio.TaskGroup()
        self._heartbeat_tasks = asyncio.TaskGroup()
        self._receivers: set[asyncio.Task[None]] = set()
        self._polling = 0
        """Receivers that have not decided to end."""
        self._polled_at = -math.inf
        """When the last poll began."""
        self._processing: set[asyncio.Task[None]] = set()
        self._deletes = Batcher(self._delete, settings.ack_wait_seconds, self._tasks, clock)
        self._visibilities = Batcher(self._change_visibility, settings.ack_wait_seconds, self._tasks, clock)
        self._breakers = Breakers(
            probes, settings, self._tasks, self._metrics, clock, on_open=self._release_until_available
        )
        self._started = False
        self._draining = asyncio.Event()
        self._blank_context = contextvars.copy_context()
        self._due: dict[str, float] = {}
        """When the heartbeat and each poll must have reported again; later than that, they hang."""
        self._ticked_at = clock()
        self._last_pause = (-math.inf, -math.inf)
        """Start and end of the process's last pause that the heartbeat noticed."""

    # Its health, and how to stop it

    @property
    def live(self) -> bool:
        """Whether the receive, heartbeat and ack loops make progress."""
        now = self._clock()
        receives = bool(self._receivers) or not self._started or self._draining.is_set()
        return receives and all(
            now <= due for due in (*self._due.values(), self._deletes.due, self._visibilities.due)
        )

    @property
    def ready(self) -> bool:
        """Whether it takes messages: it has started, does not drain, and nothing it needs is unavailable."""
        return self._started and not self._draining.is_set() and not self.unavailable

    @property
    def unavailable(self) -> Mapping[str, str]:
        """The dependencies for which it waits, each with the reason."""
        return self._breakers.unavailable

    def drain(self) -> None:
        """Stop: receive no more, release what has not begun, let running handlers finish within the grace."""
        if not self._draining.is_set():
            _log.info("consumer_draining", queue=self._queue.name, held=len(self._deliveries))
            self._draining.set()
            self._permits.close()
            self._breakers.stop()

    def stop_now(self) -> None:
        """Stop now (at a second signal): cancel polls and handlers, and release every message."""
        self.drain()
        self._abandon_polls()
        for delivery in self._deliveries.values():
            delivery.stop_handler(_STOPPING)
        asyncio.get_running_loop().call_later(self.settings.grace_margin_seconds, self._abandon_processing)

    # The life of the consumer

    async def run(self) -> None:
        """Consume until `drain`; return when everything held is settled or released.

        Raises:
            QueueRefused: the queue cannot be used; raised after the same orderly stop.
        """
        async with self._tasks:
            loops = [self._tasks.create_task(self._keep_leases())]
            if self.settings.max_handlers_per_group is not None:
                loops.append(self._tasks.create_task(self._keep_receiving()))
            self._start_receiver()
            self._started = True
            try:
                await self._draining.wait()
                await self._drain()
            except asyncio.CancelledError:
                self.stop_now()
                await self._drain()
                raise
            finally:
                self._started = False
                for loop in loops:
                    loop.cancel()
        _log.info("consumer_stopped", queue=self._queue.name)
        if self.fatal is not None:
            raise self.fatal

    async def _drain(self) -> None:
        grace = self.settings.grace_seconds - self.settings.grace_margin_seconds
        end_of_grace = asyncio.get_running_loop().call_later(grace, self.stop_now)
        try:
            # Polls end first, or they would receive the messages that are released. A poll that does not
            # return soon is waiting on an empty queue; a released message ends it, or another's poll.
            busy = min(_BUSY_POLL_SECONDS, self.settings.poll_drain_seconds)
            await self._wait_for_polls(timeout=busy)
            self._release_buffered(_STOPPING.reason)
            await self._wait_for_polls(timeout=self.settings.poll_drain_seconds - busy)
            self._abandon_polls()
            await self._wait_for_polls()
            self._release_buffered(_STOPPING.reason)
            while self._processing:  # messages being released, and running handlers with their acks
                await asyncio.wait(self._processing)
        finally:
            end_of_grace.cancel()

    async def _wait_for_polls(self, timeout: float | None = None) -> None:
        if self._receivers:
            await asyncio.wait(self._receivers, timeout=timeout)

    def _release_buffered(self, reason: str, spread_seconds: int = 0) -> None:
        for delivery in self._buffer.clear():
            self._move(delivery, State.RELEASED)
            self._start_processing(delivery, self._release(delivery, reason, spread_seconds))

    def _release_until_available(self, reason: str) -> None:
        self._release_buffered(reason, self.settings.release_spread_seconds)

    def _abandon_polls(self) -> None:
        for receiver in self._receivers:
            receiver.cancel()

    def _abandon_processing(self) -> None:
        for task in self._processing:
            task.cancel()

    def _fail(self, error: QueueRefused) -> None:
        if self.fatal is None:
            _log.error("queue_refused", queue=self._queue.name, error=str(error))
            self.fatal = error
            self.drain()

    # Before the receive: a permit is reserved for each message that it asks for

    def _start_receiver(self) -> None:
        self._polling += 1
        receiver = self._tasks.create_task(self._receive())
        self._receivers.add(receiver)
        receiver.add_done_callback(self._receivers.discard)

    async def _receive(self) -> None:
        """Poll until the drain.

        A full batch starts another receiver; after less than half a batch this one ends, but not the last.
        """
        failures = 0
        while reserved := await self._permits.reserve(BATCH_SIZE, self.settings.full_batch_wait_seconds):
            admitted = asked = got = 0
            try:
                admitted = await self._breakers.admit()
                if asked := min(reserved, admitted):
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
                self._permits.give_back(reserved - got)
                if admitted == TRIAL:
                    self._breakers.end_trial()  # unless a message has it
            if got == asked == reserved and self._polling < self.settings.max_receivers:
                self._start_receiver()
            elif got < asked / 2 and self._polling > 1:
                self._polling -= 1  # at once, or receivers whose polls end together would all end
                return

    async def _poll(self, max_messages: int) -> int:
        poll = f"poll {id(asyncio.current_task())}"
        asked_at = self._polled_at = self._clock()
        self._due[poll] = asked_at + self.settings.long_poll_seconds + SLACK_SECONDS
        try:
            messages = await self._count_request(
                "receive",
                self._queue.receive(
                    max_messages,
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
        self._breakers.received([message.receipt_handle for message in messages])
        self._start_handlers()
        return len(messages)

    def _received_at(self, asked_at: float) -> float:
        """Return the earliest time at which SQS can have answered the poll that was sent at `asked_at`.

        The response took at most a round trip, unless the process was paused while it waited.
        """
        now = self._clock()
        earliest = now - self.settings.round_trip_seconds
        if now - self._ticked_at > self.settings.heartbeat_seconds + self.settings.round_trip_seconds:
            earliest = min(earliest, self._ticked_at)
        paused_at, resumed_at = self._last_pause
        if asked_at < resumed_at:
            earliest = min(earliest, paused_at)
        return max(asked_at, earliest)

    # BUFFERED: until a handler is free; handlers are shared fairly between groups

    def _start_handlers(self) -> None:
        while self._running < self.settings.max_handlers and not self._draining.is_set():
            delivery = self._buffer.pop()
            if delivery is None:
                return
            self._running += 1
            self._start_processing(delivery, self._process(delivery))

    async def _keep_receiving(self) -> None:
        """In a loop, make room for other groups' messages while those of groups at their limit fill it."""
        pause = after = self.settings.set_aside_after_seconds
        while True:
            await asyncio.sleep(pause)
            pause = self._polled_at + after - self._clock()
            if pause <= 0:
                pause = after
                if self._is_blocked():
                    self._set_aside()

    def _is_blocked(self) -> bool:
        """Whether messages hold all permits, so that a free handler cannot get one of another group."""
        return (
            len(self._deliveries) - self._permits.lent >= self.settings.permits
            and self._running < self.settings.max_handlers
            and not self._draining.is_set()
        )

    def _set_aside(self) -> None:
        """Let a batch of what waits hold no permits; release as many where that would be too many.

        Since a handler is free, all that waits is of groups that have all their handlers.
        """
        count = min(BATCH_SIZE, max(0, len(self._buffer) - self._permits.lent))
        lent = min(count, self.settings.max_set_aside - self._permits.lent)
        self._permits.lend(lent)
        for _ in range(count - lent):
            # The newest of the largest group would have started last. The time grows with each receive, or
            # a long wait would use up those that the queue's RedrivePolicy allows, until its group's handlers
            # have surely ended.
            delivery = self._buffer.pop_newest()
            growing = self.settings.retry_cap_seconds * 2 ** (delivery.receive_count - 1)
            seconds = min(growing, self.settings.max_handling_seconds)
            self._move(delivery, State.RELEASED)
            self._start_processing(
                delivery, self._back_off(delivery, Retry(seconds, "too many messages of its group wait"))
            )

    def _start_processing(self, delivery: Delivery, process: Coroutine[None, None, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._processing.discard(task)
            if delivery.receipt_handle in self._deliveries:
                self._lose_lease(delivery, "it was abandoned before it was settled")

        # A context of its own: no handler sees what another one bound.
        task = self._tasks.create_task(process, context=self._blank_context.copy())
        task.add_done_callback(ended)
        self._processing.add(task)

    async def _process(self, delivery: Delivery) -> None:
        try:
            outcome = await self._handle(delivery) if await self._ensure_lease_to_start(delivery) else None
        finally:
            self._running -= 1
            self._buffer.finished(delivery.group_id)
        if outcome is not None:
            self._breakers.report(delivery.receipt_handle, outcome)
        self._start_handlers()
        if outcome is not None:
            await self._settle(delivery, outcome)

    async def _ensure_lease_to_start(self, delivery: Delivery) -> bool:
        """Extend a lease that could end before the next heartbeat; if that fails, drop the message."""
        enough = self.settings.lease_margin_seconds + self.settings.heartbeat_seconds
        if delivery.lease_seconds_left() < enough:
            await self._stop_extending(delivery)
            if delivery.state is State.BUFFERED and delivery.lease_seconds_left() < enough:
                await self._extend([delivery])
            delivery.busy = False
            if delivery.state is State.BUFFERED and delivery.lease_seconds_left() < enough:
                self._lose_lease(delivery, "too little lease left to start")
        return delivery.state is State.BUFFERED

    # RUNNING

    async def _handle(self, delivery: Delivery) -> Outcome | None:
        """Run the handler; None means that the lease was lost and nothing is settled."""
        self._move(delivery, State.RUNNING)
        link = link_to_sender(delivery.message)
        now = self._clock()
        delivery.latest_end = min(delivery.latest_end, now + self.settings.max_handling_seconds)
        margin = self.settings.lease_margin_seconds + _ROUNDED_SECONDS
        scope = asyncio.timeout(delivery.latest_end - margin - now)
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
        except Exception as error:  # an unknown error is transient
            outcome = Retry(reason=f"{type(error).__name__}: {error}")
            if not scope.expired():
                _log.warning("handler_failed", message_id=delivery.message_id, exc_info=True)
        finally:
            delivery.scope = None
        if delivery.state is State.LEASE_LOST:
            return None
        return delivery.outcome_if_stopped if scope.expired() and isinstance(outcome, Retry) else outcome

    # ACK_PENDING, BACKOFF, RELEASED or PARKED: until SQS has confirmed it

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        match outcome:
            case Ack():
                self._move(delivery, State.ACK_PENDING)
                await self._acknowledge(delivery)
            case Retry():
                self._move(delivery, State.BACKOFF)
                await self._back_off(delivery, outcome)
            case Release(reason):
                self._move(delivery, State.RELEASED)
                await self._release(delivery, reason)
            case Unavailable(dependency, reason):
                self._move(delivery, State.RELEASED)
                reason = f"{dependency} is unavailable: {reason}"
                await self._release(delivery, reason, self.settings.release_spread_seconds)
            case Park(reason):
                self._move(delivery, State.PARKED)
                await self._park(delivery, reason)

    async def _acknowledge(self, delivery: Delivery) -> None:
        self._metrics.lease_left.observe(max(0.0, delivery.lease_seconds_left()))
        entry = await self._confirm(delivery, self._deletes, delivery.receipt_handle)
        if entry in (Entry.DONE, Entry.GONE):
            self._end(delivery, State.PARKED if delivery.state is State.PARKED else State.DELETED)
        elif entry is not None:
            self._lose_lease(delivery, "it could not be deleted")

    async def _back_off(self, delivery: Delivery, retry: Retry) -> None:
        await self._make_visible(delivery, self._backoff_seconds(delivery, retry), retry.reason)

    async def _release(self, delivery: Delivery, reason: str, spread_seconds: int = 0) -> None:
        seconds = random.randint(0, spread_seconds)  # noqa: S311  # spreads load, protects no secret
        await self._make_visible(delivery, seconds, reason)

    async def _make_visible(self, delivery: Delivery, seconds: int, reason: str) -> None:
        delivery.notes |= {"retry_seconds": seconds, "reason": reason}
        entry = await self._confirm(delivery, self._visibilities, (delivery.receipt_handle, seconds))
        if entry is Entry.DONE:
            self._end(delivery, delivery.state)
        elif entry is not None:
            self._lose_lease(delivery, "its visibility could not be changed")

    async def _park(self, delivery: Delivery, reason: str) -> None:
        delivery.notes["reason"] = reason
        try:
            await self._count_request("park", self._queue.park(delivery.message, reason))
        except QueueError as error:
            # Not fatal even if refused: SQS itself moves the message after its last delivery (RedrivePolicy).
            _log.error("park_failed", message_id=delivery.message_id, reason=reason, error=str(error))
            self._move(delivery, State.BACKOFF)
            await self._back_off(delivery, Retry(reason=str(error)))
        else:
            _log.error("message_parked", message_id=delivery.message_id, reason=reason)
            await self._acknowledge(delivery)

    async def _confirm(self, delivery: Delivery, batcher: Batcher[T], request: T) -> Entry | None:
        """Repeat a request about a receipt until SQS confirms it; None if the lease was lost meanwhile."""
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
            return await self._count_request(action, request)
        except QueueUnavailable as error:
            _log.warning("request_failed", queue=self._queue.name, action=action, error=str(error))
            return [Entry.FAILED] * count
        except QueueRefused as error:
            self._fail(error)
            return [Entry.REFUSED] * count

    async def _count_request(self, action: str, request: Awaitable[R]) -> R:
        try:
            result = await request
        except QueueError:
            self._metrics.requests.labels(action, "failed").inc()
            raise
        self._metrics.requests.labels(action, "ok").inc()
        return result

    def _backoff_seconds(self, delivery: Delivery, retry: Retry) -> int:
        """Return the outcome's delay, else full jitter; at most what is left of SQS's 12 hours."""
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

    # The lease, from BUFFERED to the end

    async def _keep_leases(self) -> None:
        """In a loop, extend the leases that are due and give up those that ended."""
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
            self._last_pause = (self._ticked_at, now)
        self._ticked_at = now
        self._due["heartbeat"] = now + self.settings.heartbeat_seconds + SLACK_SECONDS

    def _leases_to_extend(self) -> list[Delivery]:
        due = []
        for delivery in list(self._deliveries.values()):
            left = delivery.lease_seconds_left()
            if delivery.busy:
                continue
            if left <= self.settings.lease_margin_seconds:
                self._lose_lease(delivery, "its lease could not be kept")
            elif (
                left <= self.settings.extend_below_seconds
                and delivery.state in EXTENDED_STATES
                and delivery.extension is None
                and self._extension_seconds(delivery) > left
            ):
                due.append(delivery)
        return due

    def _extension_seconds(self, delivery: Delivery) -> int:
        """Return the visibility to ask for; it ends with the time to handle the message at the latest."""
        return int(min(self.settings.visibility_seconds, delivery.latest_end - self._clock()))

    async def _extend(self, batch: Sequence[Delivery]) -> None:
        asked_at = self._clock()
        asked = [self._extension_seconds(delivery) for delivery in batch]
        try:
            entries = await self._change_visibility(
                [(delivery.receipt_handle, seconds) for delivery, seconds in zip(batch, asked, strict=True)]
            )
        finally:
            for delivery in batch:
                delivery.extension = None
        for delivery, seconds, entry in zip(batch, asked, entries, strict=True):
            self._metrics.extensions.labels(entry.value).inc()
            if delivery.receipt_handle not in self._deliveries:
                continue
            if entry is Entry.DONE:
                delivery.lease_deadline = asked_at + seconds
                if delivery.state is State.RUNNING and delivery.on_extended is not None:
                    self._heartbeat_tasks.create_task(self._report_extension(delivery, delivery.on_extended))
            elif entry is Entry.GONE:
                self._lose_lease(delivery, "SQS no longer knows its receipt")

    async def _report_extension(self, delivery: Delivery, on_extended: OnExtended) -> None:
        try:
            await on_extended(delivery.lease_seconds_left())
        except Exception:  # the handler decides what a failure means for its own lease
            _log.warning("on_extended_failed", message_id=delivery.message_id, exc_info=True)

    async def _stop_extending(self, delivery: Delivery) -> None:
        """Start no new extension and wait for a running one: a late one would undo the next request."""
        delivery.busy = True
        if delivery.extension is not None:
            await asyncio.wait((delivery.extension,))

    def _lose_lease(self, delivery: Delivery, why: str) -> None:
        _log.warning("lease_lost", message_id=delivery.message_id, state=delivery.state, why=why)
        self._metrics.leases_lost.inc()
        delivery.notes["reason"] = why
        if delivery.state is State.BUFFERED:
            self._buffer.discard(delivery.group_id, delivery)
        self._end(delivery, State.LEASE_LOST)
        delivery.stop_handler(Retry(reason=why))

    # Every change of state is one of these two

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
        self._permits.give_back_ended(len(self._buffer))
        self._breakers.end_trial(delivery.receipt_handle)
        # The one line that every delivery writes.
        _log.info(
            "message_ended",
            message_id=delivery.message_id,
            state=state,
            receive_count=delivery.receive_count,
            **{name: round(seconds, 3) for name, seconds in delivery.seconds.items()},
            **delivery.notes,
        )

    def _count_time(self, delivery: Delivery) -> None:
        """Add the time since the last change of state to that state's log field."""
        now = self._clock()
        field = TIME_FIELDS.get(delivery.state, "settling_seconds")
        delivery.seconds[field] = delivery.seconds.get(field, 0.0) + now - delivery.since
        delivery.since = now


def _batches(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    return (deliveries[n : n + BATCH_SIZE] for n in range(0, len(deliveries), BATCH_SIZE))
