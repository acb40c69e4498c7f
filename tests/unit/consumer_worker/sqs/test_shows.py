"""Rules 21 and 22: metrics, links to the sender, liveness and readiness."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.trace import format_span_id, format_trace_id

from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Reject, Retry
from consumer_worker.sqs.queue import Entry, Message
from consumer_worker.sqs.telemetry import link_to_sender
from tests.unit.consumer_worker.sqs.virtual_time import stand_still

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


async def test_rule_21_metrics_tell_what_happened(queue, consuming, sample):
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
        assert consumer._permits.free == consumer.settings.permits - 10  # one poll in the air
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


async def test_rule_21_each_delivery_leaves_one_line_that_says_where_its_time_went(queue, consuming, logs):
    queue.send("acked", "retried", "rejected", sent_seconds_ago=7)
    outcomes = {"acked": Ack(), "retried": Retry(900.0, reason="busy"), "rejected": Reject("unreadable")}

    async def handle(delivery):
        await asyncio.sleep(3)
        delivery.notes["claim_seconds"] = 0.5
        return outcomes[delivery.body]

    async with consuming(handle, max_handlers=1):
        await asyncio.sleep(20)
    lines = {line["message_id"]: line for line in logs if line["event"] == "message_ended"}
    assert len([line for line in logs if line["event"] == "message_ended"]) == len(lines) == 3
    assert [lines[message_id]["state"] for message_id in ("m1", "m2", "m3")] == ["deleted", "backoff", "dead"]
    for place, line in enumerate(lines[message_id] for message_id in ("m1", "m2", "m3")):
        assert line["waiting_seconds"] == pytest.approx(7 + place * 3, abs=1.2)  # a receive counts as earlier
        assert line["handling_seconds"] == pytest.approx(3, abs=0.1)
        assert line["settling_seconds"] == pytest.approx(
            0.07, abs=0.03
        )  # for others to go with it, and a request
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
async def test_rule_21_a_span_links_to_its_sender(attributes, message_attributes):
    link = link_to_sender(Message("m", "r", "", attributes, message_attributes))
    assert link is not None
    assert format_trace_id(link.context.trace_id) == TRACE_ID
    assert format_span_id(link.context.span_id) == SPAN_ID
    assert link.context.trace_flags.sampled


@pytest.mark.parametrize("header", ["", "nonsense", "Root=1-5759e988-bd862e3fe1be46a994272793"])
async def test_rule_21_no_link_is_made_up(header):
    assert link_to_sender(Message("m", "r", "", {"AWSTraceHeader": header}, {"traceparent": header})) is None


async def test_rule_21_the_handlers_span_carries_the_link(queue, consuming, monkeypatch):
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


async def work(_: Delivery) -> Ack:
    await asyncio.sleep(1)
    return Ack()


async def test_rule_22_ready_is_started_and_not_draining(queue, consuming):
    async with consuming(work) as consumer:
        assert not consumer.ready
        await asyncio.sleep(0.1)
        assert consumer.ready
        consumer.drain()
        assert not consumer.ready


async def test_rule_22_a_busy_and_an_idle_consumer_are_live(queue, consuming):
    async with consuming(work, visibility_seconds=300) as consumer:
        for _ in range(100):
            await asyncio.sleep(7)
            assert consumer.live
            queue.send(*map(str, range(50)))
            assert consumer.live


async def test_rule_22_a_poll_that_hangs_is_not_live(queue, consuming):
    queue.fault("receive", 10_000.0)
    async with consuming(work) as consumer:
        await asyncio.sleep(45)
        assert consumer.live
        await asyncio.sleep(10)
        assert not consumer.live


async def test_rule_22_without_a_receiver_it_is_not_live(queue, consuming):
    async with consuming(work) as consumer:
        await asyncio.sleep(1)
        (receiver,) = consumer._receivers
        receiver.cancel()
        await asyncio.sleep(1)
        assert not consumer.live


async def test_rule_22_a_heartbeat_that_stands_still_is_not_live(queue, consuming):
    async with consuming(work) as consumer:
        await asyncio.sleep(1)
        stand_still(40)
        assert not consumer.live
        await asyncio.sleep(1)
        assert consumer.live


async def test_rule_22_acks_that_hang_are_not_live(queue, consuming):
    queue.send("one")
    queue.fault("delete", 40.0)
    async with consuming(work) as consumer:
        await asyncio.sleep(30)
        assert consumer.live
        await asyncio.sleep(5)
        assert not consumer.live
        await asyncio.sleep(10)
        assert consumer.live
