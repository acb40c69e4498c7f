"""Rules 21 and 22: metrics, links to the sender, liveness and readiness."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.trace import format_span_id, format_trace_id

from consumer_worker.consumer import Delivery
from consumer_worker.outcomes import Ack, Retry
from consumer_worker.sqs import Entry, Message
from consumer_worker.telemetry import link_to_sender
from tests.unit.consumer_worker.consumer.virtual_time import stand_still

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

    monkeypatch.setattr("consumer_worker.consumer._tracer", Tracer())

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
