"""Predictions are cancelled at each stage, end once however they are raced, and leave nothing once deleted.

The workers are real; only their pause is planted.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from tests.api.stack import ApiStack, Tenant
from tests.faults.files import SMALL, customers

LARGE_ROWS = 300_000
"""Seconds of work for a worker, so that each stage can be met."""

RACES = 20
TRIES = 5
"""For a stage that may be over before the cancellation arrives."""

Stage = Callable[[ApiStack, Tenant, Mapping[str, Any]], Awaitable[bool]]


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Cancel at each stage, race ends and deletions, then look for what is left."""
    tenant = stack.tenant("acts")
    seconds = [await _cancel_queued(stack, tenant)]
    seconds += [await _cancel_at(stack, tenant, name, stage) for name, stage in STAGES.items()]
    doubled = await _race(stack, tenant)
    deleted = await _delete_all(tenant)
    await _wait_for_nothing(stack, tenant)
    return {
        "cancelled_stages": len(seconds),
        "cancel_seconds_max": round(max(seconds), 2),
        "races": RACES,
        "duplicates": doubled,
        "deleted": deleted,
    }


async def _is_fetching(_: ApiStack, tenant: Tenant, prediction: Mapping[str, Any]) -> bool:
    now = (await tenant.get(prediction["links"]["self"])).content
    return now["status"] == "RUNNING" and now["progress"] is None


async def _is_scoring(_: ApiStack, tenant: Tenant, prediction: Mapping[str, Any]) -> bool:
    now = (await tenant.get(prediction["links"]["self"])).content
    return now["status"] == "RUNNING" and now["progress"] is not None


async def _is_storing(stack: ApiStack, tenant: Tenant, prediction: Mapping[str, Any]) -> bool:
    prefix = f"results/{tenant.tenant_id}/{prediction['prediction_id']}/"
    stored = await stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix)
    unfinished = await stack.s3.list_multipart_uploads(Bucket=stack.bucket, Prefix=prefix)
    return bool(stored.get("Contents") or unfinished.get("Uploads"))


STAGES: Mapping[str, Stage] = {"fetching": _is_fetching, "scoring": _is_scoring, "storing": _is_storing}


async def _cancel_queued(stack: ApiStack, tenant: Tenant) -> float:
    """Cancel a prediction whose message is in the queue; the worker that receives it afterwards drops it."""
    async with _paused(stack):
        prediction = await tenant.predict(SMALL)
        await _until(lambda: _is_queued(tenant, prediction))
        await _cancel(tenant, prediction, "queued")
    await _until(lambda: _is_dropped(stack, prediction))
    await _expect_cancelled(stack, tenant, prediction)
    return 0.0


async def _cancel_at(stack: ApiStack, tenant: Tenant, name: str, stage: Stage) -> float:
    """Cancel a prediction at a stage of its worker; return how long the worker took to stop, in seconds."""
    content = customers(LARGE_ROWS)
    for _ in range(TRIES):
        prediction = await tenant.predict(content)
        while not (met := await stage(stack, tenant, prediction)):
            if (await tenant.get(prediction["links"]["self"])).content["finished_at"]:
                break
        answer = await tenant.post(f"{prediction['links']['self']}/cancel") if met else None
        if answer is not None and answer.status == 200:
            await _until(lambda made=prediction: _has_stopped(stack, made))  # type: ignore[misc]
            await _expect_cancelled(stack, tenant, prediction)
            return _seconds_to_stop(stack, prediction["prediction_id"], answer.content["finished_at"])
    raise AssertionError(f"no prediction could be cancelled while {name}")


async def _race(stack: ApiStack, tenant: Tenant) -> int:
    """Cancel predictions while workers end them; return how many ends and events there are too many."""
    draw = random.Random(7)
    upload = (await tenant.predict(SMALL))["upload"]

    async def race() -> int:
        created = await tenant.post("/v1/predictions", json={"upload_id": upload["upload_id"]})
        assert created.status == 202, created
        prediction = created.content
        await asyncio.sleep(draw.uniform(0, 1))
        answer = await tenant.post(f"{prediction['links']['self']}/cancel")
        ended = await tenant.finished(prediction["prediction_id"])
        assert answer.status == (200 if ended["status"] == "CANCELLED" else 409), (answer, ended["status"])
        events = (await tenant.get(prediction["links"]["events"])).content["items"]
        ends = [event for event in events if event["type"] in {"completed", "failed", "cancelled"}]
        messages = await stack.owner.fetchval(
            "select count(*) from outbox where prediction_id = $1 and destination = 'events'",
            prediction["prediction_id"],
        )
        return abs(len(ends) - 1) + abs(int(messages) - 1)

    return sum(await asyncio.gather(*(race() for _ in range(RACES))))


async def _delete_all(tenant: Tenant) -> int:
    """Delete all predictions of a tenant, each twice at once; return how many there were."""
    deleted = 0
    while listed := (await tenant.get("/v1/predictions", params={"limit": "100"})).content["items"]:
        for prediction in listed:
            ended = await tenant.finished(prediction["prediction_id"])
            path = prediction["links"]["self"]
            first, second = await asyncio.gather(tenant.delete(path), tenant.delete(path))
            assert first.status == second.status == 200, (first, second)
            assert first.content == second.content, "two receipts"
            if ended["status"] == "COMPLETED" and ended["attempt"] == 1:
                objects = first.content["objects"]
                assert {"scores.csv", "worklist.parquet"} <= {item["key"].split("/")[-1] for item in objects}
                assert all(item["sha256"] for item in objects), objects
            gone = await tenant.get(path)
            assert (gone.status, gone.content["receipt"]) == (410, first.content), gone
            deleted += 1
    return deleted


async def _wait_for_nothing(stack: ApiStack, tenant: Tenant) -> None:
    """Wait until no object is left, and check that no row is but the receipts.

    A worker that was cancelled while it stored a file may finish that one; the next sweep deletes it.
    """
    tables = await stack.owner.fetch(
        "select table_name from information_schema.columns where column_name = 'tenant_id'"
        " and table_schema = 'public'"
    )
    for (table,) in tables:
        rows = await stack.owner.fetchval(
            f"select count(*) from {table} where tenant_id = $1", tenant.tenant_id
        )
        assert (rows > 0) == (table == "receipts"), f"{table} has {rows} rows"
    await _until(lambda: _has_no_object(stack, tenant), seconds=150)


async def _has_no_object(stack: ApiStack, tenant: Tenant) -> bool:
    for prefix in (f"results/{tenant.tenant_id}/", f"uploads/{tenant.tenant_id}/"):
        listed = await stack.s3.list_object_versions(Bucket=stack.bucket, Prefix=prefix)
        if listed.get("Versions") or listed.get("DeleteMarkers"):
            return False
    return True


async def _cancel(tenant: Tenant, prediction: Mapping[str, Any], stage: str) -> None:
    answer = await tenant.post(f"{prediction['links']['self']}/cancel")
    assert (answer.status, answer.content["status"]) == (200, "CANCELLED"), (stage, answer)


async def _expect_cancelled(stack: ApiStack, tenant: Tenant, prediction: Mapping[str, Any]) -> None:
    """Check that it is still CANCELLED, and that other teams have heard of it once."""
    assert (await tenant.get(prediction["links"]["self"])).content["status"] == "CANCELLED"
    announced = await stack.owner.fetch(
        "select message_type from outbox where prediction_id = $1 and destination = 'events'",
        prediction["prediction_id"],
    )
    assert [row["message_type"] for row in announced] == ["retainwise.prediction.cancelled.v1"]


async def _is_queued(tenant: Tenant, prediction: Mapping[str, Any]) -> bool:
    now = (await tenant.get(prediction["links"]["self"])).content
    return now["status"] == "QUEUED" and now["queued_at"] is not None


async def _is_dropped(stack: ApiStack, prediction: Mapping[str, Any]) -> bool:
    return bool(_lines(stack, "prediction_already_final", prediction["prediction_id"]))


async def _has_stopped(stack: ApiStack, prediction: Mapping[str, Any]) -> bool:
    return bool(_lines(stack, "prediction_stopped", prediction["prediction_id"]))


def _seconds_to_stop(stack: ApiStack, prediction_id: str, cancelled_at: str) -> float:
    (line,) = _lines(stack, "prediction_stopped", prediction_id)
    stopped_at = datetime.fromisoformat(line["timestamp"])
    return (stopped_at - datetime.fromisoformat(cancelled_at)).total_seconds()


def _lines(stack: ApiStack, event: str, prediction_id: str) -> list[dict[str, Any]]:
    """Return the lines of the workers' logs with this event about a prediction."""
    return [
        json.loads(text)
        for worker in stack.workers
        for text in worker.child.log.read_text(errors="replace").splitlines()
        if event in text and prediction_id in text
    ]


@asynccontextmanager
async def _paused(stack: ApiStack) -> AsyncIterator[None]:
    """Pause the workers while the block runs."""
    pids = [worker.child.pid for worker in stack.workers]
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            assert pid is not None
            os.kill(pid, signal.SIGCONT)


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
