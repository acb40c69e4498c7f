"""`python -m deploy.local …` as a user starts it: its own process, watched through its output."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deploy.local.ports import Ports

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 60.0

_SHELL = {
    "AWS_PROFILE": "of-an-account",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
}
"""Settings of a developer's shell, none of which may reach the stack."""


class Command:
    """A running command; its output is in a file, so that no full pipe blocks it."""

    def __init__(
        self, argv: Sequence[str], output: Path, checkout: Path = ROOT, prefix: Sequence[str] = ()
    ) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "deploy.local", *argv],
                cwd=checkout,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | _SHELL,
            )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        return self._output.read_text()

    def count(self, pattern: str) -> int:
        """Count the lines in which the regular expression is found."""
        return sum(re.search(pattern, line) is not None for line in self.output.splitlines())

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Wait until `count` lines match the pattern; fail at once if the command exits before."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.count(pattern) < count:
            assert self._process.poll() is None, f"it exited before it printed {pattern!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"it never printed {pattern!r}:\n{self.output}"
            time.sleep(0.05)

    def part(self, name: str) -> psutil.Process:
        """Return a part's process by a word of its command line."""
        children = psutil.Process(self.pid).children()
        (found,) = [child for child in children if any(name in word for word in _command_line(child))]
        return found

    def family(self) -> list[psutil.Process]:
        """Return every process it started, and those they started."""
        return list(psutil.Process(self.pid).children(recursive=True))

    def end(self, number: signal.Signals) -> int:
        """Send the signal, wait for the exit and return the exit code."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(TIMEOUT_SECONDS)


def find_living(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return those still running; an exited one stays a zombie until its exit code is read."""
    living = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended, and may still be a zombie
        return []


@contextmanager
def start_command(
    argv: Sequence[str], output: Path, checkout: Path = ROOT, prefix: Sequence[str] = ()
) -> Iterator[Command]:
    """Run a command; it and all it started are killed at the end of the block if still running.

    `prefix` precedes the command, to run it as another user.
    """
    command = Command(argv, output, checkout, prefix)
    try:
        yield command
    finally:
        if psutil.pid_exists(command.pid):
            family = command.family()
            command.end(signal.SIGKILL)
            for process in find_living(family):
                process.kill()


def find_free_offset() -> int:
    """Return a port offset at which every port is free."""
    while True:
        offset = random.randrange(10_000, 50_000)
        if Ports.documented(replicas=1, offset=offset).taken() is None:
            return offset
