"""One receive of one message: its lease, and where it is in its life."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Final

from consumer_worker.sqs.outcomes import Outcome, Retry
from consumer_worker.sqs.queue import Message

Clock = Callable[[], float]
OnExtended = Callable[[float], Awaitable[None]]


class State(StrEnum):
    """Where a delivery is in its life; the second line of them are its ends."""

    BUFFERED = "buffered"
    RUNNING = "running"
    ACK_PENDING = "ack_pending"
    BACKOFF = "backoff"
    DEAD = "dead"

    DELETED = "deleted"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


EXTENDED_STATES: Final = frozenset({State.BUFFERED, State.RUNNING, State.ACK_PENDING, State.DEAD})
"""A backoff ends the lease, so it is not extended."""

SPENT_ON: Final = {State.BUFFERED: "waiting_seconds", State.RUNNING: "handling_seconds"}
"""What a delivery's time in a state is told as; in all others it is being settled."""


class Delivery:
    """One receive of one message, and its lease. Handlers read it; only the consumer changes it."""

    __slots__ = (
        "_clock",
        "busy",
        "extension",
        "if_stopped",
        "lease_deadline",
        "message",
        "notes",
        "on_extended",
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
        """On the consumer's clock, in seconds; not later than SQS counts from."""
        self.lease_deadline = received_at + visibility_seconds
        """On the consumer's clock; another consumer may get the message from then on."""
        self.on_extended: OnExtended | None = None
        """Set by a handler that has a lease of its own: called after each extension while the handler runs,
        with the seconds the message is surely ours yet."""
        self.extension: asyncio.Task[None] | None = None
        """The extension of this lease that is in the air."""
        self.busy = False
        """Another request about the receipt is in the air or about to be: no extension may start."""
        self.scope: asyncio.Timeout | None = None
        """The running handler's; rescheduling it cancels the handler."""
        self.if_stopped: Outcome = Retry(reason="handling took longer than max_handling_seconds")
        """What stands for the handler's outcome if it is cancelled."""
        self.since = clock()
        """When it came into its state."""
        self.seconds = {"waiting_seconds": self._seconds_in_queue()}
        """Where its time went: waiting since it was sent, being handled, being settled with SQS."""
        self.notes: dict[str, object] = {}
        """What the handler adds to the line that is logged at the end."""

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
        """What was sent."""
        return self.message.body

    @property
    def attributes(self) -> Mapping[str, str]:
        """SQS's attributes of the message, by their SQS names."""
        return self.message.attributes

    @property
    def message_attributes(self) -> Mapping[str, str]:
        """The sender's attributes of the message."""
        return self.message.message_attributes

    @property
    def receive_count(self) -> int:
        """How often the message was received, this time included; drained and lost deliveries count too."""
        return int(self.message.attributes.get("ApproximateReceiveCount", 1))

    @property
    def group_id(self) -> str | None:
        """The message group: whom the message is for, as far as fairness goes."""
        return self.message.attributes.get("MessageGroupId")

    @property
    def sent_at(self) -> float | None:
        """When the message was sent, in seconds since 1970; a redrive sets it anew."""
        sent = self.message.attributes.get("SentTimestamp")
        return None if sent is None else int(sent) / 1000

    def _seconds_in_queue(self) -> float:
        """Return how long ago the message was sent, earlier deliveries included; 0 if SQS does not say."""
        return 0.0 if self.sent_at is None else max(0.0, time.time() - self.sent_at)

    def lease_seconds_left(self) -> float:
        """Return how long the message is surely ours yet."""
        return self.lease_deadline - self._clock()

    def stop_handler(self, outcome: Outcome) -> None:
        """Cancel the handler if it runs; `outcome` then stands for what it would have said."""
        if self.scope is not None and not self.scope.expired():
            self.if_stopped = outcome
            self.scope.reschedule(asyncio.get_running_loop().time())
