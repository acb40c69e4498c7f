"""The supervisor of a state folder: one process at a time, and the ports of its parts."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter, ValidationError

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports

_FILE = "supervisor.json"
"""Locked while a supervisor runs; the kernel releases the lock however the process dies."""

_PARTS_FILE = "parts.lock"
"""Locked while any of its parts runs: each inherits the lock."""


@dataclass(frozen=True)
class Supervisor:
    """A supervisor and the ports of its parts."""

    pid: int
    ports: Ports


_JSON = TypeAdapter(Supervisor)


class Supervision:
    """The right to start the parts of a state folder, once the previous supervisor's parts have exited."""

    def __init__(self, killed: Supervisor | None, parts: TextIO) -> None:
        self.killed = killed
        """The previous supervisor, if it was killed rather than stopped."""
        self._parts = parts

    def take_over(self) -> bool:
        """Take the lock that parts started from now on inherit; False while earlier parts still hold it."""
        if not try_lock(self._parts):
            return False
        os.set_inheritable(self._parts.fileno(), True)
        return True


@contextmanager
def supervise(folder: Path, ports: Ports) -> Iterator[Supervision]:
    """Become the only supervisor of a state folder.

    Raises:
        LocalStackError: another process supervises the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("a+") as file, (folder / _PARTS_FILE).open("a") as parts:
        if not try_lock(file):
            other = _read(file)
            stop = f"`kill {other.pid}`" if other else "SIGTERM"
            raise LocalStackError(
                f"a local stack is already running in {folder}: use it, or stop it with Ctrl-C or {stop}"
            )
        killed = _read(file)
        _write(file, _JSON.dump_json(Supervisor(os.getpid(), ports)).decode())
        try:
            yield Supervision(killed, parts)
        finally:
            _write(file, "")


def find_supervisor(folder: Path) -> Supervisor:
    """Return the supervisor of a state folder.

    Raises:
        LocalStackError: it has none.
    """
    try:
        with (folder / _FILE).open("r+") as file:
            found = None if try_lock(file) else _read(file)
    except FileNotFoundError:
        found = None
    if found is None:
        raise LocalStackError(f"no local stack is running in {folder}: start one with `make run`")
    return found


def try_lock(file: TextIO) -> bool:
    """Take the lock on a file until it is closed; return False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: TextIO) -> Supervisor | None:
    file.seek(0)
    try:
        return _JSON.validate_json(file.read())
    except ValidationError:  # empty after a clean stop, or truncated by a crash of the machine
        return None


def _write(file: TextIO, content: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
