"""Answers of the database that are lost: of a claim, a completion, a renewal, a release, and an upload."""

import asyncio
import signal
import time
from functools import partial

from tests.faults.files import QUIET
from tests.faults.oracle import Oracle
from tests.faults.proxies import Mode, PostgresSpotter
from tests.faults.report import MAX_RECOVERY_SECONDS, Report
from tests.faults.stack import Backends, FaultStack, open_stack
from tests.faults.tenants import NoAnswer

CLAIM = r"set\s+status\s*=\s*'RUNNING'"
COMPLETION = r"set\s+status\s*=\s*'COMPLETED'"
RENEWAL = r"set\s+lease_until\s*="
RELEASE = r"retry_reason\s*=\s*\$"
ACCEPTANCE = r"insert into outbox"
"""What each statement is known by, as PostgreSQL gets it."""

LOST = 3
"""Answers that are lost in each round."""

PRODUCTIONS_GRACE = {"SHUTDOWN_GRACE_SECONDS": "110"}
"""Long enough that a worker which stops waits for its last poll: messages given to an abandoned one would be
invisible to the next worker for a lease, and this history would measure that."""

HIT_SECONDS = 40.0
PATIENCE_SECONDS = MAX_RECOVERY_SECONDS + 25


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Lose answers of every kind; the work is done once and at once."""
    async with open_stack("lost-answers", backends) as stack:
        await stack.start_api()
        await _lose(stack, report, "claim", CLAIM)
        await _lose(stack, report, "completion", COMPLETION)
        # A renewal comes with a long job, a release with one that cannot go on.
        await _lose(stack, report, "renewal", RENEWAL, s3="hang", VISIBILITY_TIMEOUT_SECONDS="6")
        await _lose(stack, report, "release", RELEASE, s3="cut")
        await _accepting(stack, report)
        report.say(stack.name, await oracle.judge(stack, report))


async def _lose(
    stack: FaultStack, report: Report, name: str, statement: str, *, s3: Mode = "pass", **env: str
) -> None:
    """Lose the first answers of a statement, S3 being gone until then if that is what provokes it."""
    worker = await stack.build_worker(**(PRODUCTIONS_GRACE | env))
    trap = worker.side.database.trap(partial(PostgresSpotter, statement), "lose", times=LOST)
    await worker.start()
    tenant = stack.tenant("north")
    await worker.side.s3.set_mode(s3)
    accepted = [await stack.upload(tenant, QUIET["small"], "small") for _ in range(2 * LOST)]
    await asyncio.wait_for(trap.hit.wait(), HIT_SECONDS)
    await worker.side.s3.set_mode("pass")
    began = time.time()
    await stack.wait_final(accepted, PATIENCE_SECONDS)
    ends = [row["ended"] for row in (await stack.rows(accepted)).values()]
    recovery = max(end - began if end else PATIENCE_SECONDS for end in ends)
    report.recovered(recovery)
    report.say(
        stack.name, f"{trap.struck} answers of a {name} lost: recovered after {max(0, recovery):.1f} s"
    )
    worker.send_signal(signal.SIGTERM)
    await worker.child.wait()


async def _accepting(stack: FaultStack, report: Report) -> None:
    """Lose the answer of the API's commit: whoever got no 202 may be scored, but never twice."""
    await stack.start_worker()
    tenant = stack.tenant("east")
    trap = stack.api.side.database.trap(lambda: PostgresSpotter(ACCEPTANCE), "lose", times=LOST)
    await stack.api.side.database.set_mode("cut")  # connections from before know nothing of the trap
    await stack.api.side.database.set_mode("pass")
    statuses = []
    for _ in range(2 * LOST):
        try:
            answer = await tenant.upload(QUIET["small"])
        except NoAnswer as error:
            report.stop_other(stack.name, f"an upload whose commit's answer was lost: {error}")
            continue
        statuses.append(answer.status)
        if answer.status == 202:
            stack.note(answer.prediction_id, tenant, "small")
    await stack.wait_final(stack.accepted, PATIENCE_SECONDS)
    report.say(stack.name, f"{trap.struck} answers of an upload's commit lost: answered {statuses}")
