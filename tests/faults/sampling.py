"""What a worker takes while it works: memory of it and its children, and room in its scratch folder."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.faults.report import Report
from tests.faults.stack import Process

SAMPLE_SECONDS = 0.05
MEGABYTE = 1_000_000
OUT_OF_MEMORY_MB = 2_000.0
"""What the sampler, in the kernel's place, kills a worker for: the test machine must live on."""

MIN_RATED_BYTES = 256 * 1024
"""Of smaller uploads the fixed part of the results would be rated, not what grows with the file."""


class Sampler:
    """Samples one worker until cancelled; peaks go into the report."""

    def __init__(self, worker: Process, report: Report, history: str) -> None:
        self.peak_mb = 0.0
        """Since it was last set to 0."""
        self.scratch_bytes = 0
        """Likewise."""
        self._high_water = 0.0
        self._left_bytes = 0
        self._worker = worker
        self._report = report
        self._history = history

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if not self._worker.child.running:
                continue
            tree = {pid: _resident_mb(pid) for pid in _with_memory_of_their_own(self._worker.pid)}
            high_water = _resident_mb(self._worker.pid, "VmHWM")
            if high_water != self._high_water:  # the kernel saw a peak between two samples
                self.peak_mb, self._high_water = max(self.peak_mb, high_water), high_water
            self.peak_mb = max(self.peak_mb, sum(tree.values()))
            taken = _disk_bytes(self._worker.scratch) - self._left_bytes
            self.scratch_bytes = max(self.scratch_bytes, taken)
            self._report.worker_peak_mb = max(self._report.worker_peak_mb, self.peak_mb)
            largest = max(tree, key=tree.__getitem__)
            if tree[largest] > OUT_OF_MEMORY_MB:
                self._report.say(self._history, f"killed a process of {tree[largest]:.0f} MB")
                with suppress(ProcessLookupError):
                    os.kill(largest, signal.SIGKILL)

    def rate(self, upload_bytes: int) -> float:
        """Return the scratch taken since the last reset for each byte of the upload, and note it."""
        if upload_bytes < MIN_RATED_BYTES:
            return 0.0
        ratio = self.scratch_bytes / upload_bytes
        self._report.scratch_ratio_max = max(self._report.scratch_ratio_max, ratio)
        return ratio

    def reset(self) -> None:
        """Begin with another file."""
        self.peak_mb, self.scratch_bytes = 0.0, 0
        self._left_bytes = _disk_bytes(self._worker.scratch)


def _with_memory_of_their_own(pid: int) -> list[int]:
    """Return a process and those it has started, without one that has not yet become another program.

    Between fork and exec a child has its parent's memory, which would be counted twice.
    """
    command = _command(pid)
    return [found for found in process_tree(pid) if found == pid or _command(found) != command]


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _resident_mb(pid: int, field: str = "VmRSS") -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    return 0.0


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def process_tree(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for parent in found:
        with suppress(OSError, ValueError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += [int(child) for child in children.split()]
    return found
