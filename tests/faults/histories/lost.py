"""Messages that are lost while the queue is never empty, and one of a major version nobody knows."""

import asyncio
import time
import uuid

from tests.faults.files import QUIET
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import FINAL, Backends, FaultStack, open_stack
from tests.faults.tenants import Tenant

LOST = 6
COMES_BACK_SECONDS = 330.0
"""What "within minutes" is held to."""

DELETED_SECONDS = 60.0

TRICKLE_SECONDS = 4.0
WATCH_SECONDS = 90.0
"""How long the copies of a parked message are counted."""

SHORT_LEASE = {"VISIBILITY_TIMEOUT_SECONDS": "6"}
"""What the reconciler's patience is counted in."""


async def run_messages(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Lose messages behind the workers' back while others come and go."""
    async with open_stack("lost-messages", backends) as stack:
        await stack.start_api()
        worker = await stack.start_worker(**SHORT_LEASE)
        tenant = stack.tenant("north")
        first = await stack.upload(tenant, QUIET["small"], "small")
        await stack.wait_final([first], 30)
        # A copy of a message that has been handled, for later: from now on the queue is never empty.
        body = await stack.owner.fetchval("select body from outbox where destination = 'predictions' limit 1")
        await stack.sqs.send_message(QueueUrl=stack.provisioned.queue_url, MessageBody=body, DelaySeconds=900)
        await worker.side.sqs.set_mode("cut")
        lost = [await stack.upload(tenant, QUIET["small"], "small") for _ in range(LOST)]
        await stack.wait_sent(lost)
        deleted = await _delete_all(stack)
        gone = time.time()
        await worker.side.sqs.set_mode("pass")
        async with asyncio.TaskGroup() as group:
            trickle = group.create_task(_trickle(stack, tenant))
            came_back = await stack.wait_final(lost, COMES_BACK_SECONDS)
            trickle.cancel()
        await stack.wait_final(stack.accepted, 60)
        rows = await stack.rows(lost)
        last = max((row["ended"] or 0) for row in rows.values()) - gone
        report.say(
            stack.name,
            f"{deleted} messages deleted unseen while the queue was never empty: "
            + (
                f"all back after {last:.0f} s; "
                if came_back
                else f"not back after {COMES_BACK_SECONDS:.0f} s; "
            )
            + await oracle.judge(stack, report),
        )


async def _delete_all(stack: FaultStack) -> int:
    """Delete what was lost; raises TimeoutError.

    The worker's last poll, which was cut, may have been given some: they are visible again after its lease.
    """
    queue, deleted = stack.provisioned.queue_url, 0
    async with asyncio.timeout(DELETED_SECONDS):
        while deleted < LOST:
            got = await stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = got.get("Messages", ())
            for message in messages:
                await stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            deleted += len(messages)
    return deleted


async def _trickle(stack: FaultStack, tenant: Tenant) -> None:
    while True:
        await stack.upload(tenant, QUIET["small"], "small")
        await asyncio.sleep(TRICKLE_SECONDS)


async def run_major(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Send a request of an unknown major version: it is parked once, its prediction is not failed."""
    async with open_stack("unknown-major", backends) as stack:
        await stack.start_api()
        await stack.api.side.sqs.set_mode("refuse")  # a request that hangs would be sent in the end
        tenant = stack.tenant("north")
        answer = await tenant.upload(QUIET["small"])
        newer = uuid.UUID(answer.prediction_id)
        await stack.owner.execute(
            "update outbox set message_type = replace(message_type, '.v1', '.v9'),"
            " body = replace(replace(body, 'requested.v1\"', 'requested.v9\"'), '.v1.json', '.v9.json')"
            " where prediction_id = $1",
            newer,
        )
        await stack.start_worker(**SHORT_LEASE)
        await stack.api.side.sqs.set_mode("pass")
        neighbour = await stack.upload(tenant, QUIET["other"], "other")
        await stack.wait_final([neighbour], 60)
        await asyncio.sleep(WATCH_SECONDS)
        copies = await _parked(stack)
        status = await stack.owner.fetchval("select status from predictions where prediction_id = $1", newer)
        if copies != 1:
            report.doubled += max(0, copies - 1)
            report.lost += copies == 0
            report.say(stack.name, f"WRONG: an unknown major is in the dead-letter queue {copies} times")
        if status in FINAL:
            report.failed_wrongly += 1
            report.say(stack.name, f"WRONG: an unknown major's prediction is {status}")
        report.say(
            stack.name,
            f"parked {copies} times in {WATCH_SECONDS:.0f} s, its prediction is {status}; "
            + await oracle.judge(stack, report),
        )


async def _parked(stack: FaultStack) -> int:
    got = await stack.sqs.get_queue_attributes(QueueUrl=stack.provisioned.dlq_url, AttributeNames=["All"])
    return sum(
        int(got["Attributes"][f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed")
    )
