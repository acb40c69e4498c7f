"""What the consumer does while something that handling needs is unavailable (rules 23 to 26)."""

import asyncio

import pytest

from consumer_worker.sqs.outcomes import Ack, Unavailable
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


class Dependency:
    """Something that handlers need; unavailable until a time."""

    def __init__(self) -> None:
        self.back_at = 0.0
        self.handled = 0
        self.refused: list[float] = []
        self.probed: list[float] = []
        self.handling_seconds = 0.1

    @property
    def is_back(self) -> bool:
        return now() >= self.back_at

    async def probe(self) -> None:
        self.probed.append(now())
        if not self.is_back:
            raise OSError("connection refused")

    async def handle(self, _: object) -> Ack | Unavailable:
        if not self.is_back:
            self.refused.append(now())
            return Unavailable("database", "connection refused")
        await asyncio.sleep(self.handling_seconds)
        self.handled += 1
        return Ack()


@pytest.fixture
def database() -> Dependency:
    return Dependency()


def receives(queue, begin, end):
    return [request for request in queue.asked("receive") if begin <= request.at < end]


async def test_nothing_is_received_while_a_dependency_is_unavailable(queue, consuming, database, sample):
    """Rule 23."""
    database.back_at = 3600.0
    queue.send(*map(str, range(40)))
    async with consuming(
        database.handle, probes={"database": database.probe}, max_handlers=2, prefetch=8
    ) as consumer:
        await asyncio.sleep(30)
        assert receives(queue, 1, 3600) == []
        assert len(queue.visible()) == 40
        assert consumer.unavailable == {"database": "connection refused"}
        assert sample("dependency_unavailable", dependency="database") == 1
        assert not consumer.ready
        assert consumer.live
        await asyncio.sleep(3600 + 20)
        assert len(queue.deleted) == 40
        assert consumer.unavailable == {}
        assert consumer.ready
        assert sample("dependency_unavailable", dependency="database") == 0
        assert sample("breakers_opened_total", dependency="database") == 1
    assert max(database.probed) <= 3600 + 5
    assert len(database.refused) == 2


async def test_outage_costs_a_message_at_most_the_receive_that_found_it(queue, consuming, database):
    """Rule 23."""
    database.back_at = 600.0
    queue.send(*map(str, range(30)))
    counts = []

    async def handle(delivery):
        counts.append(delivery.receive_count)
        return await database.handle(delivery)

    async with consuming(handle, probes={"database": database.probe}, max_handlers=5, prefetch=5):
        await asyncio.sleep(700)
    assert len(queue.deleted) == 30
    assert max(counts) == 2


async def test_probes_are_spread_up_to_a_cap(queue, consuming, database):
    """Rule 24."""
    database.back_at = 200.0
    queue.send("one")
    async with consuming(database.handle, probes={"database": database.probe}):
        await asyncio.sleep(210)
    pauses = [after - before for before, after in zip(database.probed, database.probed[1:], strict=False)]
    assert database.probed[0] < 1
    assert max(pauses) <= 5
    assert 40 < len(pauses) < 200
    assert queue.deleted == ["one"]


async def test_hanging_probe_is_given_up(queue, consuming, database):
    """Rule 24."""
    probes = []

    async def probe():
        probes.append(now())
        if len(probes) < 3:
            await asyncio.sleep(1_000)

    database.back_at = 1.0
    queue.send("one")
    async with consuming(database.handle, probes={"database": probe}):
        await asyncio.sleep(30)
    assert len(probes) == 3
    assert queue.deleted == ["one"]


async def test_one_message_is_tried_first_and_all_go_on_when_it_succeeds(queue, consuming, database):
    """Rule 25."""
    database.back_at, database.handling_seconds = 20.0, 3.0
    queue.send(*map(str, range(60)))
    async with consuming(
        database.handle, probes={"database": database.probe}, max_handlers=20, prefetch=20
    ) as consumer:
        await asyncio.sleep(10)
        while consumer.unavailable:
            await asyncio.sleep(0.1)
        half_open_at = now()
        await asyncio.sleep(2)
        assert len(receives(queue, half_open_at - 0.5, now())) == 1
        assert len(consumer._deliveries) == 1
        await asyncio.sleep(3)  # the trial has ended, those after it have not
        assert len(consumer._deliveries) > 20
        await asyncio.sleep(20)
    assert len(queue.deleted) == 60


async def test_breaker_opens_again_when_the_trial_finds_the_dependency_unavailable(
    queue, consuming, database, sample
):
    """Rule 25: what the probe asks works, what handlers need does not."""
    database.back_at = 60.0
    queue.send(*map(str, range(30)))
    receive_counts = []

    async def always_succeeds():
        pass

    async with consuming(database.handle, probes={"database": always_succeeds}, max_handlers=5, prefetch=5):
        await asyncio.sleep(60)
        receive_counts = [stored.receive_count for stored in queue.messages.values()]
        assert all(len(receives(queue, at, at + 0.5)) <= 3 for at in range(1, 60))
        await asyncio.sleep(20)
    assert len(queue.deleted) == 30
    assert sum(receive_counts) < 60
    assert sample("breakers_opened_total", dependency="database") == 1


async def test_trial_that_is_slow_closes_the_breaker(queue, consuming, database):
    """Rule 25: a large file after an outage does not hold up everything else."""
    database.back_at, database.handling_seconds = 5.0, 500.0
    queue.send(*map(str, range(10)))
    async with consuming(database.handle, probes={"database": database.probe}) as consumer:
        await asyncio.sleep(60)
        assert len(consumer._deliveries) == 10
        consumer.stop_now()


async def test_lost_trial_lets_another_message_be_tried(queue, consuming, database):
    """Rule 25."""
    database.back_at = 5.0
    queue.send("one", "two")

    async def handle(delivery):
        if delivery.body == "one" and database.is_back and delivery.receive_count == 2:
            queue.messages["m1"].receipt = "received elsewhere"
            await asyncio.sleep(1_000)
        return await database.handle(delivery)

    async with consuming(
        handle, probes={"database": database.probe}, trial_seconds=10_000.0, release_spread_seconds=0
    ):
        await asyncio.sleep(120)
        assert "two" in queue.deleted


async def test_running_handlers_go_on_and_waiting_messages_are_given_back(queue, consuming, database):
    """Rule 26."""
    queue.send("long", "refused", *map(str, range(8)))

    async def handle(delivery):
        if delivery.body == "long":
            await asyncio.sleep(200)
            return Ack()
        return await database.handle(delivery)

    database.back_at = 1_000.0
    async with consuming(handle, probes={"database": database.probe}, max_handlers=2, prefetch=8) as consumer:
        await asyncio.sleep(10)
        assert len(consumer._deliveries) == 1
        assert len(queue.visible()) == 9
        await asyncio.sleep(200)
        assert queue.deleted == ["long"]
    assert len(queue.visible()) == 9


async def test_messages_of_an_open_poll_are_given_back(queue, consuming, database):
    """Rule 26."""
    queue.send("found")
    database.back_at = 100.0
    async with consuming(database.handle, probes={"database": database.probe}):
        await asyncio.sleep(0.001)
        queue.fault("receive", 3.0)
        await asyncio.sleep(1)
        queue.send(*map(str, range(5)))
        await asyncio.sleep(30)
        assert len(queue.visible()) == 6
    assert queue.violations == []


async def test_given_back_messages_are_spread(queue, consuming, database):
    """Rule 26."""
    database.back_at = 100.0
    queue.send(*map(str, range(40)))
    async with consuming(database.handle, probes={"database": database.probe}, max_handlers=20, prefetch=20):
        await asyncio.sleep(10)
        changes = [seconds for request in queue.asked("change_visibility") for _, seconds in request.what]
    assert len(changes) == 20
    assert {*changes} == {0, 1, 2}


@pytest.mark.parametrize("after", [0.01, 0.05, 0.3, 3, 5.2, 7])
async def test_drain_ends_while_a_breaker_is_open_or_half_open(queue, consuming, database, after):
    """Rule 26."""
    database.back_at, database.handling_seconds = 5.0, 1.0
    queue.send(*map(str, range(30)))
    async with consuming(
        database.handle, probes={"database": database.probe}, max_handlers=5, prefetch=5
    ) as consumer:
        await asyncio.sleep(after)
        consumer.drain()
        await asyncio.wait((consumer.task,))
        assert now() < after + 4
    await asyncio.sleep(2)  # what an open breaker gave back is visible within its spread
    assert len(queue.visible()) == len(queue.messages)


async def test_each_dependency_has_a_breaker_of_its_own(queue, consuming):
    """Rule 23."""
    disk, database = Dependency(), Dependency()
    disk.back_at, database.back_at = 30.0, 60.0
    queue.send("needs the disk", "needs the database")

    async def handle(delivery):
        if not disk.is_back and delivery.body == "needs the disk":
            return Unavailable("disk", "full")
        return await database.handle(delivery)

    async with consuming(handle, probes={"database": database.probe, "disk": disk.probe}) as consumer:
        await asyncio.sleep(10)
        assert set(consumer.unavailable) == {"database", "disk"}
        await asyncio.sleep(30)
        assert set(consumer.unavailable) == {"database"}
        assert len(queue.visible()) == 2
        await asyncio.sleep(40)
    assert sorted(queue.deleted) == ["needs the database", "needs the disk"]
