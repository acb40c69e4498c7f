"""Signals that end a command: whenever they come, it ends with a line, and nothing it started is left.

Only the standard library is imported here: this must be in place before the imports that take a second.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Receives the signals: before the work they end the process, during it they cancel it, then do nothing.

    asyncio's own handlers do not last as long: it removes them with its loop, before the last line.
    """

    def __init__(self) -> None:
        self._last_line = ""
        self._cancel: Callable[[], object] | None = None
        self._working_or_done = False

    def install(self, last_line: str) -> None:
        """Receive the signals from now on; `last_line` is printed if one comes before the work begins.

        A SIGHUP that is ignored (nohup) stays ignored.
        """
        self._last_line = last_line
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._receive)

    def run(self, work: Coroutine[None, None, None], print_line: Callable[[str], None]) -> bool:
        """Run the work until it ends or a signal cancels it; return whether one did."""
        return asyncio.run(self._run(work, print_line))

    def finish(self) -> None:
        """Ignore the signals from now on; as Python ends, it resets a handler to the default, which kills."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    async def _run(self, work: Coroutine[None, None, None], print_line: Callable[[str], None]) -> bool:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        interrupted = False

        def cancel() -> None:
            nonlocal interrupted
            if interrupted:  # a second cancellation would interrupt the cleanup
                print_line("Still stopping: the parts have up to 20 s each…")
            elif not task.done():
                interrupted = True
                task.cancel()
                print_line("\nStopping…")

        self._cancel = lambda: loop.call_soon_threadsafe(cancel)
        self._working_or_done = True
        await asyncio.wait([task])
        self._cancel = None
        if task.cancelled():
            return True
        task.result()
        return interrupted

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self._cancel is not None:
            self._cancel()
        elif not self._working_or_done:
            with suppress(OSError):  # the terminal may be closed
                os.write(1, f"\n{self._last_line}\n".encode())
            os._exit(1)  # nothing was started, and an import cannot be cancelled


INTERRUPTION = Interruption()
"""Of this process, as its signals are."""
