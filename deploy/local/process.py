"""A child process of the local stack: logged, stopped cleanly, never outliving its parent."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.local.errors import LocalStackError

STOP_TIMEOUT_SECONDS = 20.0
"""From the signal to stop to SIGKILL."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """One program, run with its output in a log file.

    It has its own session, so that Ctrl-C reaches only the parent, which stops the parts in order. On Linux
    the kernel sends it `stop_signal` when the parent dies, however it dies.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        user: int | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = [str(argument) for argument in argv]
        self._env = dict(env)
        self._user = user
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the last start; None before the first."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, or start it again after it ended; the log is appended to.

        Raises:
            LocalStackError: the program cannot be run.
        """
        parent = os.getpid()

        def tie_to_parent() -> None:
            if _libc is not None:
                _libc.prctl(_PR_SET_PDEATHSIG, self._stop_signal)
                if os.getppid() != parent:  # it died before the line above
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                starting = asyncio.ensure_future(
                    asyncio.create_subprocess_exec(
                        *self._argv,
                        env=self._env,
                        cwd=self._cwd,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=log,
                        stderr=asyncio.subprocess.STDOUT,
                        close_fds=False,  # passes on only what is inheritable: the parts' lock
                        start_new_session=True,
                        user=self._user,
                        group=self._user,
                        extra_groups=None if self._user is None else [],
                        preexec_fn=tie_to_parent,
                    )
                )
                try:
                    self._process = await asyncio.shield(starting)
                except asyncio.CancelledError:
                    self._process = await starting  # so that `stop` knows it
                    raise
        except OSError as error:
            raise LocalStackError(f"{self.name} cannot be started: {error}") from error

    async def wait(self) -> int:
        """Wait until it exits and return the exit code."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop; kill it if it has not within `STOP_TIMEOUT_SECONDS`."""
        if self._process is None:
            return
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(self._stop_signal)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()

    async def kill(self) -> None:
        """End it and every process of its session at once: a program whose unfinished work is dropped."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def last_lines(self, count: int = 5) -> str:
        """Return the end of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""
