"""Permits, the fair buffer and the batcher on their own; the consumer's tests show them together."""

import asyncio

import pytest

from consumer_worker.sqs.flow import SLACK_SECONDS, Batcher, FairBuffer, Permits
from consumer_worker.sqs.queue import Entry
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


async def test_permits_add_up_to_a_full_batch_for_one_caller_at_a_time():
    permits = Permits(10)
    assert await permits.reserve(10, wait_seconds=1.0) == 10
    first, second = (asyncio.create_task(permits.reserve(10, wait_seconds=1.0)) for _ in range(2))
    for _ in range(10):
        await asyncio.sleep(0.05)
        permits.give_back(1)
    assert await first == 10
    permits.give_back(3)
    assert await second == 3


async def test_lent_permits_are_repaid_once_fewer_wait_than_were_lent():
    permits = Permits(4)
    assert await permits.reserve(10, wait_seconds=0) == 4
    permits.lend(2)
    assert await permits.reserve(10, wait_seconds=0) == 2
    for still_waiting in (3, 2, 1, 0):
        permits.give_back_ended(still_waiting)
    assert (permits.free, permits.lent) == (2, 0)


async def test_closed_permits_end_all_waiting():
    permits = Permits(1)
    await permits.reserve(1, wait_seconds=0)
    waiting = [asyncio.create_task(permits.reserve(1, wait_seconds=0)) for _ in range(3)]
    await asyncio.sleep(1)
    permits.close()
    assert await asyncio.gather(*waiting) == [0, 0, 0]


async def test_discarded_item_is_not_popped():
    buffer = FairBuffer[str](max_running_per_group=None)
    for item in ("first", "second"):
        buffer.add("group", item)
    buffer.discard("group", "first")
    buffer.discard("group", "first")  # no longer there
    assert buffer.pop() == "second"
    assert buffer.pop() is None


async def test_newest_of_the_group_with_the_most_waiting_is_popped():
    buffer = FairBuffer[str](max_running_per_group=1)
    for item in ("a1", "b1", "b2"):
        buffer.add(item[0], item)
    assert [buffer.pop_newest(), len(buffer)] == ["b2", 2]
    assert {buffer.pop_newest(), buffer.pop_newest()} == {"a1", "b1"}
    assert [buffer.pop(), len(buffer)] == [None, 0]


async def test_batcher_is_late_once_a_batch_has_no_result():
    async def send(entries):
        await asyncio.sleep(100)
        return [Entry.DONE for _ in entries]

    async with asyncio.TaskGroup() as tasks:
        batcher = Batcher[str](send, 0.05, tasks, now)
        assert batcher.due == float("inf")
        result = batcher.submit("one")
        assert batcher.due == now() + 0.05 + SLACK_SECONDS
        await asyncio.sleep(60)
        assert batcher.due < now()
        assert await result is Entry.DONE
        assert batcher.due == float("inf")


async def test_batcher_cancels_its_entries_when_sending_fails():
    async def send(_):
        raise RuntimeError("a fault of the consumer")

    results = []

    async def submit():
        async with asyncio.TaskGroup() as tasks:
            results.append(Batcher[str](send, 0.05, tasks, now).submit("one"))
            await asyncio.sleep(1)

    with pytest.raises(ExceptionGroup, match="unhandled"):
        await submit()
    assert results[0].cancelled()
