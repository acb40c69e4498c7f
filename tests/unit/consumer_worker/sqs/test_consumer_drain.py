"""How the consumer drains, and that it leaves nothing invisible (rules 19 and 20)."""

import asyncio
from typing import Any

import pytest

from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack
from consumer_worker.sqs.queue import Entry, QueueUnavailable
from consumer_worker.sqs.settings import ConsumerSettings
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


async def work(_: Delivery) -> Ack:
    await asyncio.sleep(2)
    return Ack()


async def stopped(consumer: Any) -> float:
    """Wait until the consumer has ended; return when."""
    await asyncio.wait((consumer.task,))
    return now()


async def test_drain_turns_readiness_off_and_receives_no_more(queue, consuming):
    """Rule 19."""
    async with consuming(work) as consumer:
        await asyncio.sleep(5)
        assert consumer.ready
        consumer.drain()
        assert not consumer.ready
        queue.send("late")
        await stopped(consumer)
        assert len(queue.asked("receive")) == 1
    assert queue.visible() == ["late"]


@pytest.mark.parametrize("arrives_after", [0.5, 14.0])
async def test_messages_of_an_open_poll_are_released(queue, consuming, arrives_after):
    """Rule 19."""
    async with consuming(work, poll_drain_seconds=21.0) as consumer:
        await asyncio.sleep(5)
        consumer.drain()
        await asyncio.sleep(arrives_after)
        queue.send("late")
        assert await stopped(consumer) < 5 + arrives_after + 0.2
    assert queue.visible() == ["late"]
    assert queue.messages["m1"].receive_count == 1
    assert queue.asked("change_visibility")[0].what == [("m1#1", 0)]


async def test_drain_abandons_no_poll_by_default(queue, consuming):
    """Rule 19."""
    async with consuming(work, poll_drain_seconds=ConsumerSettings().poll_drain_seconds) as consumer:
        await asyncio.sleep(5)
        consumer.drain()
        assert await stopped(consumer) == pytest.approx(20, abs=0.1)
    assert queue.abandoned_polls == 0


@pytest.mark.parametrize(
    ("bound", "grace", "leaves_after"), [(1.0, 30.0, 1), (3.0, 30.0, 3), (21.0, 10.0, 7)]
)
async def test_drain_waits_for_a_poll_within_a_bound_and_the_grace(
    queue, consuming, bound, grace, leaves_after
):
    """Rule 19."""
    async with consuming(work, poll_drain_seconds=bound, grace_seconds=grace) as consumer:
        await asyncio.sleep(5)
        consumer.drain()
        assert await stopped(consumer) == pytest.approx(5 + leaves_after, abs=0.1)


async def test_buffered_messages_do_not_wait_for_a_poll_of_an_empty_queue(queue, consuming):
    """Rule 19."""
    queue.send(*map(str, range(20)))
    async with consuming(work, max_handlers=5, prefetch=25, poll_drain_seconds=21.0) as consumer:
        await asyncio.sleep(1)
        assert queue.polls == 1
        consumer.drain()
        assert await stopped(consumer) < 1 + 2 + 1
    assert len(queue.deleted) == 5
    assert len(queue.visible()) == 15
    assert queue.abandoned_polls == 0


async def test_buffered_messages_are_released_in_tens_after_polls_end(queue, consuming):
    """Rule 19."""
    queue.send(*map(str, range(60)))
    async with consuming(work, max_handlers=5, prefetch=25) as consumer:
        await asyncio.sleep(1)
        queue.fault("receive", 0.5)
        consumer.drain()
        await stopped(consumer)
        released = [len(request.what) for request in queue.asked("change_visibility")]
        assert released == [10, 10, 5]
        assert all(
            seconds == 0 for request in queue.asked("change_visibility") for _, seconds in request.what
        )
    assert len(queue.deleted) == 5
    assert len(queue.visible()) == 55
    assert (
        max(stored.receive_count for stored in queue.messages.values()) == 1
    )  # none was received again by our own polls


async def test_failed_release_is_retried(queue, consuming):
    """Rule 19."""
    queue.send(*map(str, range(25)))
    async with consuming(work, max_handlers=5, prefetch=20) as consumer:
        await asyncio.sleep(1)
        queue.fault(
            "change_visibility", QueueUnavailable("reset"), lambda changes: [Entry.FAILED] * len(changes)
        )
        consumer.drain()
        await stopped(consumer)
    assert len(queue.visible()) == 20


async def test_pausing_receiver_does_not_delay_the_drain(queue, consuming):
    """Rule 19."""
    queue.fault("receive", *[QueueUnavailable("broken")] * 100)
    async with consuming(
        work, request_retry_base_seconds=1_000.0, request_retry_cap_seconds=1_000.0
    ) as consumer:
        await asyncio.sleep(10)
        consumer.drain()
        assert await stopped(consumer) <= 11.1


async def test_running_handlers_keep_their_lease_and_are_acknowledged(queue, consuming):
    """Rule 20."""
    queue.send(*map(str, range(30)))

    async def handle(_):
        await asyncio.sleep(25)
        return Ack()

    async with consuming(handle, max_handlers=12, visibility_seconds=10) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
        assert 25 < await stopped(consumer) < 26
    assert len(queue.deleted) == 12
    assert len(queue.visible()) == 18


async def test_handler_is_cancelled_and_released_before_the_grace_ends(queue, consuming, sample):
    """Rule 20."""
    queue.send("endless", "short")
    cancelled: list[Any] = []

    async def handle(delivery):
        try:
            await asyncio.sleep(1_000 if delivery.body == "endless" else 5)
        except asyncio.CancelledError:
            cancelled.append(now())
            raise
        return Ack()

    async with consuming(handle, grace_seconds=30.0, grace_margin_seconds=4.0) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
        assert 27 <= await stopped(consumer) < 28
    assert cancelled == [pytest.approx(27)]
    assert queue.deleted == ["short"]
    assert queue.visible() == ["endless"]
    assert sample("deliveries_total", state="released") == 1


async def test_release_gives_everything_back_and_ends_the_run(queue, consuming):
    """Rule 20."""
    queue.send(*map(str, range(40)))
    async with consuming(work, max_handlers=15, prefetch=10) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
        await asyncio.sleep(0.3)
        consumer.stop_now()
        assert await stopped(consumer) < 1.5
    assert queue.deleted == []
    assert len(queue.visible()) == 40


async def test_handler_that_finishes_although_cancelled_is_acknowledged(queue, consuming):
    """Rule 20."""
    queue.send("one")

    async def handle(_):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)  # the last rows
        return Ack()

    async with consuming(handle) as consumer:
        await asyncio.sleep(1)
        consumer.stop_now()
        await stopped(consumer)
    assert queue.deleted == ["one"]


async def test_handler_that_does_not_stop_is_abandoned_after_the_margin(queue, consuming, sample):
    """Rule 20."""
    queue.send("one")

    async def handle(_):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(100)
        return Ack()

    async with consuming(handle, grace_seconds=30.0, grace_margin_seconds=4.0) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
        assert await stopped(consumer) == pytest.approx(31, abs=0.1)
    assert sample("deliveries_total", state="lease_lost") == 1


async def test_abandoned_ack_is_not_sent_after_the_end(queue, consuming):
    """Rule 20."""
    queue.send("one")

    async def handle(_):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(3.99)  # the margin ends 10 ms later, while the ack waits for a full batch
        return Ack()

    async with consuming(handle, grace_seconds=30.0, grace_margin_seconds=4.0) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
        await stopped(consumer)
        await asyncio.sleep(1)
    assert queue.asked("delete") == []


async def test_cancelled_run_releases_and_stays_cancelled(queue, consuming):
    """Rule 20."""
    queue.send(*map(str, range(30)))
    async with consuming(work, max_handlers=5, prefetch=10) as consumer:
        await asyncio.sleep(1)
        consumer.task.cancel()
        await stopped(consumer)
        assert consumer.task.cancelled()
        assert now() < 1.5
    assert len(queue.visible()) == 30


async def test_drain_at_any_moment_leaves_nothing_invisible(queue, consuming):
    """Rule 20."""
    for tenth in range(1, 40):
        queue.messages.clear()
        queue.send(*map(str, range(100)))
        start = now()
        async with consuming(lambda _: work(_), max_handlers=10, prefetch=15) as consumer:
            await asyncio.sleep(tenth * 0.1 - 0.05)
            consumer.drain()
            assert await stopped(consumer) <= start + tenth * 0.1 + 2 + 1
        assert len(queue.visible()) == len(queue.messages)
