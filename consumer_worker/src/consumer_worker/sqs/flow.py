"""How messages flow through the consumer: the room there is for them, who is next, what travels together."""

import asyncio
import contextlib
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumer_worker.sqs.queue import BATCH_SIZE, Entry

T = TypeVar("T")

SLACK_SECONDS = 30.0
"""How much later than due a loop may show itself before it counts as hanging; above any request's timeout."""


class Permits:
    """The right to hold so many messages at once: no message is asked for without room for it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._closed = False
        self._turn = asyncio.Lock()
        self._wanted = 0
        self._enough = asyncio.Event()

    async def reserve(self, most: int, patience_seconds: float) -> int:
        """Take up to `most` permits, waiting for the first as long as it takes and a little for the others.

        Returns how many; 0 once closed. One taker at a time, so that they gather for a full batch.
        """
        async with self._turn:
            await self._until_free(1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_seconds):
                    await self._until_free(min(most, self.total))
            taken = 0 if self._closed else min(most, self.free)
            self.free -= taken
            return taken

    async def _until_free(self, count: int) -> None:
        while self.free < count and not self._closed:
            self._wanted = count
            self._enough.clear()
            await self._enough.wait()

    def give_back(self, count: int) -> None:
        """Return permits: those no message came for, and each message's at its end."""
        self.free += count
        if self.free >= self._wanted:
            self._enough.set()

    def close(self) -> None:
        """Let nobody reserve any more, nor wait for it."""
        self._closed = True
        self._enough.set()


class FairBuffer(Generic[T]):
    """Items waiting for a handler; the next is of the group with the fewest running, in turn among equals."""

    def __init__(self, max_running_per_group: int | None) -> None:
        self._most = max_running_per_group
        self._waiting: dict[str | None, deque[T]] = {}
        self._running: Counter[str | None] = Counter()

    def add(self, group: str | None, item: T) -> None:
        """Let an item wait, behind those of its group."""
        self._waiting.setdefault(group, deque()).append(item)

    def pop(self) -> T | None:
        """Take the next whose group may have one more running; what is of no group has no limit."""
        groups = [group for group in self._waiting if self._may_start(group)]
        if not groups:
            return None
        group = min(groups, key=self._running.__getitem__)
        waiting = self._waiting.pop(group)
        item = waiting.popleft()
        if waiting:
            self._waiting[group] = waiting  # last in turn
        self._running[group] += 1
        return item

    def finished(self, group: str | None) -> None:
        """Say that one of the group that was popped runs no more."""
        self._running[group] -= 1
        if not self._running[group]:
            del self._running[group]

    def discard(self, group: str | None, item: T) -> None:
        """Take an item out, if it still waits."""
        waiting = self._waiting.get(group, deque())
        if item in waiting:
            waiting.remove(item)
        if not waiting:
            self._waiting.pop(group, None)

    def clear(self) -> list[T]:
        """Take all, in the order they came within their groups."""
        items = [item for waiting in self._waiting.values() for item in waiting]
        self._waiting.clear()
        return items

    def _may_start(self, group: str | None) -> bool:
        return self._most is None or group is None or self._running[group] < self._most


class Batcher(Generic[T]):
    """Sends entries ten at a time, or fewer when the first has waited long enough."""

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[Entry]]],
        wait_seconds: float,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self._send = send
        self._wait_seconds = wait_seconds
        self._tasks = tasks
        self._clock = clock
        self._waiting: list[tuple[T, asyncio.Future[Entry]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._in_air: list[float] = []

    @property
    def due(self) -> float:
        """When the oldest entry must have been answered, or else something hangs."""
        return min(self._due, *self._in_air, math.inf)

    def submit(self, entry: T) -> asyncio.Future[Entry]:
        """Return a future of what became of the entry."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Entry] = loop.create_future()
        self._waiting.append((entry, future))
        if self._timer is None:
            self._timer = loop.call_later(self._wait_seconds, self._flush)
            self._due = self._clock() + self._wait_seconds + SLACK_SECONDS
        if len(self._waiting) == BATCH_SIZE:
            self._flush()
        return future

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        batch = [(entry, future) for entry, future in self._waiting if not future.cancelled()]
        if batch:
            self._tasks.create_task(self._deliver(batch, self._due))
        self._waiting, self._timer, self._due = [], None, math.inf

    async def _deliver(self, batch: Sequence[tuple[T, asyncio.Future[Entry]]], due: float) -> None:
        self._in_air.append(due)
        try:
            results = await self._send([entry for entry, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        finally:
            self._in_air.remove(due)
            for _, future in batch:
                future.cancel()  # unless it has its result
