"""What a handler says of a message: its answer decides what the consumer does with it next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ack:
    """The message is done with, well or ill: delete it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The message is to be delivered again after `delay` seconds; None leaves it to the consumer's jitter."""

    delay: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """The message can never be handled: park it in the dead-letter queue with the reason, then delete it."""

    reason: str


Outcome = Ack | Retry | Reject


class PermanentError(Exception):
    """A handler's way to raise what no further delivery can mend; it becomes `Reject` with this text."""
