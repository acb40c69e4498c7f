"""The consumer's settings: how much it holds at once, and for how long."""

from dataclasses import dataclass

from consumer_worker.sqs.queue import BATCH_SIZE, MAX_LONG_POLL_SECONDS, MAX_VISIBILITY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """How much is held at once and for how long; the defaults suit a visibility timeout of 60 seconds.

    `ConsumerSettings.for_visibility` derives the lease's times from another timeout.

    Raises:
        ValueError: these times cannot keep a lease, or a number is out of its range.
    """

    max_handlers: int = 8
    """Messages handled at once."""
    prefetch: int = 10
    """Messages held in addition to those being handled, so that no handler waits for a receive or an ack."""
    max_handlers_per_group: int | None = None
    """Handlers that one message group (a tenant, for example) may have at once; its other messages wait."""
    max_set_aside: int = 32
    """Messages held beyond the permits while their groups have all their handlers, so that receiving goes on
    for other groups. Each is a few KB, and ten cost one request per half the visibility; but other consumers,
    with handlers free for that group, cannot have them: a large bound keeps work from replicas that join.
    What does not fit is released."""
    set_aside_after_seconds: float = 2.0
    """If no receive started for so long although a handler is free, one batch is set aside: so long a message
    of another group may wait. A shorter time sets more aside where handlers end soon."""
    max_receivers: int = 6
    """Receive requests at the same time."""

    visibility_seconds: int = 60
    """The lease: how long SQS hides a received or extended message from other consumers."""
    heartbeat_seconds: float = 3.0
    """Time between two looks at all leases."""
    extend_below_seconds: float = 30.0
    """A lease with less left is extended."""
    lease_margin_seconds: float = 6.0
    """A lease with less left counts as lost; a cancelled handler has this long to stop."""
    max_handling_seconds: float = 3_600.0
    """From the start of the handler, and within SQS's 12 hours from the receive. A handler that still runs
    `lease_margin_seconds` before the end is cancelled, and its message is retried."""
    round_trip_seconds: float = 1.0
    """How long a response may take to arrive; a lease counts from this long before its receive returned."""

    long_poll_seconds: int = MAX_LONG_POLL_SECONDS
    """How long SQS may hold a receive while the queue is empty."""
    full_batch_wait_seconds: float = 0.1
    """How long a receive waits, under load, for the permits of a full batch."""
    ack_wait_seconds: float = 0.05
    """How long a delete or a backoff waits until its batch of ten is full."""

    retry_base_seconds: float = 2.0
    retry_cap_seconds: float = 900.0
    """A failed message is visible again after a random time up to min(cap, base · 2^(receive count - 1))."""
    request_retry_base_seconds: float = 0.5
    request_retry_cap_seconds: float = 5.0
    """The same for a failed request to the queue, by the number of failures in a row. The end of an outage is
    noticed within the cap."""

    probe_base_seconds: float = 0.5
    probe_cap_seconds: float = 5.0
    """An unavailable dependency is probed after a random time up to min(cap, base · 2^(failures - 1))."""
    probe_timeout_seconds: float = 5.0
    """A probe that takes longer has failed."""
    trial_seconds: float = 30.0
    """A half-open breaker closes if the message it let through has found nothing unavailable by then."""
    release_spread_seconds: int = 2
    """What an open breaker releases becomes visible at random within this time, so that it does not all reach
    the next consumer at once."""

    grace_seconds: float = 30.0
    """The longest time from `drain` to the end of `run`: what the platform allows before it kills."""
    grace_margin_seconds: float = 3.0
    """The last part of it, in which running handlers are cancelled and their messages released."""
    poll_drain_seconds: float = MAX_LONG_POLL_SECONDS + 1.0
    """How long a drain waits, within the grace, for receives to return; by default until the longest has.
    SQS can give messages to an abandoned receive too, and then hides them for a visibility timeout."""

    def __post_init__(self) -> None:
        for broken, rule in (
            (self.max_handlers < 1, "max_handlers must be at least 1"),
            (self.prefetch < 0, "prefetch must not be negative"),
            (self.max_receivers < 1, "max_receivers must be at least 1"),
            (
                self.max_handlers_per_group is not None and self.max_handlers_per_group < 1,
                "max_handlers_per_group must be at least 1",
            ),
            (self.max_set_aside < 0, "max_set_aside must not be negative"),
            (self.set_aside_after_seconds <= 0, "set_aside_after_seconds must be above 0"),
            (
                not 0 < self.heartbeat_seconds < self.lease_margin_seconds,
                "heartbeat_seconds must be above 0 and below lease_margin_seconds",
            ),
            (
                not self.lease_margin_seconds < self.extend_below_seconds < self.visibility_seconds,
                "extend_below_seconds must be between lease_margin_seconds and visibility_seconds",
            ),
            (
                not self.visibility_seconds <= self.max_handling_seconds <= MAX_VISIBILITY_SECONDS,
                f"max_handling_seconds must be between visibility_seconds and {MAX_VISIBILITY_SECONDS}",
            ),
            (self.round_trip_seconds < 0, "round_trip_seconds must not be negative"),
            (
                not 0 <= self.long_poll_seconds <= MAX_LONG_POLL_SECONDS,
                f"long_poll_seconds must be between 0 and {MAX_LONG_POLL_SECONDS}",
            ),
            (
                min(self.full_batch_wait_seconds, self.ack_wait_seconds) < 0,
                "full_batch_wait_seconds and ack_wait_seconds must not be negative",
            ),
            (
                not 0 < self.retry_base_seconds <= self.retry_cap_seconds <= MAX_VISIBILITY_SECONDS,
                f"retry_cap_seconds must be from retry_base_seconds (above 0) to {MAX_VISIBILITY_SECONDS}",
            ),
            (
                not 0 < self.request_retry_base_seconds <= self.request_retry_cap_seconds,
                "request_retry_base_seconds must be above 0 and at most request_retry_cap_seconds",
            ),
            (
                not 0 < self.probe_base_seconds <= self.probe_cap_seconds,
                "probe_base_seconds must be above 0 and at most probe_cap_seconds",
            ),
            (
                min(self.probe_timeout_seconds, self.trial_seconds) <= 0,
                "probe_timeout_seconds and trial_seconds must be above 0",
            ),
            (self.release_spread_seconds < 0, "release_spread_seconds must not be negative"),
            (
                not 0 <= self.grace_margin_seconds < self.grace_seconds,
                "grace_margin_seconds must be below grace_seconds",
            ),
            (self.poll_drain_seconds < 0, "poll_drain_seconds must not be negative"),
        ):
            if broken:
                raise ValueError(f"{rule}: {self}")

    @classmethod
    def for_visibility(cls, visibility_seconds: int, **others: float | None) -> "ConsumerSettings":
        """Return settings that check leases every 1/20 of the visibility, extend at 1/2, give up at 1/10."""
        times = {
            "heartbeat_seconds": visibility_seconds / 20,
            "extend_below_seconds": visibility_seconds / 2,
            "lease_margin_seconds": visibility_seconds / 10,
            "max_handling_seconds": max(3_600.0, visibility_seconds),
        }
        return cls(visibility_seconds=visibility_seconds, **(times | others))  # type: ignore[arg-type]

    @property
    def permits(self) -> int:
        """The most messages held at once, but for those set aside."""
        return self.max_handlers + self.prefetch

    @property
    def max_connections(self) -> int:
        """The most HTTP connections that receives, deletes, backoffs and extensions use at the same time."""
        set_aside = 0 if self.max_handlers_per_group is None else self.max_set_aside
        return self.max_receivers + 3 * -(-self.permits // BATCH_SIZE) + -(-set_aside // BATCH_SIZE) + 1
