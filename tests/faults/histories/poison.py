"""A file that ends whatever process reads it, among files of others: it fails alone, the others complete."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.files import QUIET, customers
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.sampling import process_tree
from tests.faults.stack import FINAL, Backends, Process, open_stack

POISON = customers(41_017, seed=9)
"""An honest file; only the reaper knows it as poison, by its size, as a parser would by a crash."""

NEIGHBOURS = 7
NEIGHBOURS_SECONDS = 90.0
"""One lease, since the first crash takes all of them down, and their work."""

PATIENCE_SECONDS = 150.0
LOOK_SECONDS = 0.004
LOOK_FOR_CHILDREN = 20
"""Looks between two at which processes there are, which takes longer."""


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Upload the poison with seven neighbours beside it; whoever reads it is killed, every time."""
    async with open_stack("poison", backends) as stack:
        await stack.start_api()
        worker = await stack.build_worker()
        reaper = Reaper(worker)
        poison = await stack.upload(stack.tenant("mallory"), POISON, "poison")
        neighbours = [
            await stack.upload(stack.tenant(f"neighbour-{number}"), QUIET["medium"], "medium")
            for number in range(NEIGHBOURS)
        ]
        await stack.wait_sent(stack.accepted)
        await worker.start()
        began = time.time()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker.keep_alive()), group.create_task(reaper.run())]
            await stack.wait_final(stack.accepted, PATIENCE_SECONDS)
            for task in tasks:
                task.cancel()
        rows = await stack.rows(stack.accepted)
        ends = [rows[one.prediction_id]["ended"] for one in neighbours]
        waited = max(end - began if end else PATIENCE_SECONDS for end in ends)
        if waited > NEIGHBOURS_SECONDS:
            report.stop_other(stack.name, f"the neighbours of a poison waited {waited:.0f} s")
        end = rows[poison.prediction_id]
        attempts = sorted(rows[one.prediction_id]["attempt"] for one in neighbours)
        report.say(
            stack.name,
            f"killed {reaper.killed} readers, poison is {end['status']} {end['code'] or ''}, neighbours "
            f"waited {waited:.1f} s with attempts {attempts}; "
            + await oracle.judge(stack, report, poison=frozenset([poison.prediction_id])),
        )
        if end["status"] in FINAL and end["code"] != "worker_crashed":
            report.failed_wrongly += 1
            report.say(stack.name, f"WRONG: the poison's code is {end['code']}, not worker_crashed")


class Reaper:
    """Kills each process of a worker that has the poison open for reading, as a crash in a parser would."""

    def __init__(self, worker: Process) -> None:
        self.killed = 0
        self._worker = worker

    async def run(self) -> None:
        """Look and kill until cancelled."""
        looks, tree = 0, [self._worker.pid]
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._worker.child.running:
                continue
            looks += 1
            if looks % LOOK_FOR_CHILDREN == 0 or tree[0] != self._worker.pid:
                tree = process_tree(self._worker.pid)
            for pid in tree:
                if _reads(pid, len(POISON)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.killed += 1


def _reads(pid: int, size: int) -> bool:
    """Whether a process has a file of this size open for reading only."""
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if descriptor.stat().st_size != size:
                    continue
                flags = (
                    Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split("flags:")[1].split()[0]
                )
                if int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
                    return True
    except OSError:
        pass
    return False
