"""`python -m tests.faults [--only NAME …]`, or `make check-faults`: can work be lost, others stopped?

Histories run against real parts and are judged by what a quiet run makes of the same files. Those that mostly
wait run side by side; those that measure run one after the other. The last line is one JSON object.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from tests.faults import overload
from tests.faults.files import QUIET
from tests.faults.histories import answers, kills, lost, orphans, outages, poison
from tests.faults.hostile import crowds, messages, starts
from tests.faults.hostile import run as hostile
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import Backends, open_backends, open_stack

MAX_SECONDS = 870.0
"""For everything; what has not ended by then is named and counts as lost."""

History = Callable[[Backends, Oracle, Report], Awaitable[None]]

WAITING: Mapping[str, History] = {
    "outage-database": outages.run_database,
    "outage-s3": outages.run_s3,
    "outage-queue": outages.run_queue,
    "outage-disk": outages.run_disk,
    "lost-messages": lost.run_messages,
    "orphans": orphans.run,
}
"""They wait for most of their time, so all of them run beside everything else."""

ONE_BY_ONE: Mapping[str, History] = {
    "hostile-requests": hostile.run_requests,
    "hostile-files": hostile.run_files,
    "crowds": crowds.run,
    "forged-messages": messages.run,
    "starts": starts.run,
    "overload": overload.run,
}
"""They measure; overload last, when nothing else is left to take its CPUs."""

KILLS: Mapping[str, History] = {
    "kill-workers": kills.run_workers,
    "poison": poison.run,
    "kill-api": kills.run_api,
}
LOSSES: Mapping[str, History] = {"unknown-major": lost.run_major, "lost-answers": answers.run}
"""They wait for leases."""

ALL = {**WAITING, **ONE_BY_ONE, **KILLS, **LOSSES}


def main() -> int:
    """Run the histories and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults")
    parser.add_argument("--only", action="append", choices=sorted(ALL), help="run this history alone")
    parser.add_argument("--keep", type=Path, help="keep logs and state in this new folder")
    options = parser.parse_args()
    report = Report()
    only = frozenset(options.only or ALL)
    with tempfile.TemporaryDirectory(prefix="retainwise-faults-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.chmod(0o755)  # the database's server may run as another user
        asyncio.run(_run(folder, only, report))
    broken = report.broken(complete=only == frozenset(ALL))
    for text in broken:
        print(f"check-faults: {text}")
    print(report.to_json(), flush=True)
    return 1 if broken else 0


async def _run(folder: Path, only: frozenset[str], report: Report) -> None:
    oracle = Oracle()
    async with AsyncExitStack() as opened:
        # One after the other: alembic migrates one database at a time.
        quiet = await opened.enter_async_context(open_backends(folder / "quiet"))
        busy = await opened.enter_async_context(open_backends(folder / "busy"))
        async with open_stack("oracle", quiet) as stack:
            await stack.start_api()
            await stack.start_worker()
            await oracle.learn(stack, {**QUIET, "poison": poison.POISON})
            report.say("oracle", f"{len(QUIET) + 1} files scored quietly")
        rows = [_sequence({name: history}, only, quiet, oracle, report) for name, history in WAITING.items()]
        rows += [
            _sequence(histories, only, busy, oracle, report) for histories in (ONE_BY_ONE, KILLS, LOSSES)
        ]
        try:
            async with asyncio.timeout(MAX_SECONDS - (time.monotonic() - report.began)):
                await asyncio.gather(*rows)
        except TimeoutError:
            report.lost += 1
            report.say("all", f"not done after {MAX_SECONDS:.0f} s")


async def _sequence(
    histories: Mapping[str, History], only: frozenset[str], backends: Backends, oracle: Oracle, report: Report
) -> None:
    for name, history in histories.items():
        if name not in only:
            continue
        report.say(name, "begins")
        try:
            await history(backends, oracle, report)
        except Exception as error:  # a history that breaks is a finding, and the others go on
            report.lost += 1
            report.say(name, f"BROKEN: {error!r} at {_where(error)}")


def _where(error: Exception) -> str:
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if os.sep + "faults" + os.sep in code.co_filename:
            frames.append(f"{Path(code.co_filename).name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " < ".join(reversed(frames))


if __name__ == "__main__":
    sys.exit(main())
