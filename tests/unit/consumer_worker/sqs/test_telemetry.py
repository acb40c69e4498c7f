"""What the consumer shows: metrics, log lines, links to the sender (rule 21)."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.trace import format_span_id, format_trace_id

from consumer_worker.sqs.outcomes import Ack, Park, Retry
from consumer_worker.sqs.queue import Entry, Message
from consumer_worker.sqs.telemetry import link_to_sender

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


async def test_metrics_count_what_happened(queue, consuming, sample):
    """Rule 21."""
    queue.send(*map(str, range(12)), "again")

    async def handle(delivery):
        if delivery.body == "again" and delivery.receive_count == 1:
            return Retry(1.0)
        await asyncio.sleep(40)
        return Ack()

    async with consuming(handle, visibility_seconds=60) as consumer:
        await asyncio.sleep(20)
        assert sample("in_flight", state="running") == 13
        assert sample("in_flight", state="buffered") == 0
        queue.fault("change_visibility", lambda changes: [Entry.FAILED] * len(changes))
        await asyncio.sleep(100)
        assert sample("in_flight", state="running") == 0
        assert consumer._permits.free == consumer.settings.permits - 10  # of the open poll
    assert sample("deliveries_total", state="deleted") == 13
    assert sample("deliveries_total", state="backoff") == 1
    assert sample("redeliveries_total") == 1
    assert sample("lease_extensions_total", result="done") == 13
    assert sample("lease_extensions_total", result="failed") >= 1
    assert sample("lease_left_at_ack_seconds_count") == 13
    assert sample("ack_batch_messages_sum") == 13
    assert sample("receive_fill_messages_sum") == 14
    assert sample("receive_fill_messages_bucket", le="0.0") >= 1  # empty ones
    assert sample("requests_total", action="delete", result="ok") == len(queue.asked("delete"))
    assert sample("requests_total", action="receive", result="ok") >= 3


async def test_each_delivery_logs_one_line_with_its_times(queue, consuming, logs):
    """Rule 21."""
    queue.send("acked", "retried", "parked", sent_seconds_ago=7)
    outcomes = {"acked": Ack(), "retried": Retry(900.0, reason="busy"), "parked": Park("unreadable")}

    async def handle(delivery):
        await asyncio.sleep(3)
        delivery.notes["claim_seconds"] = 0.5
        return outcomes[delivery.body]

    async with consuming(handle, max_handlers=1):
        await asyncio.sleep(20)
    lines = {line["message_id"]: line for line in logs if line["event"] == "message_ended"}
    assert len([line for line in logs if line["event"] == "message_ended"]) == len(lines) == 3
    in_order = [lines[message_id] for message_id in ("m1", "m2", "m3")]
    assert [line["state"] for line in in_order] == ["deleted", "backoff", "parked"]
    for place, line in enumerate(in_order):
        # The lease counts from before the response.
        assert line["waiting_seconds"] == pytest.approx(7 + place * 3, abs=1.2)
        assert line["handling_seconds"] == pytest.approx(3, abs=0.1)
        # The wait for a full batch, and a request.
        assert line["settling_seconds"] == pytest.approx(0.07, abs=0.03)
        assert (line["receive_count"], line["claim_seconds"]) == (1, 0.5)
    assert (lines["m2"]["retry_seconds"], lines["m2"]["reason"]) == (900, "busy")
    assert lines["m3"]["reason"] == "unreadable"


@pytest.mark.parametrize(
    ("attributes", "message_attributes"),
    [
        ({}, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}),
        ({"AWSTraceHeader": f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent={SPAN_ID};Sampled=1"}, {}),
        ({"AWSTraceHeader": "Root=1-0-0"}, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}),
    ],
)
async def test_span_links_to_its_sender(attributes, message_attributes):
    """Rule 21."""
    link = link_to_sender(Message("m", "r", "", attributes, message_attributes))
    assert link is not None
    assert format_trace_id(link.context.trace_id) == TRACE_ID
    assert format_span_id(link.context.span_id) == SPAN_ID
    assert link.context.trace_flags.sampled


@pytest.mark.parametrize("header", ["", "nonsense", "Root=1-5759e988-bd862e3fe1be46a994272793"])
async def test_invalid_trace_header_gives_no_link(header):
    """Rule 21."""
    assert link_to_sender(Message("m", "r", "", {"AWSTraceHeader": header}, {"traceparent": header})) is None


async def test_handler_span_carries_the_link(queue, consuming, monkeypatch):
    """Rule 21."""
    queue.send("one", traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01")
    started: list[Any] = []

    class Tracer:
        def start_as_current_span(self, name, **options):
            started.append((name, options))
            return nullcontext()

    monkeypatch.setattr("consumer_worker.sqs.consumer._tracer", Tracer())

    async def handle(_):
        return Ack()

    async with consuming(handle):
        await asyncio.sleep(1)
    ((name, options),) = started
    assert name == "process fake"
    assert format_trace_id(options["links"][0].context.trace_id) == TRACE_ID
