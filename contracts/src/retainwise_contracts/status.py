"""The life of a prediction: its statuses and the moves between them."""

from collections.abc import Mapping
from types import MappingProxyType

from retainwise_contracts.errors import ForbiddenMove
from retainwise_contracts.model import OpenEnum


class PredictionStatus(OpenEnum):
    """Where a prediction stands. A status only moves forward; an attempt that failed is told by the phase."""

    QUEUED = "QUEUED"
    """Accepted: the file is stored and the request is on its way to a worker."""
    RUNNING = "RUNNING"
    """A worker has claimed it. It stays RUNNING while it waits to be tried again."""
    COMPLETED = "COMPLETED"
    """The result files are there."""
    FAILED = "FAILED"
    """It will not be tried again; the failure code says why."""
    CANCELLED = "CANCELLED"
    """The tenant withdrew it."""
    EXPIRED = "EXPIRED"
    """Its deadline passed before a worker began it."""
    UNKNOWN = "UNKNOWN"
    """A status newer than this reader. Never written."""

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after this status."""
        return self in _FINAL


_FINAL = frozenset(
    {
        PredictionStatus.COMPLETED,
        PredictionStatus.FAILED,
        PredictionStatus.CANCELLED,
        PredictionStatus.EXPIRED,
    }
)

ALLOWED_MOVES: Mapping[PredictionStatus, frozenset[PredictionStatus]] = MappingProxyType(
    {
        PredictionStatus.QUEUED: frozenset(
            {
                PredictionStatus.RUNNING,
                # Without ever running: its message died before a worker could claim it.
                PredictionStatus.FAILED,
                PredictionStatus.CANCELLED,
                PredictionStatus.EXPIRED,
            }
        ),
        PredictionStatus.RUNNING: _FINAL,
        **{status: frozenset() for status in _FINAL},
    }
)
"""From each status, those it may move to. The database enforces the same table (deploy/migrations)."""


def require_move(before: PredictionStatus, after: PredictionStatus) -> None:
    """Raise `ForbiddenMove` unless a prediction may go from `before` to `after`."""
    if after not in ALLOWED_MOVES.get(before, frozenset()):
        raise ForbiddenMove(f"a prediction cannot go from {before} to {after}")


class PredictionPhase(OpenEnum):
    """What is happening inside a status, for a person who waits."""

    WAITING = "waiting"
    """In the queue, not claimed yet."""
    SCORING = "scoring"
    """A worker is at it."""
    RETRYING = "retrying"
    """The last attempt failed for a passing reason; it will be tried again."""
    DONE = "done"
    """Final."""
    UNKNOWN = "unknown"
    """A phase newer than this reader. Never written."""
