"""How messages flow through the consumer: how many fit, which is next, which requests share a batch."""

import asyncio
import contextlib
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumer_worker.sqs.queue import BATCH_SIZE, Entry

T = TypeVar("T")

SLACK_SECONDS = 30.0
"""How late a loop may be before it counts as hanging; longer than any request's timeout."""


class Permits:
    """Limits how many messages are held at once: each one asked for has a permit first."""

    def __init__(self, total: int) -> None:
        self.free = total
        self.lent = 0
        """Permits in addition to the total, for messages that wait although a handler is free."""
        self._total = total
        self._closed = False
        self._turn = asyncio.Lock()
        self._wanted = 0
        self._enough = asyncio.Event()

    async def reserve(self, max_count: int, wait_seconds: float) -> int:
        """Take up to `max_count` permits: wait for the first without a limit, `wait_seconds` for the rest.

        Returns how many were taken; 0 once closed. One caller at a time, so that permits add up to a full
        batch.
        """
        async with self._turn:
            await self._until_free(1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._until_free(min(max_count, self._total))
            taken = 0 if self._closed else min(max_count, self.free)
            self.free -= taken
            return taken

    async def _until_free(self, count: int) -> None:
        while self.free < count and not self._closed:
            self._wanted = count
            self._enough.clear()
            await self._enough.wait()

    def give_back(self, count: int) -> None:
        """Return permits: those that no message came for, and each message's at its end."""
        self.free += count
        if self.free >= self._wanted:
            self._enough.set()

    def lend(self, count: int) -> None:
        """Add permits for messages that wait, so that others can be received."""
        self.lent += count
        self.give_back(count)

    def give_back_ended(self, still_waiting: int) -> None:
        """Return an ended message's permit; it repays a lent one if fewer wait than were lent."""
        if self.lent > still_waiting:
            self.lent -= 1
        else:
            self.give_back(1)

    def close(self) -> None:
        """End all waiting: from now on `reserve` returns 0."""
        self._closed = True
        self._enough.set()


class FairBuffer(Generic[T]):
    """Items that wait for a handler; the group with the fewest running is next, in turn among equals."""

    def __init__(self, max_running_per_group: int | None) -> None:
        self._max_running = max_running_per_group
        self._waiting: dict[str | None, deque[T]] = {}
        self._running: Counter[str | None] = Counter()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, group: str | None, item: T) -> None:
        """Append an item to those that wait in its group."""
        self._waiting.setdefault(group, deque()).append(item)
        self._size += 1

    def pop(self) -> T | None:
        """Take the next item whose group may have one more running; items of no group have no limit."""
        groups = [group for group in self._waiting if self._may_start(group)]
        if not groups:
            return None
        group = min(groups, key=self._running.__getitem__)
        waiting = self._waiting.pop(group)
        item = waiting.popleft()
        if waiting:
            self._waiting[group] = waiting  # its group goes to the end of the turn
        self._size -= 1
        self._running[group] += 1
        return item

    def finished(self, group: str | None) -> None:
        """Count one popped item of the group as no longer running."""
        self._running[group] -= 1
        if not self._running[group]:
            del self._running[group]

    def discard(self, group: str | None, item: T) -> None:
        """Remove an item, if it still waits."""
        waiting = self._waiting.get(group, deque())
        if item in waiting:
            waiting.remove(item)
            self._size -= 1
        if not waiting:
            self._waiting.pop(group, None)

    def pop_newest(self) -> T:
        """Take the newest item of the group with the most waiting; it does not count as running.

        Raises:
            ValueError: no item waits.
        """
        group = max(self._waiting, key=lambda group: len(self._waiting[group]))
        item = self._waiting[group].pop()
        if not self._waiting[group]:
            del self._waiting[group]
        self._size -= 1
        return item

    def clear(self) -> list[T]:
        """Remove and return all items, each group's in order of arrival."""
        items = [item for waiting in self._waiting.values() for item in waiting]
        self._waiting.clear()
        self._size = 0
        return items

    def _may_start(self, group: str | None) -> bool:
        return self._max_running is None or group is None or self._running[group] < self._max_running


class Batcher(Generic[T]):
    """Sends entries in batches of ten, or fewer once the first has waited `wait_seconds`."""

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
        self._sending: list[float] = []

    @property
    def due(self) -> float:
        """When the oldest entry must have its result; later than that, something hangs."""
        return min(self._due, *self._sending, math.inf)

    def submit(self, entry: T) -> asyncio.Future[Entry]:
        """Return a future with the entry's result."""
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
            self._tasks.create_task(self._send_batch(batch, self._due))
        self._waiting, self._timer, self._due = [], None, math.inf

    async def _send_batch(self, batch: Sequence[tuple[T, asyncio.Future[Entry]]], due: float) -> None:
        self._sending.append(due)
        try:
            results = await self._send([entry for entry, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        finally:
            self._sending.remove(due)
            for _, future in batch:
                future.cancel()  # has no effect on one that has its result
