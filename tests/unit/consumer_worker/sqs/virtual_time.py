"""An event loop whose time passes only while everything waits, and then at once to the next timer."""

import asyncio
import selectors
from typing import Any


class _NeverWaits(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, this moves the clock there."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Truth about timers, in no time; no sockets."""

    def __init__(self) -> None:
        self._selector_clock = _NeverWaits()
        super().__init__(self._selector_clock)

    def time(self) -> float:
        return self._selector_clock.now

    def stand_still(self, seconds: float) -> None:
        self._selector_clock.now += seconds


def now() -> float:
    """Return the running loop's time, from 0."""
    return asyncio.get_running_loop().time()


def stand_still(seconds: float) -> None:
    """Let time pass without any task getting a turn, as it does for a process between SIGSTOP and SIGCONT."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.stand_still(seconds)
