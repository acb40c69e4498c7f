"""One receive of one message: its lease, and where it is in its life."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from consumer_worker.sqs.outcomes import Outcome, Retry
from consumer_worker.sqs.queue import MAX_VISIBILITY_SECONDS, Message

Clock = Callable[[], float]
OnExtended = Callable[[float], Awaitable[None]]


class State(StrEnum):
    """Where a delivery is in its life.

    It begins as BUFFERED and then is RUNNING. ACK_PENDING ends as DELETED. BACKOFF, PARKED and RELEASED begin
    with the decision and are the end once SQS has confirmed it. LEASE_LOST is always an end.
    """

    BUFFERED = "buffered"
    RUNNING = "running"
    ACK_PENDING = "ack_pending"
    DELETED = "deleted"
    BACKOFF = "backoff"
    PARKED = "parked"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


EXTENDED_STATES: Final = frozenset({State.BUFFERED, State.RUNNING, State.ACK_PENDING, State.PARKED})
"""Where the heartbeat extends the lease; BACKOFF and RELEASED set a visibility of their own."""

TIME_FIELDS: Final = {State.BUFFERED: "waiting_seconds", State.RUNNING: "handling_seconds"}
"""The log field that counts the time in a state; in all other states it is `settling_seconds`."""


class Delivery:
    """One receive of one message, and its lease.

    A handler reads it, may set `on_extended`, add to `notes` and call `stop_handler`. Everything else is
    written by the consumer only.
    """

    __slots__ = (
        "_clock",
        "busy",
        "extension",
        "latest_end",
        "lease_deadline",
        "message",
        "notes",
        "on_extended",
        "outcome_if_stopped",
        "received_at",
        "scope",
        "seconds",
        "since",
        "state",
    )

    def __init__(self, message: Message, received_at: float, visibility_seconds: float, clock: Clock) -> None:
        self._clock = clock
        self.message = message
        self.state = State.BUFFERED
        self.received_at = received_at
        """On the consumer's clock, in seconds; not later than the time SQS counts from."""
        self.lease_deadline = received_at + visibility_seconds
        """On the consumer's clock, in seconds; from then on another consumer may receive the message."""
        self.latest_end = received_at + MAX_VISIBILITY_SECONDS
        """On the consumer's clock, in seconds; the lease is not extended beyond it."""
        self.on_extended: OnExtended | None = None
        """For a handler that has a lease of its own to renew: called after each extension while the handler
        runs, with the seconds that are left of this lease."""
        self.extension: asyncio.Task[None] | None = None
        """The request that is extending this lease now."""
        self.busy = False
        """Whether another request about this receipt is running or about to start: no extension may start."""
        self.scope: asyncio.Timeout | None = None
        """The timeout the handler runs in; rescheduling it to now cancels the handler."""
        self.outcome_if_stopped: Outcome = Retry(reason="handling took longer than max_handling_seconds")
        """Replaces the handler's outcome if the handler is cancelled."""
        self.since = clock()
        """When it entered its state."""
        self.seconds = {"waiting_seconds": self._seconds_in_queue()}
        """Where its time went, by log field."""
        self.notes: dict[str, object] = {}
        """Fields that the handler adds to the log line of the delivery's end."""

    @property
    def message_id(self) -> str:
        """SQS's id of the message; the same in every delivery, until a redrive."""
        return self.message.message_id

    @property
    def receipt_handle(self) -> str:
        """SQS's id of this delivery."""
        return self.message.receipt_handle

    @property
    def body(self) -> str:
        """The message's body as it was sent."""
        return self.message.body

    @property
    def receive_count(self) -> int:
        """How often the message was received, this time included; released and lost deliveries count too."""
        return int(self.message.attributes.get("ApproximateReceiveCount", 1))

    @property
    def group_id(self) -> str | None:
        """The message group (a tenant, for example), between which handlers are shared fairly."""
        return self.message.attributes.get("MessageGroupId")

    def _seconds_in_queue(self) -> float:
        """Return how long ago the message was sent, earlier deliveries included; 0 if SQS does not say."""
        sent = self.message.attributes.get("SentTimestamp")
        return 0.0 if sent is None else max(0.0, time.time() - int(sent) / 1000)

    def lease_seconds_left(self) -> float:
        """Return for how many seconds no other consumer can receive the message."""
        return self.lease_deadline - self._clock()

    def stop_handler(self, outcome: Outcome) -> None:
        """Cancel the handler if it runs; the message is then settled by `outcome`."""
        if self.scope is not None and not self.scope.expired():
            self.outcome_if_stopped = outcome
            self.scope.reschedule(asyncio.get_running_loop().time())
