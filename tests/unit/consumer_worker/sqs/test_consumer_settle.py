"""How the consumer settles messages: acks, failures, and what lets a handler act once (rules 11 to 18)."""

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consumer_worker.sqs.consumer import Handler
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack, Park, Release, Retry
from consumer_worker.sqs.queue import Entry, QueueRefused, QueueUnavailable
from tests.unit.consumer_worker.sqs.fake_queue import Stored
from tests.unit.consumer_worker.sqs.virtual_time import now

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["virtual"])


def answering(outcome: Any) -> Handler:
    async def handle(_: Delivery) -> Any:
        await asyncio.sleep(0.01)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return handle


async def test_deletes_go_out_at_ten_or_after_fifty_milliseconds(queue, consuming):
    """Rule 11."""
    queue.send(*map(str, range(23)))
    async with consuming(answering(Ack())):
        await asyncio.sleep(1)
    deletes = queue.asked("delete")
    assert [len(request.what) for request in deletes] == [10, 10, 3]
    # all are handled by 0.05 s; the last three wait for the 50 ms
    assert deletes[0].at == pytest.approx(0.03, abs=0.001)
    assert deletes[2].at == pytest.approx(deletes[1].at + 0.05, abs=0.021)


async def test_message_received_twice_in_a_batch_keeps_both_receipts(queue, consuming):
    """Rule 11."""
    queue.send("one")
    queue._wait_for_visible = twice(queue._wait_for_visible)
    receipts: list[Any] = []

    async def handle(delivery):
        receipts.append(delivery.receipt_handle)
        return Ack()

    async with consuming(handle):
        await asyncio.sleep(1)
    assert sorted(receipts) == ["m1#1", "m1#2"]
    assert sorted(queue.asked("delete")[0].what) == ["m1#1", "m1#2"]


def twice(wait_for_visible: Callable[[float], Awaitable[list[Stored]]]) -> Any:
    async def wait(until: float) -> list[Stored]:
        ready = await wait_for_visible(until)
        return [stored for stored in ready for _ in range(2)]

    return wait


async def test_failed_entry_is_deleted_again_alone(queue, consuming):
    """Rule 12."""
    queue.send("a", "b", "c")
    queue.fault(
        "delete", lambda receipts: [queue._delete(receipts[0]), Entry.FAILED, queue._delete(receipts[2])]
    )
    async with consuming(answering(Ack())):
        await asyncio.sleep(10)
    assert sorted(queue.deleted) == ["a", "b", "c"]
    assert [len(request.what) for request in queue.asked("delete")] == [3, 1]


async def test_delete_is_retried_until_the_lease_ends(queue, consuming, sample):
    """Rule 12."""
    queue.send("one")
    queue.fault("delete", *[QueueUnavailable("broken")] * 1000)
    queue.fault("change_visibility", *[QueueUnavailable("broken")] * 1000)
    async with consuming(answering(Ack()), visibility_seconds=60, request_retry_cap_seconds=4.0) as consumer:
        await asyncio.sleep(59)
        deletes = queue.asked("delete")
        assert len(deletes) > 10
        assert deletes[-1].at < 60
        assert sample("deliveries_total", state="lease_lost") == 1
        consumer.drain()


async def test_invalid_receipt_counts_as_deleted(queue, consuming, sample):
    """Rule 12."""
    queue.send("one")
    queue.fault("delete", lambda _: [Entry.GONE])
    async with consuming(answering(Ack())) as consumer:
        await asyncio.sleep(5)
        assert len(queue.asked("delete")) == 1
        assert sample("deliveries_total", state="deleted") == 1
        consumer.drain()


async def test_refused_delete_is_not_retried(queue, consuming, sample):
    """Rule 12."""
    queue.send("one")
    queue.fault("delete", lambda _: [Entry.REFUSED])
    async with consuming(answering(Ack())) as consumer:
        await asyncio.sleep(30)
        assert len(queue.asked("delete")) == 1
        assert sample("deliveries_total", state="deleted") == 0
        assert sample("leases_lost_total") == 1
        consumer.drain()


async def test_message_that_returns_after_its_delete_is_handled_again(queue, consuming):
    """Rule 13."""
    queue.send("one")
    queue.fault("delete", lambda receipts: [Entry.DONE] * len(receipts))  # but nothing is deleted
    counts: list[Any] = []

    async def handle(delivery):
        counts.append(delivery.receive_count)
        return Ack()

    async with consuming(handle, visibility_seconds=30):
        await asyncio.sleep(40)
    assert counts == [1, 2]
    assert queue.deleted == ["one"]


async def test_retry_backs_off_with_full_jitter(queue, consuming):
    """Rule 14."""
    queue.send(*map(str, range(40)))
    async with consuming(answering(Retry()), retry_base_seconds=100.0, retry_cap_seconds=300.0) as consumer:
        await asyncio.sleep(250)
        consumer.drain()
    delays: dict[int, list[int]] = {count: [] for count in (1, 2, 3)}
    for receipt, seconds in itertools.chain.from_iterable(r.what for r in queue.asked("change_visibility")):
        if (count := int(receipt.split("#")[1])) in delays:
            delays[count].append(seconds)
    for count, cap in ((1, 100), (2, 200), (3, 300)):
        assert all(0 <= delay <= cap for delay in delays[count])
        assert max(delays[count]) > cap / 2
    assert min(delays[1]) < 25
    assert len(set(delays[1])) > 20


async def test_backoffs_are_sent_in_batches(queue, consuming):
    """Rule 14."""
    queue.send(*map(str, range(20)))
    async with consuming(answering(Retry(50.0))) as consumer:
        await asyncio.sleep(1)
        assert [len(request.what) for request in queue.asked("change_visibility")] == [10, 10]
        consumer.drain()


async def test_backoff_after_thousands_of_receives_is_capped(queue, consuming):
    """Rule 14."""
    queue.send("old")
    queue.messages["m1"].receive_count = 5_000
    async with consuming(answering(Retry()), retry_base_seconds=1.0, retry_cap_seconds=10.0) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
    ((_, seconds),) = queue.asked("change_visibility")[0].what
    assert 0 <= seconds <= 10


@pytest.mark.parametrize(
    "error", [RuntimeError("unknown"), TimeoutError(), QueueUnavailable("not ours"), None]
)
async def test_unknown_error_is_transient(queue, consuming, sample, error):
    """Rule 14."""
    queue.send("one")
    async with consuming(answering(error), retry_base_seconds=600.0) as consumer:
        await asyncio.sleep(1)
        assert sample("deliveries_total", state="backoff") == 1
        consumer.drain()
    assert list(queue.messages) == ["m1"]


async def test_parked_message_is_sent_with_its_reason_then_deleted(queue, consuming, sample):
    """Rule 14."""
    queue.send("poison", group="tenant", traceparent="00-1")
    async with consuming(answering(Park("not JSON"))) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
    ((message, reason),) = queue.parked
    assert (message.body, message.message_attributes, reason) == (
        "poison",
        {"traceparent": "00-1"},
        "not JSON",
    )
    assert queue.deleted == ["poison"]
    parked, deleted = queue.asked("park")[0], queue.asked("delete")[0]
    assert parked.at < deleted.at
    assert sample("deliveries_total", state="parked") == 1


@pytest.mark.parametrize("error", [QueueUnavailable("broken"), QueueRefused("denied")])
async def test_message_that_cannot_be_parked_is_not_deleted(queue, consuming, error):
    """Rule 14."""
    queue.send("poison")
    queue.fault("park", error)
    async with consuming(answering(Park("not JSON")), retry_base_seconds=5.0):
        await asyncio.sleep(20)
    assert queue.deleted == ["poison"]
    assert [message.attributes["ApproximateReceiveCount"] for message, _ in queue.parked] == ["2"]


async def test_each_retry_raises_the_receive_count(queue, consuming, sample):
    """Rule 15."""
    queue.send("one")
    counts: list[Any] = []

    async def handle(delivery):
        counts.append(delivery.receive_count)
        return Ack() if len(counts) == 5 else Retry(1.0)

    async with consuming(handle):
        await asyncio.sleep(30)
    assert counts == [1, 2, 3, 4, 5]
    assert sample("deliveries_total", state="backoff") == 4
    assert sample("deliveries_total", state="deleted") == 1


async def test_handlers_share_no_context(queue, consuming):
    """Rule 16."""
    queue.send(*map(str, range(50)))
    bound = contextvars.ContextVar("bound", default=None)
    seen: list[Any] = []

    async def handle(delivery):
        seen.append(bound.get())
        bound.set(delivery.body)
        delivery.on_extended = None
        await asyncio.sleep(0.05)
        if delivery.body == "13":
            return Park(delivery.body)
        return Ack()

    async with consuming(handle, max_handlers=3, prefetch=20):
        await asyncio.sleep(10)
    assert seen == [None] * 50
    assert [reason for _, reason in queue.parked] == ["13"]


async def test_released_delivery_raises_the_receive_count(queue, consuming):
    """Rule 17."""
    queue.send("a", "b", "c")
    async with consuming(answering(Ack()), max_handlers=1, prefetch=20):
        await asyncio.sleep(0.025)
    assert queue.visible() == ["b", "c"]
    counts: list[Any] = []

    async def handle(delivery):
        counts.append(delivery.receive_count)
        return Ack()

    async with consuming(handle):
        await asyncio.sleep(1)
    assert counts == [2, 2]


async def test_handler_releases_a_message_for_other_consumers_at_once(queue, consuming, sample):
    """Rule 14."""
    queue.send("one")
    outcomes = iter([Release("the database is unavailable"), Ack()])

    async def handle(_):
        return next(outcomes)

    async with consuming(handle, retry_base_seconds=600.0):
        await asyncio.sleep(1)
    assert queue.asked("change_visibility")[0].what == [("m1#1", 0)]
    assert queue.deleted == ["one"]
    assert sample("deliveries_total", state="released") == 1
    assert sample("deliveries_total", state="backoff") == 0


async def test_handler_sets_the_delay_of_a_retry(queue, consuming):
    """Rule 18."""
    queue.send("one")
    async with consuming(answering(Retry(77.0, reason="held elsewhere"))) as consumer:
        await asyncio.sleep(1)
        consumer.drain()
    assert queue.asked("change_visibility")[0].what == [("m1#1", 77)]


async def test_handler_renews_its_own_lease_at_each_extension(queue, consuming):
    """Rule 18."""
    queue.send("one")
    renewals: list[Any] = []

    async def handle(delivery):
        async def renew(seconds):
            renewals.append((now(), seconds, queue.lease_deadline(delivery.receipt_handle)))
            if len(renewals) == 1:
                raise ConnectionError("the database is unavailable")

        delivery.on_extended = renew
        await asyncio.sleep(100)
        return Ack()

    async with consuming(handle, visibility_seconds=60):
        await asyncio.sleep(130)
    assert len(renewals) == 3  # at 30, 60 and 90 s; an error in one neither stops it nor the message
    for at, seconds, real_deadline in renewals:
        assert 59 < seconds <= 60
        assert at + seconds <= real_deadline
    assert queue.deleted == ["one"]


async def test_handler_is_stopped_by_its_own_renewal(queue, consuming):
    """Rule 18."""
    queue.send("one")

    async def handle(delivery):
        async def overtaken(_):
            delivery.stop_handler(Retry(500.0, reason="overtaken"))

        delivery.on_extended = overtaken
        await asyncio.sleep(100)
        return Ack()

    async with consuming(handle, visibility_seconds=60) as consumer:
        await asyncio.sleep(40)
        consumer.drain()
    assert queue.messages["m1"].visible_at == pytest.approx(530, abs=1)
