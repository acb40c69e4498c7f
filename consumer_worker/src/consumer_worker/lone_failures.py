"""Tells a file that alone finds the bucket or the disk unavailable from an outage, which every file meets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

FAULT_AFTER_SECONDS = 2 * 3600.0
"""For how long a file must fail while others succeed. Longer than S3 or a disk is usually half broken, since
until then it can still be scored, and hinders no other."""

MAX_REMEMBERED = 1_000
"""Predictions that failed. If one is forgotten, its next failure is taken for an outage once more."""


class Blame(Enum):
    """What is to blame when a dependency is unavailable to a prediction."""

    OUTAGE = "outage"
    """It has not failed before, or others have failed too and none has succeeded since."""
    PERHAPS_FILE = "perhaps its file"
    """Others have succeeded since it first failed, and none has failed since then."""
    FILE = "its file"
    """That was so for FAULT_AFTER_SECONDS, and others have succeeded since it last failed."""


@dataclass
class _Failure:
    failed_at: float
    alone_since: float | None = None
    times_alone: int = 0


class LoneFailures:
    """What this worker remembers of failures and successes; another worker has its own memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that only rise."""
        self._clock = clock
        self._failures: dict[UUID, _Failure] = {}
        """In the order of their last failures."""
        self._succeeded_at = float("-inf")

    def succeeded(self, prediction_id: UUID) -> None:
        """Note that a prediction was completed."""
        self._failures.pop(prediction_id, None)
        self._succeeded_at = self._clock()

    def failed(self, prediction_id: UUID) -> tuple[Blame, int]:
        """Note that something is unavailable to a prediction.

        Returns:
            What is to blame, and how often in a row the prediction has failed alone.
        """
        now = self._clock()
        before = self._failures.pop(prediction_id, None)
        last_failed_at = next((other.failed_at for other in reversed(self._failures.values())), float("-inf"))
        this = self._failures[prediction_id] = _Failure(now)
        if len(self._failures) > MAX_REMEMBERED:
            del self._failures[next(iter(self._failures))]
        if before is None:
            return Blame.OUTAGE, 0
        others_succeeded = self._succeeded_at > before.failed_at
        if not others_succeeded and (before.alone_since is None or last_failed_at > before.failed_at):
            return Blame.OUTAGE, 0
        this.alone_since = now if before.alone_since is None else before.alone_since
        this.times_alone = before.times_alone + 1
        is_fault = others_succeeded and now - this.alone_since >= FAULT_AFTER_SECONDS
        return Blame.FILE if is_fault else Blame.PERHAPS_FILE, this.times_alone
