"""What a handler returns: it decides what the consumer does with the message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ack:
    """The message is done, whether it succeeded or failed: delete it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Handling failed and may succeed later: deliver the message again after `delay` seconds.

    Without a delay the consumer takes a random one that grows with the message's receive count.
    """

    delay: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Park:
    """The message can never be handled: move it to the dead-letter queue, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """The message was not handled, and nothing failed: make it visible to every consumer at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Handling needs `dependency`, which is unavailable: the message is not at fault.

    It is released, as is everything that waits, and nothing is received until the dependency is back.
    """

    dependency: str
    """As the consumer's `probes` name it."""
    reason: str


Outcome = Ack | Retry | Park | Release | Unavailable
