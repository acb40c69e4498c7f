"""Answers of the database that are lost: of a claim, a completion, a renewal, a release, and an upload."""

import asyncio
import time
from contextlib import suppress
from functools import partial

from tests.faults.files import QUIET
from tests.faults.oracle import Oracle
from tests.faults.proxies import PostgresSpotter
from tests.faults.report import MAX_RECOVERY_SECONDS, Report
from tests.faults.stack import Backends, FaultStack, open_stack
from tests.faults.tenants import NoAnswer

STATEMENTS = {
    "claim": "fence = fence + 1",
    "completion": "set status = 'COMPLETED'",
    "renewal": "set lease_until = now()",
}
"""A part of each statement's text, as the worker sends it."""

LOST = 3
"""Answers that are lost in each round."""

PATIENCE_SECONDS = MAX_RECOVERY_SECONDS + 25


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Lose answers of every kind; the work is done once and at once."""
    async with open_stack("lost-answers", backends) as stack:
        await stack.start_api()
        tenant = stack.tenant("north")
        for name, statement in STATEMENTS.items():
            worker = await stack.build_worker()
            trap = worker.side.database.trap(partial(PostgresSpotter, statement), "lose", times=LOST)
            await worker.start()
            round_ = [await stack.upload(tenant, QUIET["small"], "small") for _ in range(2 * LOST)]
            began = time.time()
            await stack.wait_final(round_, PATIENCE_SECONDS)
            ends = [row["ended"] for row in (await stack.rows(round_)).values()]
            recovery = max(end - began if end else PATIENCE_SECONDS for end in ends)
            report.recovered(recovery)
            report.say(
                stack.name, f"{trap.struck} answers of a {name} lost: recovered after {recovery:.1f} s"
            )
            await worker.kill()
        await _release(stack, report)
        await _accepting(stack, report)
        report.say(stack.name, await oracle.judge(stack, report))


async def _release(stack: FaultStack, report: Report) -> None:
    """Have an attempt fail, so that its claim is released, and lose the answer of the release."""
    worker = await stack.build_worker()
    releases = worker.side.database.trap(lambda: PostgresSpotter("retry_reason = $"), "lose", times=LOST)
    await worker.start()
    tenant = stack.tenant("south")
    await worker.side.s3.set_mode("cut")
    accepted = [await stack.upload(tenant, QUIET["small"], "small") for _ in range(LOST)]
    with suppress(TimeoutError):
        await asyncio.wait_for(releases.hit.wait(), 30)
    await worker.side.s3.set_mode("pass")
    began = time.time()
    await stack.wait_final(accepted, PATIENCE_SECONDS)
    ends = [row["ended"] for row in (await stack.rows(accepted)).values()]
    recovery = max(end - began if end else PATIENCE_SECONDS for end in ends)
    report.recovered(recovery)
    report.say(
        stack.name,
        f"{releases.struck} answers of a release lost while S3 was gone: recovered after {recovery:.1f} s",
    )
    await worker.kill()


async def _accepting(stack: FaultStack, report: Report) -> None:
    """Lose the answer of the API's commit: whoever got no 202 may be scored, but never twice."""
    await stack.start_worker()
    tenant = stack.tenant("east")
    trap = stack.api.side.database.trap(lambda: PostgresSpotter("insert into outbox"), "lose", times=LOST)
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
