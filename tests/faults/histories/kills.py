"""SIGKILL of workers at each stage of their work, and of the API between commit and publish."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.files import QUIET
from tests.faults.histories.answers import CLAIM, COMPLETION
from tests.faults.oracle import Oracle
from tests.faults.proxies import HttpSpotter, PostgresSpotter, Side, Trap
from tests.faults.report import MAX_RECOVERY_SECONDS, Report
from tests.faults.stack import Accepted, Backends, FaultStack, Process, open_stack

PATIENCE_SECONDS = MAX_RECOVERY_SECONDS + 25
STAGE_SECONDS = 30.0
BATCH = 6
SCORED = 2
"""Large files that the killed worker scores. Each is scored again in a child, one at a time, and that work
counts as recovery: with six of them, half a minute of it on a busy machine."""

SUCCESSORS = 2
"""An orchestrator would start as many as have died, for which a test machine has no room."""

Hold = Callable[[Side, FaultStack], Trap]

STAGES: dict[str, Hold] = {
    "claiming": lambda side, _: side.database.trap(lambda: PostgresSpotter(CLAIM), "hold", times=8),
    "fetching": lambda side, stack: side.s3.trap(
        lambda: HttpSpotter(f"GET /{stack.provisioned.bucket}/uploads/"), "hold", times=8
    ),
    "storing": lambda side, stack: side.s3.trap(
        lambda: HttpSpotter(f"PUT /{stack.provisioned.bucket}/results/"), "hold", times=8
    ),
    "completing": lambda side, _: side.database.trap(lambda: PostgresSpotter(COMPLETION), "hold", times=8),
    "deleting": lambda side, _: side.sqs.trap(lambda: HttpSpotter("DeleteMessageBatch"), "hold", times=8),
}
"""A request of each stage; its worker is held there until it is killed."""


@dataclass
class Held:
    """A worker at its stage, and what was uploaded to bring it there."""

    stage: str
    worker: Process
    accepted: list[Accepted]


async def run_workers(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Kill a worker at every stage, all at the same moment, and have two that are well take over."""
    async with open_stack("kill-workers", backends) as stack:
        await stack.start_api()
        held = [await _hold(stack, stage) for stage in STAGES]
        held.append(await _scoring(stack))
        for one in held:
            one.worker.send_signal(signal.SIGKILL)
        killed = time.time()
        await asyncio.gather(*(one.worker.child.wait() for one in held))
        for _ in range(SUCCESSORS):
            await stack.start_worker()
        everything = [accepted for one in held for accepted in one.accepted]
        await stack.wait_final(everything, PATIENCE_SECONDS)
        rows = await stack.rows(everything)
        for one in held:
            ends = [rows[accepted.prediction_id]["ended"] for accepted in one.accepted]
            recovery = max((end - killed if end else PATIENCE_SECONDS) for end in ends)
            report.recovered(recovery)
            report.say(stack.name, f"SIGKILL while {one.stage}: recovered after {max(0.0, recovery):.1f} s")
        report.say(stack.name, await oracle.judge(stack, report))


async def _hold(stack: FaultStack, stage: str) -> Held:
    worker = await stack.build_worker()
    trap = STAGES[stage](worker.side, stack)
    await worker.start()
    tenant = stack.tenant(f"tenant-{stage}")
    accepted = []
    # What the workers held before have room for may go to them: send until this one has some.
    for _ in range(BATCH):
        accepted += [await stack.upload(tenant, QUIET["small"], "small") for _ in range(BATCH)]
        try:
            await asyncio.wait_for(trap.hit.wait(), STAGE_SECONDS / BATCH)
            break
        except TimeoutError:
            continue
    assert trap.hit.is_set(), f"no worker could be held while {stage}"
    await worker.side.sqs.set_mode("hang")  # what comes next is for the next worker
    return Held(stage, worker, accepted)


async def _scoring(stack: FaultStack) -> Held:
    """A worker that is scoring: its file is in its scratch folder, and nothing of a result is yet."""
    worker = await stack.start_worker()
    tenant = stack.tenant("tenant-scoring")
    accepted = [await stack.upload(tenant, QUIET["medium"], "medium") for _ in range(SCORED)]
    size = len(QUIET["medium"])
    async with asyncio.timeout(STAGE_SECONDS):
        while not any(
            file.stat().st_size == size for file in worker.scratch.rglob("upload*") if file.exists()
        ):
            await asyncio.sleep(0.005)
    return Held("scoring", worker, accepted)


async def run_api(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Kill the API between the commit of a request and its publishing."""
    async with open_stack("kill-api", backends) as stack:
        await stack.start_api()
        await stack.start_worker()
        tenant = stack.tenant("north")
        recoveries = []
        for _ in range(3):
            await stack.api.side.sqs.set_mode("hang")
            accepted = [await stack.upload(tenant, QUIET["small"], "small") for _ in range(BATCH)]
            await stack.api.kill()
            killed = time.time()
            await stack.api.side.sqs.set_mode("pass")
            await stack.api.start()
            await stack.wait_final(accepted, PATIENCE_SECONDS)
            ends = [row["ended"] for row in (await stack.rows(accepted)).values()]
            recoveries.append(max(end - killed if end else PATIENCE_SECONDS for end in ends))
        report.recovered(max(recoveries))
        report.say(
            stack.name,
            f"SIGKILL of the API between commit and publish, {len(recoveries)} times: recovered after "
            f"{max(recoveries):.1f} s; " + await oracle.judge(stack, report),
        )
