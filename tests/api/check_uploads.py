"""Files sent straight to the storage: links are good for nothing else, and large files cost no memory."""

import hashlib
import io
import uuid
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import aiohttp

from producer_api.objects import Objects
from producer_api.uploads import presigned
from producer_api.uploads.presigned import DirectUpload, DirectUploads
from tests.api.stack import CUSTOMERS, ApiStack, Tenant

LARGE_BYTES = 120_000_000
MAX_MEMORY_MB = 60.0
"""Of memory for a file of 120 MB: what is read at a time, and the usual."""

MAPPING = {"headers": ["Nr", "tenure"], "mapping": {"customer_id": "Nr"}}


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Send a file in both ways, try everything that a link must not allow, and ask as another tenant."""
    tenant = stack.tenant("uploads")
    forged = [
        *await _forge_forms(stack, tenant),
        *await _forge_parts(stack, tenant),
        *await _ask_as_another(stack, tenant),
    ]
    return {
        "probes": len(forged),
        "leaks": sum(forged) + await _foreign_objects(stack, tenant),
        "upload_memory_mb": await _send_large(stack, tenant),
    }


async def _send_form(stack: ApiStack, transfer: Mapping[str, Any], body: bytes, **changed: str) -> int:
    form = aiohttp.FormData()
    for name, value in (transfer["fields"] | changed).items():
        form.add_field(name, value)
    form.add_field("file", body, filename="customers.csv", content_type="text/csv")
    async with stack.http.post(transfer["url"], data=form) as answer:
        return answer.status


async def _send_part(stack: ApiStack, url: str, body: bytes) -> int:
    async with stack.http.put(url, data=io.BytesIO(body)) as answer:
        return answer.status


async def _declare(tenant: Tenant, size: int, **members: str) -> dict[str, Any]:
    answer = await tenant.post("/v1/uploads", json={"size": size, **members})
    assert answer.status == 201, answer
    return dict(answer.content)


async def _forge_forms(stack: ApiStack, tenant: Tenant) -> list[bool]:
    """Return for each forged form whether it was accepted; the right one must be."""
    upload = await _declare(tenant, len(CUSTOMERS))
    elsewhere = f"uploads/victim/{uuid.uuid4()}.csv"
    forged: list[tuple[bytes, dict[str, str]]] = [
        (CUSTOMERS, {"key": elsewhere}),
        (CUSTOMERS, {"key": f"results/{tenant.tenant_id}/x/scores.csv"}),
        (CUSTOMERS, {"key": "uploads/${filename}"}),
        (CUSTOMERS + b"x", {}),
        (CUSTOMERS[:-1], {}),
        (b"", {}),
        (CUSTOMERS, {"Content-Type": "text/html"}),
        (CUSTOMERS, {"acl": "public-read"}),
        (CUSTOMERS, {"x-amz-storage-class": "GLACIER"}),
        (CUSTOMERS, {"x-amz-meta-a": "b"}),
    ]
    accepted = [await _send_form(stack, upload["transfer"], body, **fields) < 300 for body, fields in forged]
    key = f"uploads/{tenant.tenant_id}/{uuid.uuid4()}.csv"
    with patch.object(presigned, "FORM_SECONDS", -60):
        expired = await DirectUploads(Objects(stack.s3, stack.bucket)).sign(DirectUpload(key, len(CUSTOMERS)))
    accepted.append(await _send_form(stack, expired, CUSTOMERS) < 300)
    assert await _send_form(stack, upload["transfer"], CUSTOMERS) == 204
    completed = await tenant.post(f"{upload['links']['self']}/complete")
    assert completed.content["sha256"] == hashlib.sha256(CUSTOMERS).hexdigest()
    return accepted


async def _forge_parts(stack: ApiStack, tenant: Tenant) -> list[bool]:
    upload = await _declare(tenant, LARGE_BYTES)
    link = upload["transfer"]["parts"][0]
    part = b"x" * link["size_bytes"]
    forged = [
        (link["url"].replace("partNumber=1", "partNumber=2"), part),
        (link["url"].replace(upload["upload_id"], str(uuid.uuid4())), part),
        (link["url"].replace(tenant.tenant_id, "victim"), part),
        (link["url"], part + b"x"),
        (link["url"], part[1:]),
        (link["url"].replace("X-Amz-Expires=", "X-Amz-Expires=9"), part),
    ]
    accepted = [await _send_part(stack, url, body) < 300 for url, body in forged]
    incomplete = await tenant.post(f"{upload['links']['self']}/complete")
    assert (incomplete.status, incomplete.content["missing_parts"][0]) == (409, 1), incomplete
    removed = await tenant.delete(upload["links"]["self"])
    assert removed.status == 204, removed
    assert await _send_part(stack, link["url"], part) == 404  # the link of what is deleted
    return accepted


async def _ask_as_another(stack: ApiStack, tenant: Tenant) -> list[bool]:
    """Return for each request about another tenant's upload or mapping whether it was answered."""
    other = stack.tenant("other")
    upload = await _declare(tenant, len(CUSTOMERS))
    saved = await tenant.put("/v1/mappings/mine", json=MAPPING)
    assert saved.status == 201, saved
    path = upload["links"]["self"]
    asked = [
        await other.get(path),
        await other.get(f"{path}/inspection"),
        await other.post(f"{path}/parts"),
        await other.post(f"{path}/complete"),
        await other.delete(path),
        await other.get("/v1/mappings/mine"),
        await other.delete("/v1/mappings/mine"),
    ]
    listed = await other.get("/v1/mappings")
    assert (await tenant.get(path)).status == 200
    assert (await tenant.get("/v1/mappings/mine")).status == 200
    return [*(answer.status != 404 for answer in asked), bool(listed.content["items"])]


async def _foreign_objects(stack: ApiStack, tenant: Tenant) -> int:
    """Count objects that no link was made for."""
    keys = []
    async for page in stack.s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket):
        keys += [found["Key"] for found in page.get("Contents", ())]
    mine = f"uploads/{tenant.tenant_id}/"
    known = await stack.owner.fetch("select object_key from uploads where tenant_id = $1", tenant.tenant_id)
    stray = {key for key in keys if key.startswith(mine)} - {row["object_key"] for row in known}
    return len(stray) + sum("victim" in key or f"results/{tenant.tenant_id}" in key for key in keys)


async def _send_large(stack: ApiStack, tenant: Tenant) -> float:
    """Send a large file in parts; return how many MB the API's peak has risen by."""
    row = b"a-3,1,Two year,20.10,No,Mailed check\n"
    body = CUSTOMERS + row * ((LARGE_BYTES - len(CUSTOMERS)) // len(row))
    before = stack.api_memory_mb()
    upload = await _declare(tenant, len(body), sha256=hashlib.sha256(body).hexdigest())
    start = 0
    for link in upload["transfer"]["parts"]:
        assert await _send_part(stack, link["url"], body[start : start + link["size_bytes"]]) == 200
        start += link["size_bytes"]
    completed = await tenant.post(f"{upload['links']['self']}/complete")
    assert (completed.status, completed.content["state"]) == (200, "READY"), completed
    inspection = await tenant.get(f"{upload['links']['self']}/inspection")
    assert inspection.content["is_ready"], inspection
    risen = stack.api_memory_mb() - before
    assert risen <= MAX_MEMORY_MB, f"the API's memory has risen by {risen:.0f} MB"
    return round(risen, 1)
