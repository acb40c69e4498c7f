"""Fairness within a worker: no message group (a tenant) has all the handlers while another waits."""

import asyncio
import itertools
from collections import Counter
from typing import Any, Final

import pytest

from consumer_worker.sqs.outcomes import Ack, Unavailable
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


WORKERS_OWN: Final = {"max_handlers": 8, "prefetch": 8, "max_handlers_per_group": 4, "visibility_seconds": 45}
"""The worker's own settings."""


@pytest.mark.parametrize("seconds", [1.0, 60.0, 1_800.0])
@pytest.mark.parametrize("count", [40, 500])
async def test_quiet_group_starts_within_its_poll_however_long_the_noisy_one_takes(
    queue, consuming, count, seconds, record_property
):
    """Rule 27: not even where more messages wait than are set aside."""
    queue.send(*map(str, range(count)), group="noisy")
    starts: list[Any] = []
    async with consuming(recording(starts, Counter(), seconds), **WORKERS_OWN) as consumer:
        await asyncio.sleep(5)
        queue.send("early", group="quiet")
        await asyncio.sleep(115)
        queue.send("late", group="quiet")
        await asyncio.sleep(30)
        consumer.stop_now()
    early, late = [at for group, at in starts if group == "quiet"]
    waited = [early - 5, late - 120]
    record_property(
        *figure(f"{max(waited):.1f} s until a file starts beside {count} that take {seconds:.0f} s each")
    )
    assert max(waited) < 3  # a batch of the noisy group may have to be set aside first


async def test_quiet_group_starts_beside_three_noisy_ones(queue, consuming):
    """Rule 27: while a handler is free at once, else with the first that ends."""
    for group in ("a", "b", "c"):
        queue.send(*map(str, range(300)), group=group)
    starts: list[Any] = []
    handle = recording(starts, Counter(), 600.0)
    async with consuming(handle, **WORKERS_OWN | {"max_handlers": 14}) as consumer:
        await asyncio.sleep(100)
        queue.send("first", "second", group="quiet")
        await asyncio.sleep(10)
        assert [at - 100 < 3 for group, at in starts if group == "quiet"] == [True, True]
        queue.send("third", group="quiet")  # all handlers are busy
        await asyncio.sleep(600)
        assert len([at for group, at in starts if group == "quiet"]) == 3
        consumer.stop_now()


async def test_groups_that_wait_for_each_other_do_not_keep_a_quiet_one_waiting(queue, consuming):
    """Rule 27: what is set aside stays so, or each of its starts would use up the permit of an ended one."""
    queue.send(*map(str, range(100)), group="a")
    starts: list[Any] = []
    async with consuming(recording(starts, Counter(), 100.0), **WORKERS_OWN) as consumer:
        await asyncio.sleep(50)  # a's are set aside, then b and c take what is free and wait as well
        for group in ("b", "c"):
            queue.send(*map(str, range(100)), group=group)
        await asyncio.sleep(100)
        queue.send("one", group="quiet")
        await asyncio.sleep(110)
        (at,) = [at for group, at in starts if group == "quiet"]
        consumer.stop_now()
    assert at - 150 < 101  # the second handler that ends, at the latest


async def test_what_is_set_aside_has_a_bound(queue, consuming, sample):
    """Rule 28."""
    queue.send(*map(str, range(500)), group="noisy")
    most_held = 0
    async with consuming(recording([], Counter(), 1_800.0), **WORKERS_OWN, max_set_aside=100) as consumer:
        for _ in range(1_200):
            await asyncio.sleep(0.1)
            most_held = max(most_held, len(consumer._deliveries))
        assert most_held == consumer.settings.permits + 100
        assert len(queue.asked("receive")) < 120 / consumer.settings.set_aside_after_seconds + 10
        assert sample("deliveries_total", state="released") == 500 - 100 - 10
        hidden = [stored.visible_at - stored.received_at for stored in queue.messages.values()]
        assert sum(seconds > consumer.settings.retry_cap_seconds for seconds in hidden) == 390
        consumer.stop_now()


async def test_drain_releases_what_is_set_aside(queue, consuming):
    """Rule 19."""
    queue.send(*map(str, range(200)), group="noisy")
    async with consuming(
        recording([], Counter(), 50.0), **WORKERS_OWN, max_set_aside=256, grace_seconds=100.0
    ) as consumer:
        await asyncio.sleep(49)
        assert len(consumer._deliveries) == 200
        consumer.drain()
        await asyncio.sleep(1.9)
        assert len(queue.visible()) == 196
    assert len(queue.deleted) == 4
    assert len(queue.visible()) == 196


async def test_breaker_releases_what_is_set_aside(queue, consuming):
    """Rule 26."""
    queue.send(*map(str, range(100)), group="noisy")

    async def handle(delivery):
        if delivery.group_id == "quiet":
            return Unavailable("database", "gone")
        await asyncio.sleep(1_800)
        return Ack()

    async def fail():
        raise OSError("still gone")

    async with consuming(handle, probes={"database": fail}, **WORKERS_OWN, max_set_aside=256) as consumer:
        await asyncio.sleep(30)
        assert len(consumer._deliveries) == 100
        queue.send("one", group="quiet")
        await asyncio.sleep(10)
        assert len(consumer._deliveries) == 4
        consumer.stop_now()


async def test_message_is_handled_in_its_first_delivery_however_long_it_waits(queue, consuming, sample):
    """Rule 9: the time to handle a message counts from its start."""
    queue.send(*map(str, range(40)), group="noisy")
    starts: list[Any] = []
    async with consuming(recording(starts, Counter(), 1_800.0), **WORKERS_OWN):
        await asyncio.sleep(10 * 1_800 + 60)
        assert len(queue.deleted) == 40
    assert len(starts) == 40
    assert sample("redeliveries_total") == 0


async def test_nothing_is_set_aside_or_asked_for_while_all_handlers_are_busy(queue, consuming):
    """Rule 27: what is held here, other consumers cannot have."""
    for group in ("a", "b"):
        queue.send(*map(str, range(500)), group=group)
    async with consuming(recording([], Counter(), 1_800.0), **WORKERS_OWN) as consumer:
        await asyncio.sleep(600)
        assert len(consumer._deliveries) == consumer.settings.permits
        assert len(queue.asked("receive")) < 10
        consumer.stop_now()


async def test_nothing_is_set_aside_while_messages_end(queue, consuming):
    """Rule 27."""
    queue.send(*map(str, range(500)), group="noisy")
    async with consuming(recording([], Counter(), 1.0), **WORKERS_OWN) as consumer:
        for _ in range(100):
            await asyncio.sleep(1.01)
            assert len(consumer._deliveries) <= consumer.settings.permits
        consumer.stop_now()
