"""The queue, its dead-letter queue and the topic that messages travel through, and their settings.

A test compares them with the local stack and the deployment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from retainwise_contracts.prediction_finished import (
    PredictionCancelledV1,
    PredictionCompletedV1,
    PredictionFailedV1,
)
from retainwise_contracts.prediction_requested import PredictionRequestedV1

DAY_SECONDS = 24 * 3600


@dataclass(frozen=True)
class QueueSettings:
    """The settings of an SQS queue that decide how long a message can be read."""

    retention_seconds: int
    """How long a message is kept. One that is moved to the dead-letter queue keeps its age."""
    visibility_timeout_seconds: int | None = None
    """How long a delivered message is hidden; None: the default of SQS."""
    max_receive_count: int | None = None
    """Receives after which SQS itself moves a message to the dead-letter queue; None: it does not."""


PREDICTIONS_QUEUE = QueueSettings(
    retention_seconds=4 * DAY_SECONDS, visibility_timeout_seconds=45, max_receive_count=5
)
DEAD_LETTER_QUEUE = QueueSettings(retention_seconds=14 * DAY_SECONDS)

REQUESTS: Mapping[str, type[PredictionRequestedV1]] = MappingProxyType(
    {PredictionRequestedV1.TYPE: PredictionRequestedV1}
)
"""The messages in the queue of predictions, from the API to the worker, by type."""

Event = PredictionCompletedV1 | PredictionFailedV1 | PredictionCancelledV1

EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {event.TYPE: event for event in (PredictionCompletedV1, PredictionFailedV1, PredictionCancelledV1)}
)
"""The messages on the topic, for other teams, by type."""
