"""How the consumer receives: permits, batches, receivers, errors (rules 1 to 4)."""

import asyncio
import itertools
from typing import Any

import pytest

from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack
from consumer_worker.sqs.queue import QueueRefused, QueueUnavailable
from tests.unit.consumer_worker.sqs.virtual_time import now, pause

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


async def work(_: Delivery, seconds: float = 0.05) -> Ack:
    await asyncio.sleep(seconds)
    return Ack()


async def test_permits_limit_what_is_held_and_handlers_have_their_own_limit(queue, consuming):
    """Rule 1."""
    queue.send(*map(str, range(100)))
    running = most_running = 0
    most_held: list[Any] = []

    async def handle(delivery):
        nonlocal running, most_running
        running += 1
        most_running = max(most_running, running)
        most_held.append(sum(stored.visible_at > now() for stored in queue.messages.values()))
        await asyncio.sleep(1)
        running -= 1
        return Ack()

    async with consuming(handle, max_handlers=5, prefetch=7):
        await asyncio.sleep(60)
    assert len(queue.deleted) == 100
    assert most_running == 5
    assert max(most_held) == 12


async def test_prefetch_keeps_the_handlers_busy(queue, consuming):
    """Rule 1."""
    queue.send(*map(str, range(1000)))
    async with consuming(work, max_handlers=50, prefetch=60):
        await asyncio.sleep(1.2)
        handled = len(queue.deleted)
    assert handled >= 0.95 * 1000  # of 1,000 a second, which 50 handlers of 50 ms can do


async def test_unused_permits_are_given_back(queue, consuming):
    """Rule 1."""
    async with consuming(work, max_handlers=10, prefetch=0, max_receivers=1):
        for _ in range(5):
            queue.send("one")
            await asyncio.sleep(1)
        assert all(request.what >= 9 for request in queue.asked("receive"))
    assert len(queue.deleted) == 5


async def test_receive_asks_for_ten_or_the_free_permits(queue, consuming):
    """Rule 2."""
    queue.send(*map(str, range(25)))
    async with consuming(lambda d: work(d, 30), max_handlers=20, prefetch=4, visibility_seconds=300):
        await asyncio.sleep(1)
        assert [request.what for request in queue.asked("receive")] == [10, 10, 4]
        await asyncio.sleep(60)


async def test_receive_waits_briefly_for_a_full_batch_under_load(queue, consuming):
    """Rule 2."""
    queue.send(*map(str, range(40)))
    seconds = itertools.chain([1.0] + [1.04] * 5, itertools.repeat(9.0))
    async with consuming(lambda d: work(d, next(seconds)), max_handlers=20, prefetch=0, ack_wait_seconds=0.0):
        await asyncio.sleep(0.9)
        before = len(queue.asked("receive"))
        await asyncio.sleep(0.5)
        first, *_ = queue.asked("receive")[before:]
        # one permit is free at 1.0 s, five more 40 ms later: the receive goes out when its wait is over
        assert first.what == 6
        assert 1.1 < first.at < 1.2
        await asyncio.sleep(30)


async def test_idle_consumer_sends_one_long_poll_at_a_time(queue, consuming):
    """Rule 3."""
    async with consuming(work):
        await asyncio.sleep(41)
    assert len(queue.asked("receive")) == 3
    assert queue.max_polls == 1


async def test_receivers_grow_with_full_batches_and_shrink_with_poor_ones(queue, consuming):
    """Rule 3."""
    queue.send(*map(str, range(2000)))
    async with consuming(work, max_receivers=4) as consumer:
        await asyncio.sleep(0.5)
        assert queue.max_polls == 4
        await asyncio.sleep(30)
        assert len(queue.deleted) == 2000
        assert len(consumer._receivers) == 1


async def test_last_receiver_stays_when_all_polls_return_empty(queue, consuming):
    """Rule 3."""
    queue.send(*map(str, range(200)))
    async with consuming(work, max_receivers=6):
        await asyncio.sleep(2)
        assert queue.polls == 6
        pause(30)
        await asyncio.sleep(1)
        assert queue.polls == 1
        queue.send("late")
        await asyncio.sleep(1)
    assert len(queue.deleted) == 201


async def test_receive_error_backs_off_with_jitter_up_to_a_cap(queue, consuming):
    """Rule 4."""
    queue.fault("receive", *[QueueUnavailable("no route")] * 60)
    async with consuming(work, request_retry_base_seconds=0.5, request_retry_cap_seconds=8.0) as consumer:
        await asyncio.sleep(600)
        queue.send("after the errors")
        await asyncio.sleep(10)
        times = [request.at for request in queue.asked("receive")]
        assert consumer.fatal is None
    assert queue.deleted == ["after the errors"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)][:60]
    for failures, seconds in enumerate(pauses, start=1):
        assert seconds <= min(8.0, 0.5 * 2 ** (failures - 1)) + 0.05
    late = pauses[10:]
    assert max(late) > 6  # up to the cap
    assert min(late) < 2  # but jittered
    assert len({round(seconds, 3) for seconds in late}) > len(late) / 2


async def test_end_of_a_long_outage_is_noticed_within_seconds(queue, consuming):
    """Work waits for as long as the outage lasts, and not for a third of it again."""
    queue.fault("receive", *[QueueUnavailable("no route")] * 100)
    async with consuming(work):
        await asyncio.sleep(600)
        times = [request.at for request in queue.asked("receive")]
    assert max(later - earlier for earlier, later in itertools.pairwise(times[:101])) <= 5.1


async def test_refused_queue_ends_the_run_after_an_orderly_stop(queue, consuming):
    """Rule 4."""
    queue.send("running", "buffered")
    refused = QueueRefused("ReceiveMessage on https://sqs/q: arn:aws:sts::1:assumed-role/worker needs …")
    queue.fault("receive", 0.0, refused)
    async with consuming(lambda d: work(d, 5), max_handlers=1, prefetch=50) as consumer:
        await asyncio.sleep(1)
        assert not consumer.ready
        assert consumer.fatal is refused
        with pytest.raises(QueueRefused, match="worker needs"):
            await consumer.task
    assert queue.deleted == ["running"]
    assert queue.visible() == ["buffered"]
