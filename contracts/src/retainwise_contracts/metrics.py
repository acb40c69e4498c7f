"""The names of the metrics that operators alert on, in the form in which Prometheus shows them."""

from enum import StrEnum


class Metric(StrEnum):
    """Metrics that dashboards and alerts of other teams may use; their other metrics may change."""

    API_REQUESTS = "retainwise_api_requests_total"
    """Requests answered, by route, status and problem code."""
    OUTBOX_UNSENT = "retainwise_api_outbox_unsent_messages"
    """Messages that wait in the outbox."""
    OUTBOX_LAG = "retainwise_api_outbox_lag_seconds"
    """The age of the oldest unsent message, in seconds; 0 if there is none."""
    DELIVERIES = "sqs_consumer_deliveries_total"
    """Deliveries ended, by their last state: deleted, released, parked, …"""
    DEPENDENCY_UNAVAILABLE = "sqs_consumer_dependency_unavailable"
    """1 while the breaker of a dependency is open or half open, else 0."""
    RECONCILED = "retainwise_reconciled_predictions_total"
    """Predictions that only the reconciler could end or requeue, by outcome."""
