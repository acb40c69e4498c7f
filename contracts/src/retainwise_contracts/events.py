"""What happens to a prediction, in order: the source of its event stream and of its timeline."""

from pydantic import Field, JsonValue

from retainwise_contracts.model import Contract, OpenEnum, UtcDatetime


class EventType(OpenEnum):
    """The kinds of events. After `completed`, `failed`, `cancelled` or `expired` comes no other."""

    QUEUED = "queued"
    """Accepted: the file is stored and the request is queued."""
    RUNNING = "running"
    """A worker has claimed it: once for each attempt."""
    PROGRESS = "progress"
    """Some rows have been scored; at most once a second."""
    RETRYING = "retrying"
    """An attempt ended without a result; there will be another one."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """An event newer than this reader. Never written."""


class PredictionEvent(Contract):
    """One event of one prediction."""

    sequence: int = Field(ge=1, description="1, 2, 3, … within the prediction, without gaps")
    type: EventType
    at: UtcDatetime
    detail: dict[str, JsonValue] = Field(description="What is to be said of it, by the event's type")
