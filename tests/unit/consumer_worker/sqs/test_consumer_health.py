"""Whether the consumer is live and ready (rule 22)."""

import asyncio

import pytest

from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack
from tests.unit.consumer_worker.sqs.virtual_time import pause

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


async def work(_: Delivery) -> Ack:
    await asyncio.sleep(1)
    return Ack()


async def test_consumer_is_ready_until_it_drains(queue, consuming):
    """Rule 22."""
    async with consuming(work) as consumer:
        assert not consumer.ready
        await asyncio.sleep(0.1)
        assert consumer.ready
        consumer.drain()
        assert not consumer.ready


async def test_busy_and_idle_consumers_are_live(queue, consuming):
    """Rule 22."""
    async with consuming(work, visibility_seconds=300) as consumer:
        for _ in range(100):
            await asyncio.sleep(7)
            assert consumer.live
            queue.send(*map(str, range(50)))
            assert consumer.live


async def test_consumer_with_a_hanging_poll_is_not_live(queue, consuming):
    """Rule 22."""
    queue.fault("receive", 10_000.0)
    async with consuming(work) as consumer:
        await asyncio.sleep(45)
        assert consumer.live
        await asyncio.sleep(10)
        assert not consumer.live


async def test_consumer_without_a_receiver_is_not_live(queue, consuming):
    """Rule 22."""
    async with consuming(work) as consumer:
        await asyncio.sleep(1)
        (receiver,) = consumer._receivers
        receiver.cancel()
        await asyncio.sleep(1)
        assert not consumer.live


async def test_consumer_with_a_late_heartbeat_is_not_live(queue, consuming):
    """Rule 22."""
    async with consuming(work) as consumer:
        await asyncio.sleep(1)
        pause(40)
        assert not consumer.live
        await asyncio.sleep(1)
        assert consumer.live


async def test_consumer_with_hanging_acks_is_not_live(queue, consuming):
    """Rule 22."""
    queue.send("one")
    queue.fault("delete", 40.0)
    async with consuming(work) as consumer:
        await asyncio.sleep(30)
        assert consumer.live
        await asyncio.sleep(5)
        assert not consumer.live
        await asyncio.sleep(10)
        assert consumer.live
