"""What dead attempts leave behind is swept while the service runs: objects, results, files on the disk."""

import asyncio
import time
import uuid
from pathlib import Path

from tests.faults.files import QUIET, SMALL
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import Backends, FaultStack, open_stack

SWEPT_SECONDS = 200.0
"""Scratch of a dead worker, whose folder counts as locked for a minute, is to be gone by then."""

AGE_SECONDS = 5.0
WORKER_AGES = {"SWEEP_SECONDS": "2", "UNUSED_RESULTS_SECONDS": str(AGE_SECONDS)}
API_AGES = {"ORPHAN_AGE_SECONDS": str(AGE_SECONDS)}
"""The settings by which objects are orphans after seconds rather than a day."""


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Leave orphans of every kind and wait until they are swept; what is used must stay."""
    async with open_stack("orphans", backends) as stack:
        await stack.start_api(**API_AGES)
        tenant = stack.tenant("north")
        killed = await stack.build_worker()
        await killed.start()
        accepted = [await stack.upload(tenant, QUIET["medium"], "medium") for _ in range(3)]
        async with asyncio.timeout(30):
            while not _files(killed.scratch):
                await asyncio.sleep(0.005)
        await killed.kill()
        left = _files(killed.scratch)
        bucket = stack.provisioned.bucket
        orphans = (
            f"uploads/north/{uuid.uuid4()}.csv",
            f"results/north/{accepted[0].prediction_id}/0/scores.csv",
        )
        for key in orphans:
            await stack.s3.put_object(Bucket=bucket, Key=key, Body=SMALL)
        await asyncio.sleep(AGE_SECONDS + 1)
        await stack.api.kill()
        await stack.api.start()  # it sweeps at its start, and every hour after that
        successor = await stack.start_worker(SCRATCH_DIRECTORY=str(killed.scratch), **WORKER_AGES)
        began = time.monotonic()
        while time.monotonic() < began + SWEPT_SECONDS:
            if not any(path.exists() for path in left) and not await _there(stack, orphans):
                break
            await asyncio.sleep(1)
        still = [path for path in left if path.exists()]
        objects = await _there(stack, orphans)
        if still:
            report.leak(stack.name, f"{len(still)} files of customers are still on the disk of a dead worker")
        if objects:
            report.leak(stack.name, f"objects that nobody uses are still there: {', '.join(objects)}")
        await stack.wait_final(stack.accepted, 60)
        report.say(
            stack.name,
            f"{len(left)} files and {len(orphans)} objects left; after {time.monotonic() - began:.0f} s "
            f"{len(still)} and {len(objects)} are there; " + await oracle.judge(stack, report),
        )
        await successor.kill()


def _files(scratch: Path) -> list[Path]:
    """Customers' files: whatever is not empty, as locks are."""
    return [path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size]


async def _there(stack: FaultStack, keys: tuple[str, ...]) -> list[str]:
    listed = await stack.s3.list_objects_v2(Bucket=stack.provisioned.bucket)
    present = {item["Key"] for item in listed.get("Contents", ())}
    return [key for key in keys if key in present]
