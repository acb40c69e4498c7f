"""The statuses of a prediction and the allowed transitions between them."""

from collections.abc import Mapping
from types import MappingProxyType

from retainwise_contracts.model import OpenEnum


class PredictionStatus(OpenEnum):
    """The status of a prediction. It only moves forward; the phase shows a failed attempt."""

    QUEUED = "QUEUED"
    """Accepted: the file is stored and the request is queued."""
    RUNNING = "RUNNING"
    """A worker has claimed it. It stays RUNNING while it waits for a retry."""
    COMPLETED = "COMPLETED"
    """The result files are available."""
    FAILED = "FAILED"
    """It will not be retried; the failure code says why."""
    CANCELLED = "CANCELLED"
    """It was cancelled."""
    EXPIRED = "EXPIRED"
    """Its deadline passed before an attempt started."""
    UNKNOWN = "UNKNOWN"
    """A status newer than this reader. Never written."""

    @property
    def is_final(self) -> bool:
        """Whether the status never changes again."""
        return self in _FINAL


_FINAL = frozenset(
    {
        PredictionStatus.COMPLETED,
        PredictionStatus.FAILED,
        PredictionStatus.CANCELLED,
        PredictionStatus.EXPIRED,
    }
)

ALLOWED_TRANSITIONS: Mapping[PredictionStatus, frozenset[PredictionStatus]] = MappingProxyType(
    {
        PredictionStatus.QUEUED: frozenset(
            {
                PredictionStatus.RUNNING,
                # Without running: its message was dead-lettered before a worker could claim it.
                PredictionStatus.FAILED,
                PredictionStatus.CANCELLED,
                PredictionStatus.EXPIRED,
            }
        ),
        PredictionStatus.RUNNING: _FINAL,
        **{status: frozenset() for status in _FINAL},
    }
)
"""The statuses that may follow each status. The database enforces the same table (deploy/migrations)."""


class PredictionPhase(OpenEnum):
    """What is happening within a status, for a user who is waiting."""

    WAITING = "waiting"
    """Queued, not claimed by a worker yet."""
    SCORING = "scoring"
    """A worker is scoring it."""
    RETRYING = "retrying"
    """The last attempt failed for a temporary reason; it will be retried."""
    DONE = "done"
    """Final."""
    UNKNOWN = "unknown"
    """A phase newer than this reader. Never written."""
