"""How the consumer keeps leases: the heartbeat, lost leases, limits (rules 5 to 10)."""

import asyncio
import itertools
from typing import Any

import pytest

from consumer_worker.sqs.consumer import Handler
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Outcome, Retry
from consumer_worker.sqs.queue import MAX_VISIBILITY_SECONDS, Entry, QueueUnavailable
from tests.unit.consumer_worker.sqs.virtual_time import now, pause

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


def handling(seconds: float, outcome: Outcome | None = None, log: list[Any] | None = None) -> Handler:
    async def handle(delivery: Delivery) -> Outcome:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if log is not None:
                log.append(("cancelled", delivery.body, now()))
            raise
        if log is not None:
            log.append(("finished", delivery.body, now()))
        return outcome or Ack()

    return handle


@pytest.mark.parametrize("answer_takes", [0.02, 0.9, 1.9])
async def test_local_deadline_is_never_later_than_the_real_one(queue, consuming, answer_takes):
    """Rule 5."""
    queue.round_trip = answer_takes
    queue.send("one")
    seen: list[Any] = []

    async def handle(delivery):
        for _ in range(300):
            await asyncio.sleep(0.5)
            seen.append(queue.lease_deadline(delivery.receipt_handle) - delivery.lease_deadline)
        return Ack()

    async with consuming(handle, visibility_seconds=30):
        await asyncio.sleep(155)
    assert len(seen) == 300
    assert min(seen) >= 0
    assert max(seen) <= 30 + answer_takes  # until the response arrives the old deadline stays


async def test_lease_counts_from_a_round_trip_before_the_response(queue, consuming):
    """Rule 5."""
    left: list[Any] = []

    async def handle(delivery):
        left.append(delivery.lease_seconds_left())
        return Ack()

    async with consuming(handle, visibility_seconds=60):
        await asyncio.sleep(15)  # the long poll is 15 s old when the message arrives
        queue.send("one")
        await asyncio.sleep(1)
    assert left == [pytest.approx(59, abs=0.01)]


@pytest.mark.parametrize(
    ("answer_takes", "bound"),
    [(0.02, 1.0), (10.0, 6.0)],
    ids=["the poll notices first", "the heartbeat notices first"],
)
async def test_lease_counts_from_before_a_pause_of_the_process(queue, consuming, answer_takes, bound):
    """Rule 5."""
    queue.round_trip = answer_takes
    seen: list[Any] = []

    async def handle(delivery):
        seen.append(queue.lease_deadline(delivery.receipt_handle) - delivery.lease_deadline)
        return Ack()

    async with consuming(handle, visibility_seconds=60, round_trip_seconds=bound) as consumer:
        await asyncio.sleep(10)
        queue.send("one")
        await asyncio.sleep(0.001)  # SQS has answered; the response is on its way
        pause(45)
        await asyncio.sleep(0.1)
        consumer.drain()
    assert len(seen) == 1
    assert seen[0] >= 0


async def test_heartbeat_extends_leases_at_half_in_batches_of_ten(queue, consuming):
    """Rule 6."""
    queue.send(*map(str, range(25)))
    async with consuming(handling(100), visibility_seconds=60):
        await asyncio.sleep(110)
    assert len(queue.deleted) == 25
    extensions = queue.asked("change_visibility")
    assert [len(request.what) for request in extensions] == [10, 10, 5] * 3
    assert all(seconds == 60 for request in extensions for _, seconds in request.what)
    assert 28 <= extensions[0].at <= 33


async def test_heartbeat_extends_twenty_messages_with_few_requests(queue, consuming):
    """Rule 6."""
    queue.send(*map(str, range(20)))
    log: list[Any] = []
    async with consuming(handling(5, log=log), visibility_seconds=2):
        await asyncio.sleep(7)
    assert len(log) == len(queue.deleted) == 20  # none twice
    assert len(queue.asked("change_visibility")) <= 10


async def test_heartbeat_extends_buffered_and_ack_pending_messages(queue, consuming):
    """Rule 6."""
    queue.send("running", "buffered")
    queue.fault("delete", *[QueueUnavailable("broken")] * 12)
    log: list[Any] = []
    async with consuming(handling(50, log=log), max_handlers=1, prefetch=20, visibility_seconds=20):
        await asyncio.sleep(300)
    assert [(what, body) for what, body, _ in log] == [("finished", "running"), ("finished", "buffered")]
    assert sorted(queue.deleted) == ["buffered", "running"]


async def test_deadline_moves_only_after_its_own_entry_succeeds(queue, consuming):
    """Rule 6."""
    queue.send("kept", "failed")
    deadlines: dict[str, float] = {}

    def second_fails(changes):
        return [queue._change(*changes[0]), Entry.FAILED]

    async def handle(delivery):
        before = delivery.lease_deadline
        await asyncio.sleep(31.5)  # the heartbeat looked at 30 s, and has not looked again
        deadlines[delivery.body] = delivery.lease_deadline - before
        return Ack()

    queue.fault("change_visibility", second_fails)
    async with consuming(handle, visibility_seconds=60):
        await asyncio.sleep(40)
    assert deadlines["kept"] == pytest.approx(30, abs=2)
    assert deadlines["failed"] == 0


async def test_failed_extension_is_retried_while_the_handler_runs(queue, consuming):
    """Rule 7."""
    queue.send("one")
    queue.fault(
        "change_visibility", QueueUnavailable("reset"), lambda _: [Entry.FAILED], QueueUnavailable("reset")
    )
    log: list[Any] = []
    async with consuming(handling(50, log=log), visibility_seconds=60):
        await asyncio.sleep(60)
    assert [what for what, *_ in log] == ["finished"]
    assert queue.deleted == ["one"]
    assert len(queue.asked("change_visibility")) == 4


async def test_handler_is_cancelled_when_extensions_fail_until_the_margin(queue, consuming):
    """Rule 7."""
    queue.send("one")
    queue.fault("change_visibility", *[QueueUnavailable("reset")] * 100)
    log: list[Any] = []
    async with consuming(handling(500, log=log), visibility_seconds=60) as consumer:
        await asyncio.sleep(58)
        (cancelled,) = log
        assert cancelled[0] == "cancelled"
        assert 50 <= cancelled[2] <= 57  # the margin is 6 s, the heartbeat looks each 3 s
        assert queue.asked("delete") == []
        assert not consumer._deliveries
        consumer.drain()


async def test_lost_receipt_cancels_the_handler_and_is_not_used_again(queue, consuming, sample):
    """Rule 7."""
    queue.send("lost", "kept")
    queue.fault("change_visibility", lambda changes: [Entry.GONE, queue._change(*changes[1])])
    log: list[Any] = []
    async with consuming(handling(40, log=log), visibility_seconds=60):
        await asyncio.sleep(35)
        assert [(what, body) for what, body, _ in log] == [("cancelled", "lost")]
        assert log[0][2] < 32  # at once
        assert sample("leases_lost_total") == 1
        await asyncio.sleep(10)
        assert queue.deleted == ["kept"]
        touched = [r for r in queue.requests if r.at > log[0][2] and "m1#1" in str(r.what)]
        assert touched == []
        await asyncio.sleep(100)
    assert sorted(queue.deleted) == ["kept", "lost"]  # delivered again


async def test_lease_that_ends_during_a_pause_is_lost(queue, consuming, sample):
    """Rule 7."""
    queue.send("one")
    log: list[Any] = []
    async with consuming(handling(40, log=log), visibility_seconds=60):
        await asyncio.sleep(5)
        pause(70)
        await asyncio.sleep(0.01)
        assert sample("deliveries_total", state="lease_lost") == 1
        await asyncio.sleep(60)
    assert queue.deleted == ["one"]
    assert [what for what, *_ in log][-1] == "finished"


async def test_handler_that_ends_after_a_pause_is_not_acknowledged(queue, consuming):
    """Rule 7."""
    queue.send("one")
    async with consuming(handling(5.5), visibility_seconds=60) as consumer:
        await asyncio.sleep(5.2)  # the handler ends before the heartbeat looks, at 6 s
        pause(70)
        await asyncio.sleep(0.1)
        consumer.drain()
    assert all("m1#1" not in request.what for request in queue.asked("delete"))


async def test_handler_that_outlives_its_lease_is_not_acknowledged(queue, consuming, sample):
    """Rule 7."""
    queue.send("one")
    queue.fault("change_visibility", *[QueueUnavailable("reset")] * 100)

    async def stubborn(delivery):
        with_patience = 55
        try:
            await asyncio.sleep(with_patience)
        except asyncio.CancelledError:
            await asyncio.sleep(20)  # a clean-up that takes too long
        return Ack()

    async with consuming(stubborn, visibility_seconds=60) as consumer:
        await asyncio.sleep(79)
        assert queue.asked("delete") == []
        assert sample("leases_lost_total") == 1
        assert sample("in_flight", state="ack_pending") == 0
        consumer.stop_now()


async def test_short_lease_is_extended_before_the_handler_starts(queue, consuming):
    """Rule 8."""
    queue.send("first", "second")
    started: list[Any] = []
    # the heartbeat's extensions fail, so that the second is still at its first lease when the first ends
    queue.fault("change_visibility", *[lambda changes: [Entry.FAILED] * len(changes)] * 8)

    async def handle(delivery):
        started.append((delivery.body, delivery.lease_seconds_left()))
        await asyncio.sleep(51.9 if delivery.body == "first" else 1)
        return Ack()

    async with consuming(handle, max_handlers=1, prefetch=20, visibility_seconds=60):
        await asyncio.sleep(58)
    assert started[1][0] == "second"
    assert started[1][1] > 58
    assert queue.deleted == ["first", "second"]


async def test_buffered_message_is_dropped_if_it_cannot_be_extended(queue, consuming, sample):
    """Rule 8."""
    queue.send("first", "second")
    queue.fault("change_visibility", *[lambda changes: [Entry.FAILED] * len(changes)] * 9)
    log: list[Any] = []

    async def handle(delivery):
        log.append((delivery.body, delivery.receive_count))
        await asyncio.sleep(51.9)
        return Ack()

    async with consuming(handle, max_handlers=1, prefetch=20, visibility_seconds=60):
        await asyncio.sleep(55)
        assert log == [("first", 1)]
        assert sample("leases_lost_total") == 1
        await asyncio.sleep(120)
    assert log == [("first", 1), ("second", 2)]


async def test_buffered_message_with_a_lost_lease_never_starts(queue, consuming):
    """Rule 8."""
    queue.send("first", "second")
    queue.fault("change_visibility", lambda changes: [queue._change(*changes[0]), Entry.GONE])
    log: list[Any] = []

    async def handle(delivery):
        log.append((delivery.body, delivery.receive_count))
        await asyncio.sleep(40)
        return Ack()

    async with consuming(handle, max_handlers=1, prefetch=20, visibility_seconds=60):
        await asyncio.sleep(140)
    assert log == [("first", 1), ("second", 2)]


async def test_visibility_stays_within_twelve_hours_of_the_receive(queue, consuming):
    """Rule 9."""
    queue.send("endless")
    log: list[Any] = []
    async with consuming(
        handling(50_000, log=log),
        visibility_seconds=5_000,
        max_handling_seconds=float(MAX_VISIBILITY_SECONDS),
    ) as consumer:
        await asyncio.sleep(MAX_VISIBILITY_SECONDS + 10)
        assert [what for what, *_ in log] == ["cancelled"]
        assert log[0][2] < MAX_VISIBILITY_SECONDS
        assert queue.violations == []
        last = queue.asked("change_visibility")[-2]
        assert last.what[0][1] < 5_000  # asked for what was left, no more
        consumer.stop_now()


async def test_handler_is_cancelled_at_its_maximum_time_and_retried(queue, consuming, sample):
    """Rule 9."""
    queue.send("slow")
    log: list[Any] = []
    async with consuming(
        handling(5_000, log=log), visibility_seconds=60, max_handling_seconds=300.0, retry_cap_seconds=2.0
    ) as consumer:
        await asyncio.sleep(310)
        (cancelled,) = log
        assert 290 <= cancelled[2] <= 300
        assert sample("deliveries_total", state="backoff") == 1
        assert sample("leases_lost_total") == 0
        consumer.stop_now()


@pytest.mark.parametrize("delay", [40_000.0, 43_200.0])
async def test_backoff_stays_within_the_twelve_hours(queue, consuming, delay):
    """Rule 9."""
    queue.send("one")
    async with consuming(handling(3_400, Retry(delay)), visibility_seconds=300) as consumer:
        await asyncio.sleep(3_500)
        consumer.drain()
    assert queue.violations == []
    assert 39_000 < queue.messages["m1"].visible_at <= MAX_VISIBILITY_SECONDS


@pytest.mark.parametrize("outcome", [Ack(), Retry(500.0)])
async def test_settling_waits_for_a_running_extension(queue, consuming, outcome):
    """Rule 10."""
    queue.send("one")
    queue.fault("change_visibility", 4.0)  # the extension of 30 s arrives at 34 s
    async with consuming(handling(31, outcome), visibility_seconds=60) as consumer:
        await asyncio.sleep(40)
        consumer.drain()
    assert queue.violations == []  # of requests that overlap
    if isinstance(outcome, Ack):
        assert queue.deleted == ["one"]
    else:
        assert queue.messages["m1"].visible_at == pytest.approx(534, abs=2)


@pytest.mark.parametrize(("outcome", "action"), [(Ack(), "delete"), (Retry(500.0), "change_visibility")])
async def test_no_extension_starts_during_a_delete_or_a_backoff(queue, consuming, outcome, action):
    """Rule 10."""
    queue.send("one")
    queue.fault(action, 12.0)
    async with consuming(handling(25, outcome), visibility_seconds=60) as consumer:
        await asyncio.sleep(45)
        consumer.drain()
    assert queue.violations == []
    extensions = [request for request in queue.asked("change_visibility") if request.what[0][1] == 60]
    assert extensions == []


async def test_heartbeat_extends_an_ack_between_its_retries(queue, consuming):
    """Rule 10."""
    queue.send("one")
    queue.fault("delete", *[QueueUnavailable("broken")] * 8)
    async with consuming(handling(1), visibility_seconds=10):
        await asyncio.sleep(200)
    assert queue.deleted == ["one"]
    times = [request.at for request in queue.asked("delete")]
    assert len(times) == 9
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
