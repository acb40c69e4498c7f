"""Outages of the database, S3, the queue and the disk, of 20 s, 60 s and 5 min: they cost time, not work."""

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiohttp

from tests.faults.files import QUIET
from tests.faults.oracle import Oracle
from tests.faults.proxies import Mode, Proxy, Side
from tests.faults.report import MAX_RECOVERY_SECONDS, Report
from tests.faults.stack import Accepted, Backends, FaultStack, open_stack
from tests.faults.tenants import ANSWER_SECONDS, NoAnswer, Tenant

OUTAGES: tuple[tuple[float, Mode], ...] = ((20, "refuse"), (60, "hang"), (300, "refuse"))
"""How long, and how."""

WAITING = 24
"""Predictions that wait when a dependency goes, beside the few that are being scored."""

ASK_SECONDS = 2.0
UPLOAD_SECONDS = 30.0
"""Within which an upload is answered whatever hangs; within `ANSWER_SECONDS` if it is the database."""

REFUSALS = frozenset({503, 429})
"""What may answer an upload meanwhile. 429: the tenant's own uploads, which hang, have all its slots."""

READY_ANSWER_SECONDS = 3.0
"""Within which `/readyz` answers, whatever hangs."""

SCRATCH_BYTES = 256 << 20
PATIENCE_SECONDS = MAX_RECOVERY_SECONDS + 25
"""How long a history waits for what is unfinished after an outage; what has not ended by then is lost."""


class Switch(Protocol):
    """Turns a dependency off, or on again, for the worker or for the API."""

    async def __call__(self, mode: Mode, *, api: bool) -> None: ...


async def run_database(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Have the database gone, three times."""
    await _run("database", backends, oracle, report, lambda side: side.database)


async def run_s3(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Have S3 gone, three times."""
    await _run("s3", backends, oracle, report, lambda side: side.s3)


async def run_queue(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Have SQS gone, three times."""
    await _run("queue", backends, oracle, report, lambda side: side.sqs)


async def _run(
    name: str, backends: Backends, oracle: Oracle, report: Report, dependency: Callable[[Side], Proxy]
) -> None:
    async with open_stack(f"outage-{name}", backends) as stack:
        await stack.start_api()
        worker = await stack.start_worker()

        async def switch(mode: Mode, *, api: bool) -> None:
            side = stack.api.side if api else worker.side
            await dependency(side).set_mode(mode)

        for seconds, mode in OUTAGES:
            await _outage(stack, report, seconds, mode, switch)
        report.say(stack.name, await oracle.judge(stack, report))


async def run_disk(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Have the disk of a worker's scratch folder full, three times."""
    if os.geteuid() != 0:
        report.say("outage-disk", "left out: a small disk is mounted for it, which takes root")
        return
    async with open_stack("outage-disk", backends) as stack, _small_disk(stack.folder / "disk") as disk:
        await stack.start_api()
        await stack.start_worker(SCRATCH_DIRECTORY=str(disk))
        filling: list[asyncio.Task[None]] = []

        async def switch(mode: Mode, *, api: bool) -> None:
            if api:  # it has no scratch
                return
            if mode != "pass":
                filling.append(asyncio.create_task(_keep_full(disk / "filler")))
                return
            filling[-1].cancel()
            await asyncio.gather(*filling, return_exceptions=True)
            await asyncio.to_thread((disk / "filler").unlink)

        for seconds, _ in OUTAGES:
            await _outage(stack, report, seconds, "refuse", switch)
        report.say(stack.name, await oracle.judge(stack, report))
        await stack.stop()  # the worker has its scratch on the disk


async def _outage(stack: FaultStack, report: Report, seconds: float, mode: Mode, switch: Switch) -> None:
    tenants = [stack.tenant(name) for name in ("north", "south", "east")]
    what = f"{seconds:.0f} s, {mode}"
    waiting = [await stack.upload(tenant, QUIET["medium"], "medium") for tenant in tenants]
    await stack.wait_status(waiting[0], "RUNNING", 20)
    began = time.monotonic()
    await switch(mode, api=False)
    for number in range(WAITING):
        file = ("small", "other")[number % 2]
        waiting.append(await stack.upload(tenants[number % 3], QUIET[file], file))
    await switch(mode, api=True)
    slow = await _ask_until(began + seconds, stack, tenants[0], waiting)
    await switch("pass", api=True)
    await switch("pass", api=False)
    back = time.time()
    await stack.wait_final(waiting, PATIENCE_SECONDS)
    rows = (await stack.rows(waiting)).values()
    ends = [row["ended"] for row in rows if row["ended"] is not None]
    recovery = PATIENCE_SECONDS if len(ends) < len(rows) else max(0.0, max(ends) - back)
    report.recovered(recovery)
    states = dict(Counter(row["status"] for row in rows))
    report.say(stack.name, f"{what}: {len(waiting)} waited, recovered after {recovery:.1f} s, {states}")
    for text in slow:
        report.stop_other(stack.name, f"{what}: {text}")


async def _ask_until(end: float, stack: FaultStack, tenant: Tenant, waiting: list[Accepted]) -> list[str]:
    """Upload and ask while a dependency is gone; returns what was not answered in time, each kind once."""
    slow: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < end - ASK_SECONDS:
            group.create_task(_ask(stack, tenant, waiting, slow))
            await asyncio.sleep(ASK_SECONDS)
        await asyncio.sleep(max(0, end - time.monotonic()))
    return sorted(slow)


async def _ask(stack: FaultStack, tenant: Tenant, waiting: list[Accepted], slow: set[str]) -> None:
    try:
        seconds = ANSWER_SECONDS if stack.name == "outage-database" else UPLOAD_SECONDS
        answer = await tenant.upload(QUIET["small"], seconds=seconds)
        if answer.status == 202:
            waiting.append(stack.note(answer.prediction_id, tenant, "small"))
        elif answer.status not in REFUSALS:
            slow.add(f"an upload was answered {answer.status}")
    except NoAnswer:
        slow.add("an upload was not answered in time")
    try:
        await tenant.read(waiting[0].prediction_id)
    except NoAnswer:
        slow.add(f"a read was not answered within {ANSWER_SECONDS:.0f} s")
    try:
        timeout = aiohttp.ClientTimeout(total=READY_ANSWER_SECONDS)
        async with stack.session.get(f"{stack.api.url}/readyz", timeout=timeout) as answer_:
            await answer_.read()
    except (aiohttp.ClientError, TimeoutError):
        slow.add(f"/readyz was not answered within {READY_ANSWER_SECONDS:.0f} s")


@asynccontextmanager
async def _small_disk(folder: Path) -> AsyncIterator[Path]:
    """Mount a file system of a few megabytes while the block runs, which root alone can."""
    await asyncio.to_thread(folder.mkdir)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_BYTES},mode=0700", "scratch", str(folder)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        await asyncio.to_thread(
            subprocess.run, ["umount", "--lazy", str(folder)], check=True, capture_output=True
        )


async def _keep_full(filler: Path) -> None:
    """Take all the room there is, and what is given back later, until cancelled."""
    while True:
        _fill(filler)
        await asyncio.sleep(0.1)


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
