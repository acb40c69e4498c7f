"""Scores one suspect file, one that may kill its process, in a child process with a memory limit.

Suspects only: a fresh child takes 0.65 s for a file of 200 rows and 110 MB before its first, a thread 0.03 s.
A child kept warm is as fast as a thread, but holds its 150 MB and scores the next file in the process
that a hostile one has been in.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from consumer_worker.isolated import OUT_OF_MEMORY, OUT_OF_MEMORY_EXIT
from consumer_worker.scoring import ScoringFailed, ScoringLimits, ScoringReport, ScoringRequest
from retainwise_contracts.failures import FailureCode

CHILD_MEMORY_BYTES = 256 << 20
"""Private memory that a child may take: 103 MB before its first row, 245 MB with the heaviest files of
`make check-faults`. With a thread that scores the same file beside it, a worker takes 674 MB."""

CHILD_BLOCK_BYTES = 512 << 10
"""Read at a time in a child: a sixteenth of what a thread reads. With 2 MiB, a million empty lines
below a wide header need 320 MB; the results are the same."""

CHILD_LIMITS = ScoringLimits(block_bytes=CHILD_BLOCK_BYTES)

MAX_ANSWER_BYTES = 4 << 20
"""Of a report; its lists are bounded, and it comes to some 20 KB."""

STALLED_AFTER_SECONDS = 60.0
"""Without CPU time spent. Near its memory limit a child may hang: a thread of Polars that could not be
started, or that has died, is waited for without end."""

_STALL_LOOKS = 6
"""So many looks in a row: a worker that was paused together with its child is late for one look only."""

_STDERR_KEPT_BYTES = 64 << 10
_MAX_CLUES = 10

_CLUE = re.compile(
    rf"{OUT_OF_MEMORY.pattern}|Fatal Python error: [A-Za-z ]+|panicked at [\w./-]+:\d+"
    r"|\w+\.py\", line \d+,? in \w+"
)
"""What of a child's standard error is logged. The rest may quote cells of the file."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ScoringProcessDied(Exception):
    """The child process ended without an answer: the file killed it, or the kernel did."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnexpectedScoringError(Exception):
    """The child reported an error of a kind that scoring does not raise for a file."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Order(_Wire):
    """What a child is to do; all it is given."""

    source: Path
    destination: Path
    model: str
    """`name@version`"""
    request: ScoringRequest
    limits: ScoringLimits
    memory_bytes: int


class Failed(_Wire):
    """A `ScoringFailed`."""

    code: FailureCode
    detail: str


class Unexpected(_Wire):
    """Any other error, without its text."""

    error: str
    """Its type."""
    error_number: int | None
    """Of the system's error behind it, if there is one."""
    frames: tuple[str, ...]


class Answer(_Wire):
    """How scoring ended; one of the three."""

    report: ScoringReport | None = None
    failed: Failed | None = None
    unexpected: Unexpected | None = None


async def score_in_child(
    source: Path,
    destination: Path,
    model: str,
    request: ScoringRequest,
    *,
    limits: ScoringLimits = CHILD_LIMITS,
    memory_bytes: int = CHILD_MEMORY_BYTES,
    stalled_after_seconds: float = STALLED_AFTER_SECONDS,
) -> ScoringReport:
    """Score a customer's file as `score_file` does, in a process that is started for it and ends with it.

    Cancelled, this kills the process and waits for its end, so that the caller can remove its files. To be
    called in the main thread: the kernel kills the child when the thread that started it ends.

    Args:
        source: the file as it was uploaded; an absolute path.
        destination: an existing folder, an absolute path; the result files are written there.
        model: to score with, `name@version`.
        request: what else is asked for.
        limits: on the file.
        memory_bytes: private memory that the child may take.
        stalled_after_seconds: without CPU time spent, the child is killed.

    Raises:
        ScoringFailed: the file cannot be scored; the error says why and what to do.
        ScoringProcessDied: the process ended without an answer, or hung.
        OSError: the disk refused, as it may in a thread.
        UnexpectedScoringError: any other error.
    """
    order = Order(
        source=source,
        destination=destination,
        model=model,
        request=request,
        limits=limits,
        memory_bytes=memory_bytes,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        "consumer_worker.isolated",
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(destination),
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the worker, which decides what becomes of the file
    )
    stall = asyncio.create_task(_kill_when_stalled(process, stalled_after_seconds))
    try:
        answer_json, errors = await _exchange(process, order.model_dump_json().encode())
        exit_code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        stall.cancel()
        await asyncio.shield(asyncio.wait([stall, asyncio.ensure_future(process.wait())]))
    if exit_code and not stall.cancelled():
        raise _died(f"it hung, with {stall.result() >> 20} MB of its memory limit of {memory_bytes >> 20} MB")
    if exit_code:
        raise _died(_describe_death(exit_code, errors, memory_bytes), errors)
    return _read_answer(answer_json)


def _environment(destination: Path) -> Mapping[str, str]:
    """Build the child's environment from nothing, so that it holds no credentials."""
    inherited = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return inherited | {
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(destination),
        # The limit counts what is set aside for threads, and what an allocator keeps for later. Without these
        # three a million rows need 500 MB of it; the last is for jemalloc, the allocator of Polars.
        "OPENBLAS_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "_RJEM_MALLOC_CONF": "narenas:1,retain:false,dirty_decay_ms:0,muzzy_decay_ms:0",
    }


async def _exchange(process: asyncio.subprocess.Process, order: bytes) -> tuple[bytes, str]:
    """Write the order; return the answer and the end of what was written to standard error."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise RuntimeError("the child was started without pipes")

    async def write(stdin: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # it has died: its exit code says how
            stdin.write(order)
            await stdin.drain()
        stdin.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(write(process.stdin))
        answer = group.create_task(_read_end(process.stdout, MAX_ANSWER_BYTES))
        errors = group.create_task(_read_end(process.stderr, _STDERR_KEPT_BYTES))
    return answer.result(), errors.result().decode(errors="replace")


async def _read_end(stream: asyncio.StreamReader, size: int) -> bytes:
    """Read until the end of the stream, so that its writer never waits; return the last `size` bytes."""
    kept = bytearray()
    while piece := await stream.read(64 << 10):
        kept += piece
        del kept[:-size]
    return bytes(kept)


async def _kill_when_stalled(process: asyncio.subprocess.Process, after_seconds: float) -> int:
    """Kill the process once it spends no CPU time for so long; return the private memory it had, in bytes."""
    spent, idle_looks = -1, 0
    while True:
        before, (spent, private_bytes) = spent, _read_usage(process.pid)
        idle_looks = idle_looks + 1 if spent == before else 0
        if idle_looks == _STALL_LOOKS:
            with suppress(ProcessLookupError):
                process.kill()
            return private_bytes
        await asyncio.sleep(after_seconds / _STALL_LOOKS)


def _read_usage(pid: int) -> tuple[int, int]:
    """Return a process's CPU time in clock ticks and its private memory in bytes; (0, 0) where unknown."""
    try:
        stat, status = (Path(f"/proc/{pid}/{name}").read_text() for name in ("stat", "status"))
    except OSError:
        return 0, 0
    fields = stat.rpartition(")")[2].split()
    private_kb = status.partition("VmData:")[2].split()
    return int(fields[11]) + int(fields[12]), int(private_kb[0]) << 10 if private_kb else 0


def _died(reason: str, errors: str = "") -> ScoringProcessDied:
    clues = [clue.group() for clue in islice(_CLUE.finditer(errors), _MAX_CLUES)]
    log.warning("scoring_process_died", reason=reason, stderr=clues)
    return ScoringProcessDied(reason)


def _read_answer(answer_json: bytes) -> ScoringReport:
    try:
        answer = Answer.model_validate_json(answer_json)
    except ValidationError:
        raise _died("it ended without a readable answer") from None
    if answer.report:
        return answer.report
    if answer.failed:
        raise ScoringFailed(answer.failed.code, answer.failed.detail)
    if answer.unexpected:
        log.warning("scoring_process_failed", **answer.unexpected.model_dump())
        if number := answer.unexpected.error_number:
            raise OSError(number, os.strerror(number))
        raise UnexpectedScoringError(answer.unexpected.error)
    raise _died("it ended without an answer")


def _describe_death(exit_code: int, errors: str, memory_bytes: int) -> str:
    if exit_code == OUT_OF_MEMORY_EXIT or OUT_OF_MEMORY.search(errors):
        return f"it reached its memory limit of {memory_bytes >> 20} MB"
    if exit_code == -signal.SIGKILL:
        return "it was killed by SIGKILL, as the kernel does when memory is short"
    if exit_code < 0:
        return f"it was killed by {signal.Signals(-exit_code).name}"
    return f"it ended with the exit code {exit_code}"
