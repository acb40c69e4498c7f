"""An event stream that is cut again and again shows each event once, in order, on whichever replica.

The events are real ones, made by the database's trigger; the check plays the worker. The stream is cut by the
client in the middle, and by a replica that stops; the listening connections are cut too.
"""

import asyncio
import json
import random
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from tests.api.stack import ApiStack, Tenant

CUTS = 20
EVENTS = 400
"""Of the prediction that is followed."""

UPLOAD = """
insert into uploads (upload_id, tenant_id, bucket, object_key, size_bytes, sha256)
values ($1::uuid, $2, 'none', $2 || '/' || $1::uuid, 1, repeat('0', 64))
"""

PREDICTION = """
insert into predictions (prediction_id, tenant_id, upload_id, model_name, model_version)
values ($1, $2, $3, 'telco-churn', '1.0.0')
"""

RUNNING = """
update predictions set status = 'RUNNING', fence = fence + 1, started_at = now(), lease_owner = 'check',
    lease_token = gen_random_uuid(), lease_until = now() + interval '1 h'
where prediction_id = $1
"""

ENDED = """
update predictions set status = 'EXPIRED', finished_at = now(), lease_owner = null, lease_token = null,
    lease_until = null
where prediction_id = $1
"""

CUT_LISTENERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'retainwise-producer-api-listener'
"""


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Follow a prediction over three replicas through cuts; then one that the workers score."""
    tenant = stack.tenant("sse")
    prediction_id = await _create(stack, tenant)
    draw = random.Random(20)
    seen: list[int] = []
    async with stack.replica() as second:
        writing = asyncio.create_task(_write_events(stack, prediction_id, draw))
        async with stack.replica() as third:
            urls = [stack.url, second, third]
            cuts = await _follow(stack, tenant, prediction_id, urls, CUTS // 2, draw, seen)
            begun = asyncio.Event()
            following = asyncio.create_task(_follow_to_stop(stack, tenant, prediction_id, third, begun, seen))
            await begun.wait()
        await following  # the replica was stopped when its block ended
        cuts += 1
        cuts += await _follow(stack, tenant, prediction_id, [stack.url, second], CUTS - cuts, draw, seen)
        await _follow(stack, tenant, prediction_id, [stack.url], None, draw, seen)
        await writing
    written = await stack.owner.fetchval(
        "select count(*) from prediction_events where prediction_id = $1", prediction_id
    )
    assert seen == sorted(seen), "events came out of order"
    missed, doubled = written - len(set(seen)), len(seen) - len(set(seen))
    return {
        "sse_cuts": cuts,
        "sse_events": len(seen),
        "sse_missed": missed + doubled + await _follow_scored(stack, tenant),
    }


async def _create(stack: ApiStack, tenant: Tenant) -> UUID:
    """Make a prediction that no worker will ever hear of."""
    prediction_id, upload_id = uuid4(), uuid4()
    await stack.owner.execute(UPLOAD, upload_id, tenant.tenant_id)
    await stack.owner.execute(PREDICTION, prediction_id, tenant.tenant_id, upload_id)
    return prediction_id


async def _write_events(stack: ApiStack, prediction_id: UUID, draw: random.Random) -> None:
    for number in range(EVENTS - 2):
        await stack.owner.execute(RUNNING, prediction_id)
        if number % 100 == 50:
            await stack.owner.execute(CUT_LISTENERS)
        await asyncio.sleep(draw.uniform(0, 0.05))
    await stack.owner.execute(ENDED, prediction_id)


async def _follow(
    stack: ApiStack,
    tenant: Tenant,
    prediction_id: UUID,
    urls: list[str],
    cuts: int | None,
    draw: random.Random,
    seen: list[int],
) -> int:
    """Read events, and cut the stream so many times after some bytes; with None, read to the end."""
    done = 0
    while cuts is None or done < cuts:
        async with _open(stack, tenant, draw.choice(urls), prediction_id, seen) as response:
            if response.status == 204:
                return done
            rest = b""
            budget = draw.randrange(200, 1_500) if cuts is not None else None
            async for chunk in response.content.iter_any():
                if budget is not None:
                    chunk, budget = chunk[:budget], budget - len(chunk)
                rest = _take(rest + chunk, seen)
                if budget is not None and budget <= 0:
                    response.close()  # in the middle of an event, mostly
                    done += 1
                    break
    return done


async def _follow_to_stop(
    stack: ApiStack, tenant: Tenant, prediction_id: UUID, url: str, begun: asyncio.Event, seen: list[int]
) -> None:
    """Follow the stream on a replica that is being stopped, which ends the stream between two events."""
    async with _open(stack, tenant, url, prediction_id, seen) as response:
        assert response.status == 200, response.status
        rest = b""
        async for chunk in response.content.iter_any():  # raises if the answer is cut off
            rest = _take(rest + chunk, seen)
            begun.set()
        assert not rest, "the stream ended in the middle of an event"


async def _follow_scored(stack: ApiStack, tenant: Tenant) -> int:
    """Follow a prediction that a worker scores; return how many events its history has more, or less."""
    prediction = await tenant.predict()
    seen: list[int] = []
    async with _open(stack, tenant, stack.url, UUID(prediction["prediction_id"]), seen) as response:
        rest = b""
        async for chunk in response.content.iter_any():
            rest = _take(rest + chunk, seen)
    history = (await tenant.get(prediction["links"]["events"])).content["items"]
    assert history[-1]["type"] == "completed", history
    differing = [event for event, number in zip(history, seen, strict=False) if event["sequence"] != number]
    return abs(len(history) - len(seen)) + len(differing)


def _open(stack: ApiStack, tenant: Tenant, url: str, prediction_id: UUID, seen: list[int]) -> Any:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(seen[-1] if seen else 0)}
    return stack.http.get(
        f"{url}/v1/predictions/{prediction_id}/events",
        headers=tenant.headers | headers,
        timeout=aiohttp.ClientTimeout(total=100),
    )


def _take(received: bytes, seen: list[int]) -> bytes:
    """Note the numbers of the events that are complete, and return what is left of the bytes."""
    *blocks, rest = received.split(b"\n\n")
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":"))
        if "data" in fields:
            assert json.loads(fields["data"])["sequence"] == int(fields["id"])
            seen.append(int(fields["id"]))
    return rest
