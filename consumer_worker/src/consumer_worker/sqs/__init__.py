"""An SQS consumer that keeps its messages' leases alive and settles each message by its handler's outcome.

README.md beside this file says what it guarantees and shows an example.
"""

from consumer_worker.sqs.breaker import Probe
from consumer_worker.sqs.consumer import Consumer, Handler
from consumer_worker.sqs.delivery import Delivery, State
from consumer_worker.sqs.outcomes import Ack, Outcome, Park, Release, Retry, Unavailable
from consumer_worker.sqs.queue import (
    Message,
    Queue,
    QueueError,
    QueueRefused,
    QueueUnavailable,
    SqsQueue,
    client_config,
)
from consumer_worker.sqs.settings import ConsumerSettings
from consumer_worker.sqs.telemetry import ConsumerMetrics

__all__ = [
    "Ack",
    "Consumer",
    "ConsumerMetrics",
    "ConsumerSettings",
    "Delivery",
    "Handler",
    "Message",
    "Outcome",
    "Park",
    "Probe",
    "Queue",
    "QueueError",
    "QueueRefused",
    "QueueUnavailable",
    "Release",
    "Retry",
    "SqsQueue",
    "State",
    "Unavailable",
    "client_config",
]
