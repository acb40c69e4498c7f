"""Fifty requests at once with one key are one prediction."""

import asyncio

from tests.api.stack import CUSTOMERS, ApiStack

REQUESTS = 50


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Send the same file fifty times at once, then once more."""
    tenant = stack.tenant("keys")
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "once"}

    async def send() -> str:
        while True:
            answer = await tenant.post("/v1/predictions", data=CUSTOMERS, headers=headers)
            if answer.status not in {409, 429, 503}:
                assert answer.status == 202, answer
                return str(answer.content["prediction_id"])
            assert int(answer.headers["Retry-After"]) > 0
            await asyncio.sleep(0.5)

    named = set(await asyncio.gather(*(send() for _ in range(REQUESTS))))
    made = await stack.owner.fetchval(
        "select count(*) from predictions where tenant_id = $1", tenant.tenant_id
    )
    objects = await stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"uploads/{tenant.tenant_id}/")
    assert objects["KeyCount"] == 1, f"{objects['KeyCount']} files are kept"
    return {"key_requests": REQUESTS, "duplicates": max(int(made), len(named)) - 1}
