"""All rules at once: random faults, slow responses and drains, over many thousand virtual seconds."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from consumer_worker.sqs.outcomes import Ack, Outcome, Park, Release, Retry, Unavailable
from consumer_worker.sqs.queue import Entry, QueueUnavailable
from tests.unit.consumer_worker.sqs.fake_queue import Action, FakeQueue, Fault
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


def random_fault(dice: random.Random, queue: FakeQueue, action: Action) -> Fault:
    """Return the fault of the next request: mostly none."""
    kind = dice.random()
    if kind < 0.7:
        return 0.0
    if kind < 0.8:
        return dice.uniform(0, 8)
    if kind < 0.9 or action in ("receive", "park"):
        return QueueUnavailable("chaos")
    act: Callable[[Any], Entry] = (
        queue._delete if action == "delete" else lambda change: queue._change(*change)
    )
    return lambda entries: [Entry.FAILED if dice.random() < 0.5 else act(entry) for entry in entries]


def outcome(dice: random.Random) -> Outcome:
    match dice.random():
        case x if x < 0.1:
            raise OSError("chaos")
        case x if x < 0.15:
            return Release("chaos")
        case x if x < 0.2:
            return Park("chaos")
        case x if x < 0.24:
            return Unavailable(dice.choice(["database", "disk"]), "chaos")
        case x if x < 0.3:
            return Retry(dice.uniform(0, 20))
    return Ack()


async def probe(dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, 2))
    if dice.random() < 0.5:
        raise OSError("chaos")


@pytest.mark.parametrize("seed", range(25))
async def test_messages_are_settled_once_through_random_faults_and_stops(queue, consuming, sample, seed):
    dice = random.Random(seed)
    random.seed(seed)  # the consumer's jitter
    for tenant in range(3):
        queue.send(*(f"{tenant}-{n}" for n in range(60)), group=f"tenant-{tenant}")
    bodies = {stored.body for stored in queue.messages.values()}
    running: dict[str, int] = {}
    overlaps: list[str] = []
    outlasting: list[str] = []
    for action in ("receive", "delete", "change_visibility", "park"):
        queue.fault(action, *[random_fault(dice, queue, action) for _ in range(150)])

    async def handle(delivery):
        if running.get(delivery.message_id):
            overlaps.append(delivery.receipt_handle)
        running[delivery.message_id] = running.get(delivery.message_id, 0) + 1
        try:
            until = now() + dice.choice([0, 0.05, 1, 10, 45])
            while now() < until:
                await asyncio.sleep(0.5)
                if delivery.lease_deadline > queue.lease_deadline(delivery.receipt_handle):
                    outlasting.append(delivery.receipt_handle)
            return outcome(dice)
        finally:
            running[delivery.message_id] -= 1

    for _ in range(40):
        async with consuming(
            handle,
            probes={"database": partial(probe, dice)},
            visibility_seconds=30,
            max_handlers=12,
            prefetch=14,
            max_handlers_per_group=3,
            max_set_aside=15,
            max_handling_seconds=60.0,
            retry_cap_seconds=20.0,
            grace_seconds=20.0,
        ) as consumer:
            await asyncio.sleep(dice.uniform(1, 60))
            consumer.drain()
            if dice.random() < 0.3:
                await asyncio.sleep(dice.uniform(0, 3))
                consumer.stop_now()
        if not queue.messages:
            break
    assert not queue.messages
    assert {*queue.deleted} == bodies
    assert overlaps == []
    assert outlasting == []
    ends = ("deleted", "backoff", "parked", "released", "lease_lost")
    assert sum(sample("deliveries_total", state=end) for end in ends) == sample("receive_fill_messages_sum")
    assert all(
        sample("in_flight", state=state) == 0 for state in ("buffered", "running", "ack_pending", *ends)
    )
