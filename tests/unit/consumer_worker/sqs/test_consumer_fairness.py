"""Fairness within a worker: no message group (a tenant) has all the handlers while another waits."""

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from consumer_worker.sqs.outcomes import Ack
from tests.conftest import figure
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


def recording(starts: list[Any], most_running: Counter[str], seconds: float = 1.0) -> Any:
    running: Counter[str] = Counter()

    async def handle(delivery):
        group = delivery.group_id
        starts.append((group, now()))
        running[group] += 1
        most_running[group] = max(most_running[group], running[group])
        await asyncio.sleep(seconds)
        running[group] -= 1
        return Ack()

    return handle


@pytest.mark.parametrize("fair", [True, False], ids=["fair", "in order of arrival"])
async def test_a_single_file_does_not_wait_for_the_500_of_another(queue, consuming, fair, record_property):
    """With the worker's own settings: 8 handlers, of which a tenant may have 4, and as much prefetch."""
    queue.fair = fair
    limit = 4 if fair else None
    queue.send(*map(str, range(500)), group="noisy")
    starts: list[Any] = []
    async with consuming(
        recording(starts, Counter(), 1.0), max_handlers=8, prefetch=8, max_handlers_per_group=limit
    ):
        await asyncio.sleep(10)
        queue.send("one", group="quiet")
        await asyncio.sleep(150)
    (waited,) = [at - 10 for group, at in starts if group == "quiet"]
    for_all = starts[-1][1] - 10
    record_property(
        *figure(f"{waited:.1f} s until a single file starts beside 500, {for_all:.0f} s until all do")
    )
    assert len(starts) == 501
    assert waited < 2 if fair else waited > 40


async def test_a_group_has_at_most_its_limit_of_handlers(queue, consuming):
    queue.send(*map(str, range(40)), group="noisy")
    starts: list[Any] = []
    most_running: Counter[str] = Counter()
    handle = recording(starts, most_running)
    async with consuming(handle, max_handlers=10, prefetch=20, max_handlers_per_group=4):
        await asyncio.sleep(15)
    assert most_running == {"noisy": 4}
    assert len(queue.deleted) == 40


async def test_a_message_of_a_quiet_group_starts_at_once_beside_a_noisy_one(queue, consuming):
    queue.send(*map(str, range(20)), group="noisy")
    starts: list[Any] = []
    async with consuming(
        recording(starts, Counter(), 30.0), max_handlers=10, prefetch=20, max_handlers_per_group=6
    ):
        await asyncio.sleep(5)
        queue.send("one", group="quiet")
        await asyncio.sleep(5)
        assert [at for group, at in starts if group == "quiet"] == [pytest.approx(5, abs=0.1)]
        await asyncio.sleep(120)
    assert len(queue.deleted) == 21


async def test_without_a_limit_the_next_handler_is_for_the_group_with_the_fewest(queue, consuming):
    queue.send(*map(str, range(20)), group="noisy")
    queue.send("a", "b", "c", group="quiet")
    starts: list[Any] = []
    async with consuming(recording(starts, Counter()), max_handlers=4, prefetch=30):
        await asyncio.sleep(30)
    # four noisy ones began before the others were received; of the next four handlers each gets two
    assert [group for group, _ in starts[:8]] == ["noisy"] * 4 + ["quiet"] * 2 + ["noisy"] * 2


async def test_groups_with_as_many_running_take_turns(queue, consuming):
    for number, group in itertools.product(range(4), "abc"):
        queue.send(str(number), group=group)
    starts: list[Any] = []
    async with consuming(recording(starts, Counter()), max_handlers=1, prefetch=20):
        await asyncio.sleep(20)
    assert sorted(group for group, _ in starts[:3]) == ["a", "b", "c"]
    assert [group for group, _ in starts] == [group for group, _ in starts[:3]] * 4


async def test_messages_of_no_group_have_no_limit(queue, consuming):
    queue.send(*map(str, range(30)))
    async with consuming(recording([], Counter()), max_handlers=10, prefetch=20, max_handlers_per_group=1):
        await asyncio.sleep(4)
        assert len(queue.deleted) == 30


async def test_waiting_message_keeps_its_lease_and_is_released_at_a_drain(queue, consuming):
    queue.send(*map(str, range(6)), group="noisy")
    starts: list[Any] = []
    async with consuming(
        recording(starts, Counter(), 50.0),
        max_handlers=4,
        prefetch=10,
        max_handlers_per_group=1,
        visibility_seconds=30,
        grace_seconds=100.0,
    ) as consumer:
        await asyncio.sleep(120)
        assert len(starts) == 3  # at 0, 50 and 100 s, each in its first delivery
        consumer.drain()
    assert len(queue.deleted) == 3
    assert sorted(queue.visible()) == ["3", "4", "5"]
    assert all(stored.receive_count == 1 for stored in queue.messages.values())
