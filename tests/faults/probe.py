"""Asks `GET <path>` every 10 ms in a process of its own; each round trip is a line: when, how many ms, how
many ms of CPU time the server's process spent meanwhile.

`python -m tests.faults.probe HOST PORT PATH PID [TOKEN]` until its input ends. Sockets that block, no event
loop: nothing but the other side, and the scheduler, is measured. A request that fails is a round trip of -1.
"""

import asyncio
import ctypes
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

PERIOD_SECONDS = 0.01
ANSWER_SECONDS = 60.0
EXPECTED_MS = 100


def main(host: str, port: int, path: str, pid: int, token: str = "") -> None:
    """Probe until standard input is closed or the process is killed."""
    cpu_clock = _cpu_clock(pid)
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n".encode()
    connection: socket.socket | None = None
    while True:
        began = time.perf_counter()
        try:
            if connection is None:
                connection = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                began = time.perf_counter()
            cpu_began = time.clock_gettime(cpu_clock)
            connection.sendall(request)
            if not _read_answer(connection):
                connection.close()
                connection = None
            taken = (time.perf_counter() - began) * 1000
            cpu = (time.clock_gettime(cpu_clock) - cpu_began) * 1000
        except OSError:
            connection, taken, cpu = None, -1.0, 0.0
            time.sleep(0.2)
        try:
            print(f"{time.time():.3f} {taken:.2f} {cpu:.2f}", flush=True)
        except BrokenPipeError:
            return
        time.sleep(max(0.0, PERIOD_SECONDS - (time.perf_counter() - began)))


def _cpu_clock(pid: int) -> int:
    """Return the clock of the CPU time of all threads of a process. Raises OSError."""
    clock = ctypes.c_int()
    if error := ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise OSError(error, os.strerror(error))
    return clock.value


def _read_answer(connection: socket.socket) -> bool:
    """Read one answer; whether the connection goes on."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    length = int(fields.get(b"content-length", b"0"))
    while len(body) < length:
        body += _receive(connection)
    return fields.get(b"connection", b"").lower() != b"close"


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionResetError
    return data


class Trip(NamedTuple):
    """One round trip: when it ended, on the UNIX clock; how long it took; what CPU time the server spent."""

    ended: float
    ms: float
    cpu_ms: float

    @property
    def block_ms(self) -> float:
        """How long the server itself kept the request waiting: never longer than it computed.

        A loop that other processes took the CPU from, or whose probe they did, was not blocked by a request.
        All threads of the server count, since one that holds the GIL blocks the loop too. What is not seen is
        a call that blocks without computing, like `time.sleep`: ruff's ASYNC rules refuse those.
        """
        return min(self.ms, self.cpu_ms)


@dataclass
class Probe:
    """Round trips of a running probe."""

    trips: list[Trip] = field(default_factory=list)

    def worst_block_ms(self, since: float) -> float:
        """Return the longest block since a time, 0 if there was no round trip."""
        return max((trip.block_ms for trip in self.trips if trip.ended >= since), default=0)

    def quantile_ms(self, share: float, since: float) -> float:
        """Return a quantile of the round trips since a time; failed ones count as the longest.

        A probe that waits sends nothing meanwhile: what would have been sent each 100 ms is counted with the
        time it would have waited, as HdrHistogram does (coordinated omission).
        """
        trips = []
        for trip in self.trips:
            if trip.ended >= since:
                taken = trip.ms if trip.ms >= 0 else ANSWER_SECONDS * 1000
                trips += [taken - missed for missed in range(0, max(1, int(taken)), EXPECTED_MS)]
        trips.sort()
        return trips[min(len(trips) - 1, int(share * len(trips)))] if trips else 0.0

    def failed(self, since: float) -> int:
        """Return how many requests since a time got no answer."""
        return sum(trip.ms < 0 for trip in self.trips if trip.ended >= since)


@asynccontextmanager
async def probing(host: str, port: int, path: str, pid: int, token: str = "") -> AsyncIterator[Probe]:
    """Run a probe of the process `pid` while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.probe", host, str(port), path, str(pid), token),
        stdout=asyncio.subprocess.PIPE,
    )
    probe = Probe()

    async def read() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            ended, ms, cpu_ms = map(float, line.split())
            probe.trips.append(Trip(ended, ms, cpu_ms))

    reading = asyncio.ensure_future(read())
    try:
        yield probe
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
