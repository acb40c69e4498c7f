"""The consumer's Prometheus metrics, and each message's link to its sender's trace."""

import re

from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumer_worker.sqs.queue import Message

_BATCH_SIZES = tuple(range(1, 11))
_LEASE_SECONDS = (0, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_AWS_TRACE_HEADER = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=([01])")


class ConsumerMetrics:
    """The consumer's metrics, registered in `registry` under names that start with `prefix` and `_`.

    Requests per message are `requests` divided by `deliveries`.
    """

    def __init__(self, registry: CollectorRegistry, *, prefix: str = "sqs_consumer") -> None:
        def name(suffix: str) -> str:
            return f"{prefix}_{suffix}"

        self.requests = Counter(
            name("requests"),
            "Requests to the queue, by action and result",
            ["action", "result"],
            registry=registry,
        )
        self.receive_fill = Histogram(
            name("receive_fill_messages"),
            "Messages per receive; 0 for an empty one",
            buckets=(0, *_BATCH_SIZES),
            registry=registry,
        )
        self.redeliveries = Counter(
            name("redeliveries"), "Messages received that had been received before", registry=registry
        )
        self.in_flight = Gauge(
            name("in_flight"),
            "Deliveries held, by state",
            ["state"],
            registry=registry,
        )
        self.deliveries = Counter(
            name("deliveries"), "Deliveries ended, by their last state", ["state"], registry=registry
        )
        self.extensions = Counter(
            name("lease_extensions"), "Extensions asked for, by result", ["result"], registry=registry
        )
        self.leases_lost = Counter(
            name("leases_lost"), "Deliveries whose lease ended before they were settled", registry=registry
        )
        self.lease_left = Histogram(
            name("lease_left_at_ack_seconds"),
            "Lease left when a message is acknowledged",
            buckets=_LEASE_SECONDS,
            registry=registry,
        )
        self.unavailable = Gauge(
            name("dependency_unavailable"),
            "1 while a dependency's breaker is open or half open",
            ["dependency"],
            registry=registry,
        )
        self.breakers_opened = Counter(
            name("breakers_opened"), "Outages of a dependency", ["dependency"], registry=registry
        )
        self.ack_batch = Histogram(
            name("ack_batch_messages"), "Messages per delete request", buckets=_BATCH_SIZES, registry=registry
        )


def link_to_sender(message: Message) -> Link | None:
    """Return a link to the span that sent the message, from `traceparent`, else from AWSTraceHeader."""
    if traceparent := message.message_attributes.get("traceparent"):
        carrier = {"traceparent": traceparent, "tracestate": message.message_attributes.get("tracestate", "")}
        sender = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
        return Link(sender) if sender.is_valid else None
    if header := _AWS_TRACE_HEADER.search(message.attributes.get("AWSTraceHeader", "")):
        epoch, unique, parent, sampled = header.groups()
        return Link(
            SpanContext(
                trace_id=int(epoch + unique, 16),
                span_id=int(parent, 16),
                is_remote=True,
                trace_flags=TraceFlags(int(sampled)),
            )
        )
    return None
