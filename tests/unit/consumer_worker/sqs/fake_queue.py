"""A standard SQS queue in virtual time: it keeps visibility as AWS does, and records its requests.

Mistakes that SQS would not report (overlapping requests about one receipt, for example) are collected in
`violations`.
"""

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from consumer_worker.sqs.queue import MAX_VISIBILITY_SECONDS, Entry, Message

Action = Literal["receive", "delete", "change_visibility", "park"]
Fault = Exception | Callable[[Any], list[Entry]] | float
"""An error to raise, a function that returns the entries' results, or seconds to wait before acting."""


class Request(NamedTuple):
    """One request as it arrived."""

    at: float
    action: Action
    what: Any
    """For a receive the number asked for, else the receipts or (receipt, seconds) pairs."""


@dataclass
class Stored:
    """A message, and the receipt and lease of its last receive."""

    body: str
    message_id: str
    attributes: dict[str, str] = field(default_factory=dict)
    message_attributes: dict[str, str] = field(default_factory=dict)
    visible_at: float = 0.0
    received_at: float = 0.0
    receive_count: int = 0
    receipt: str = ""

    @property
    def group(self) -> str | None:
        return self.attributes.get("MessageGroupId")


class FakeQueue:
    """See the module."""

    name = "fake"

    def __init__(self, round_trip: float = 0.02) -> None:
        self.round_trip = round_trip
        self.fair = True
        """As SQS's queues are: the message group with the fewest in flight comes first."""
        self.messages: dict[str, Stored] = {}
        self.parked: list[tuple[Message, str]] = []
        self.deleted: list[str] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.polls = 0
        self.abandoned_polls = 0
        self.max_polls = 0
        self._faults: dict[Action, list[Fault]] = defaultdict(list)
        self._ids = itertools.count(1)
        self._receipts_in_use: set[str] = set()
        self._arrived = asyncio.Event()

    def send(
        self,
        *bodies: str,
        group: str | None = None,
        sent_seconds_ago: float = 0.0,
        **message_attributes: str,
    ) -> None:
        sent_at = time.time() - sent_seconds_ago
        for body in bodies:
            message_id = f"m{next(self._ids)}"
            attributes = {"SentTimestamp": str(round(sent_at * 1000))}
            if group is not None:
                attributes["MessageGroupId"] = group
            self.messages[message_id] = Stored(body, message_id, attributes, message_attributes)
        self._arrived.set()

    def fault(self, action: Action, *faults: Fault) -> None:
        """Give each of the next requests of this kind one of these faults."""
        self._faults[action].extend(faults)

    def asked(self, action: Action) -> list[Request]:
        return [request for request in self.requests if request.action == action]

    def visible(self) -> list[str]:
        return [stored.body for stored in self.messages.values() if stored.visible_at <= _now()]

    def lease_deadline(self, receipt: str) -> float:
        """Return until when SQS hides the message from others; -inf if the receipt is no longer valid."""
        stored = self._held(receipt)
        return stored.visible_at if stored else float("-inf")

    async def receive(
        self, max_messages: int, *, wait_seconds: int, visibility_seconds: int
    ) -> list[Message]:
        self.polls += 1
        self.max_polls = max(self.max_polls, self.polls)
        try:
            async with self._request("receive", max_messages):
                ready = await self._wait_for_visible(_now() + wait_seconds)
                return [self._hand_out(stored, visibility_seconds) for stored in ready[:max_messages]]
        except asyncio.CancelledError:
            self.abandoned_polls += 1
            raise
        finally:
            self.polls -= 1

    async def delete(self, receipts: Sequence[str]) -> list[Entry]:
        async with self._request("delete", list(receipts), receipts) as planned:
            return planned or [self._delete(receipt) for receipt in receipts]

    async def change_visibility(self, changes: Sequence[tuple[str, int]]) -> list[Entry]:
        receipts = [receipt for receipt, _ in changes]
        async with self._request("change_visibility", list(changes), receipts) as planned:
            return planned or [self._change(receipt, seconds) for receipt, seconds in changes]

    async def park(self, message: Message, reason: str) -> None:
        async with self._request("park", message):
            self.parked.append((message, reason))

    @asynccontextmanager
    async def _request(self, action: Action, what: Any, receipts: Sequence[str] = ()):
        self.requests.append(Request(_now(), action, what))
        if len(receipts) > 10:
            self.violations.append(f"{action} of {len(receipts)} entries")
        for receipt in receipts:
            if receipt in self._receipts_in_use:
                self.violations.append(f"{action} overlaps another request about {receipt}")
        self._receipts_in_use.update(receipts)
        try:
            await asyncio.sleep(self.round_trip / 2)
            fault = self._faults[action].pop(0) if self._faults[action] else None
            if isinstance(fault, Exception):
                raise fault
            if isinstance(fault, float):
                await asyncio.sleep(fault)
            yield fault(what) if callable(fault) else None
            await asyncio.sleep(self.round_trip / 2)
        finally:
            self._receipts_in_use.difference_update(receipts)

    async def _wait_for_visible(self, until: float) -> list[Stored]:
        while True:
            ready = [stored for stored in self.messages.values() if stored.visible_at <= _now()]
            if ready or _now() >= until:
                return self._in_turn(ready) if self.fair else ready
            self._arrived.clear()
            next_visible = min((stored.visible_at for stored in self.messages.values()), default=until)
            try:
                async with asyncio.timeout_at(min(until, next_visible)):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    def _in_turn(self, ready: list[Stored]) -> list[Stored]:
        waiting = {stored.message_id for stored in ready}
        in_flight = Counter(
            stored.group for stored in self.messages.values() if stored.message_id not in waiting
        )
        return sorted(ready, key=lambda stored: in_flight[stored.group])

    def _hand_out(self, stored: Stored, visibility_seconds: int) -> Message:
        stored.receive_count += 1
        stored.receipt = f"{stored.message_id}#{stored.receive_count}"
        stored.received_at = _now()
        stored.visible_at = _now() + visibility_seconds
        return Message(
            message_id=stored.message_id,
            receipt_handle=stored.receipt,
            body=stored.body,
            attributes={**stored.attributes, "ApproximateReceiveCount": str(stored.receive_count)},
            message_attributes=stored.message_attributes,
        )

    def _held(self, receipt: str) -> Stored | None:
        stored = self.messages.get(receipt.split("#")[0])
        return stored if stored and stored.receipt == receipt and stored.visible_at > _now() else None

    def _delete(self, receipt: str) -> Entry:
        message_id = receipt.split("#")[0]
        stored = self.messages.get(message_id)
        if stored is not None and stored.receipt == receipt:
            del self.messages[message_id]
            self.deleted.append(stored.body)
        return Entry.DONE  # also for a stale receipt: a standard queue reports no error

    def _change(self, receipt: str, seconds: int) -> Entry:
        stored = self._held(receipt)
        if stored is None:
            return Entry.GONE
        if _now() + seconds > stored.received_at + MAX_VISIBILITY_SECONDS:
            self.violations.append(f"visibility of {receipt} beyond 12 hours")
            return Entry.GONE
        stored.visible_at = _now() + seconds
        self._arrived.set()
        return Entry.DONE


def _now() -> float:
    return asyncio.get_running_loop().time()
