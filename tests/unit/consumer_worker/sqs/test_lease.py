"""Rules 5 to 10: the lease, its heartbeat, its loss and its end."""

import asyncio
import itertools
from typing import Any

import pytest

from consumer_worker.sqs.consumer import Handler
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Outcome, Retry
from consumer_worker.sqs.queue import MAX_VISIBILITY_SECONDS, Entry, QueueUnavailable
from consumer_worker.sqs.settings import ConsumerSettings
from tests.unit.consumer_worker.sqs.virtual_time import now, stand_still

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
async def test_rule_05_the_local_deadline_never_outlasts_the_real_one(queue, consuming, answer_takes):
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
    assert max(seen) <= 30 + answer_takes  # while an answer is awaited the old deadline stands


async def test_rule_05_a_receive_counts_from_its_answer_less_a_round_trip(queue, consuming):
    left: list[Any] = []

    async def handle(delivery):
        left.append(delivery.lease_seconds_left())
        return Ack()

    async with consuming(handle, visibility_seconds=60):
        await asyncio.sleep(15)  # the long poll is 15 s old when the message comes
        queue.send("one")
        await asyncio.sleep(1)
    assert left == [pytest.approx(59, abs=0.01)]


@pytest.mark.parametrize(
    ("answer_takes", "bound"),
    [(0.02, 1.0), (10.0, 6.0)],
    ids=["the poll notices first", "the heartbeat notices first"],
)
async def test_rule_05_an_answer_that_waited_while_the_process_stood_still_counts_from_before(
    queue, consuming, answer_takes, bound
):
    queue.round_trip = answer_takes
    seen: list[Any] = []

    async def handle(delivery):
        seen.append(queue.lease_deadline(delivery.receipt_handle) - delivery.lease_deadline)
        return Ack()

    async with consuming(handle, visibility_seconds=60, round_trip_seconds=bound) as consumer:
        await asyncio.sleep(10)
        queue.send("one")
        await asyncio.sleep(0.001)  # handed out, the answer on its way
        stand_still(45)
        await asyncio.sleep(0.1)
        consumer.drain()
    assert len(seen) == 1
    assert seen[0] >= 0


async def test_rule_06_leases_are_extended_at_half_in_batches_of_ten(queue, consuming):
    queue.send(*map(str, range(25)))
    async with consuming(handling(100), visibility_seconds=60):
        await asyncio.sleep(110)
    assert len(queue.deleted) == 25
    extensions = queue.asked("change_visibility")
    assert [len(request.what) for request in extensions] == [10, 10, 5] * 3
    assert all(seconds == 60 for request in extensions for _, seconds in request.what)
    assert 28 <= extensions[0].at <= 33


async def test_rule_06_twenty_messages_of_two_and_a_half_visibilities_take_few_requests(queue, consuming):
    queue.send(*map(str, range(20)))
    log: list[Any] = []
    async with consuming(handling(5, log=log), visibility_seconds=2):
        await asyncio.sleep(7)
    assert len(log) == len(queue.deleted) == 20  # none twice
    assert len(queue.asked("change_visibility")) <= 10


async def test_rule_06_the_heartbeat_keeps_what_is_buffered_and_what_awaits_its_ack(queue, consuming):
    queue.send("running", "buffered")
    queue.fault("delete", *[QueueUnavailable("broken")] * 12)
    log: list[Any] = []
    async with consuming(handling(50, log=log), max_handlers=1, prefetch=20, visibility_seconds=20):
        await asyncio.sleep(300)
    assert [(what, body) for what, body, _ in log] == [("finished", "running"), ("finished", "buffered")]
    assert sorted(queue.deleted) == ["buffered", "running"]


async def test_rule_06_a_deadline_moves_only_after_its_own_entry_succeeded(queue, consuming):
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


@pytest.mark.parametrize(
    "times",
    [
        {"heartbeat_seconds": 0},
        {"heartbeat_seconds": 30.0},
        {"lease_margin_seconds": 150.0},
        {"extend_below_seconds": 300.0},
        {"extend_below_seconds": 30.0},
        {"visibility_seconds": 150},
        {"max_handling_seconds": 200.0},
        {"max_handling_seconds": 43_201.0},
        {"max_handlers": 0},
        {"prefetch": -1},
        {"max_receivers": 0},
        {"max_handlers_per_group": 0},
        {"long_poll_seconds": 21},
        {"round_trip_seconds": -1.0},
        {"ack_wait_seconds": -0.1},
        {"retry_base_seconds": 0},
        {"retry_cap_seconds": 50_000.0},
        {"request_retry_base_seconds": 0},
        {"grace_margin_seconds": 30.0},
        {"poll_drain_seconds": -1.0},
    ],
)
async def test_rule_06_settings_that_could_not_keep_a_lease_are_refused(settings_with, times):
    with pytest.raises(ValueError, match=next(iter(times))):
        settings_with(**times)


@pytest.mark.parametrize("visibility", [1, 2, 30, 300, 43_200])
async def test_rule_06_settings_fit_any_visibility(visibility):
    settings = ConsumerSettings.for_visibility(visibility)
    assert 0 < settings.heartbeat_seconds < settings.extend_below_seconds < visibility


async def test_rule_07_a_transient_failure_to_extend_is_tried_again_and_the_handler_keeps_running(
    queue, consuming
):
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


async def test_rule_07_extending_is_tried_until_the_deadline_less_a_margin_then_the_handler_is_cancelled(
    queue, consuming
):
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


async def test_rule_07_a_receipt_that_sqs_no_longer_knows_cancels_the_handler_and_is_left_alone(
    queue, consuming, sample
):
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


async def test_rule_07_a_deadline_that_passed_while_the_process_stood_still_is_a_lost_lease(
    queue, consuming, sample
):
    queue.send("one")
    log: list[Any] = []
    async with consuming(handling(40, log=log), visibility_seconds=60):
        await asyncio.sleep(5)
        stand_still(70)
        await asyncio.sleep(0.01)
        assert sample("deliveries_total", state="lease_lost") == 1
        await asyncio.sleep(60)
    assert queue.deleted == ["one"]
    assert [what for what, *_ in log][-1] == "finished"


async def test_rule_07_a_handler_that_ends_as_the_process_wakes_after_its_lease_is_not_acknowledged(
    queue, consuming
):
    queue.send("one")
    async with consuming(handling(5.5), visibility_seconds=60) as consumer:
        await asyncio.sleep(5.2)  # the handler ends before the heartbeat looks, at 6 s
        stand_still(70)
        await asyncio.sleep(0.1)
        consumer.drain()
    assert all("m1#1" not in request.what for request in queue.asked("delete"))


async def test_rule_07_a_handler_that_ends_after_its_lease_is_not_acknowledged(queue, consuming, sample):
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
        consumer.release()


async def test_rule_08_a_buffered_message_with_too_little_lease_is_extended_before_it_starts(
    queue, consuming
):
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


async def test_rule_08_or_dropped_if_it_cannot_be_extended(queue, consuming, sample):
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


async def test_rule_08_a_buffered_message_whose_lease_is_lost_never_starts(queue, consuming):
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


async def test_rule_09_visibility_never_goes_beyond_twelve_hours_from_the_receive(queue, consuming):
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
        consumer.release()


async def test_rule_09_a_handler_is_cancelled_at_its_maximum_time_and_its_message_tried_again(
    queue, consuming, sample
):
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
        consumer.release()


@pytest.mark.parametrize("delay", [40_000.0, 43_200.0])
async def test_rule_09_a_long_backoff_stays_within_the_twelve_hours(queue, consuming, delay):
    queue.send("one")
    async with consuming(handling(3_400, Retry(delay)), visibility_seconds=300) as consumer:
        await asyncio.sleep(3_500)
        consumer.drain()
    assert queue.violations == []
    assert 39_000 < queue.messages["m1"].visible_at <= MAX_VISIBILITY_SECONDS


@pytest.mark.parametrize("outcome", [Ack(), Retry(500.0)])
async def test_rule_10_an_extension_in_the_air_lands_before_a_delete_or_a_backoff(queue, consuming, outcome):
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
async def test_rule_10_no_extension_starts_while_a_delete_or_a_backoff_is_in_the_air(
    queue, consuming, outcome, action
):
    queue.send("one")
    queue.fault(action, 12.0)
    async with consuming(handling(25, outcome), visibility_seconds=60) as consumer:
        await asyncio.sleep(45)
        consumer.drain()
    assert queue.violations == []
    extensions = [request for request in queue.asked("change_visibility") if request.what[0][1] == 60]
    assert extensions == []


async def test_rule_10_an_ack_that_waits_for_its_next_try_is_kept_by_the_heartbeat(queue, consuming):
    queue.send("one")
    queue.fault("delete", *[QueueUnavailable("broken")] * 8)
    async with consuming(handling(1), visibility_seconds=10):
        await asyncio.sleep(200)
    assert queue.deleted == ["one"]
    times = [request.at for request in queue.asked("delete")]
    assert len(times) == 9
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
