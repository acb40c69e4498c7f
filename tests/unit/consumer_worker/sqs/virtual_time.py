"""An event loop that never sleeps: when every task waits, its clock jumps to the next timer."""

import asyncio
import selectors
from typing import Any


class _NeverWaits(selectors.DefaultSelector):
    """Moves the clock to the next timer where the loop would sleep until then."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs timers in their true order, in no time; without sockets."""

    def __init__(self) -> None:
        self._selector_clock = _NeverWaits()
        super().__init__(self._selector_clock)

    def time(self) -> float:
        return self._selector_clock.now

    def pause(self, seconds: float) -> None:
        self._selector_clock.now += seconds


def now() -> float:
    """Return the running loop's time, from 0."""
    return asyncio.get_running_loop().time()


def pause(seconds: float) -> None:
    """Let time pass while no task runs, as for a process between SIGSTOP and SIGCONT."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.pause(seconds)
