"""CORS: a page of an allowed origin can read every answer, whatever its status; other pages none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from tests.api.belongings import create_belongings, tenant_routes
from tests.api.stack import CUSTOMERS, ORIGIN, ApiStack

FOREIGN = ("https://evil.example", "null", f"{ORIGIN}.evil.example", ORIGIN.upper(), f"{ORIGIN}/")
CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}

Ask = Callable[[Mapping[str, str]], Awaitable[aiohttp.ClientResponse]]


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Ask for every status from allowed and from foreign origins."""
    async with (
        stack.replica(REQUESTS_PER_SECOND="0.1", MAX_CONCURRENT_UPLOADS="1") as limited,
        stack.replica(MAX_CONCURRENT_UPLOADS="1", MAX_UPLOAD_BYTES="1000") as small,
    ):
        asks = await _asks(stack, limited, small)
        probes, leaks = 0, []
        for status, ask in asks.items():
            for origin in (ORIGIN, *FOREIGN):
                probes += 1
                async with await ask({"Origin": origin}) as response:
                    found = response.status, response.headers.get("Access-Control-Allow-Origin")
                    exposed = response.headers.get("Access-Control-Expose-Headers", "")
                    if found != (status, ORIGIN if origin == ORIGIN else None):
                        leaks.append(f"{status} for {origin}: {found}")
                    elif origin == ORIGIN and not {"Retry-After", "X-Request-Id"} <= set(exposed.split(", ")):
                        leaks.append(f"{status}: not exposed")
                    if "Origin" not in response.headers.getall("Vary", ()):
                        leaks.append(f"{status} for {origin}: a cache may give it to others")
        for route in tenant_routes():
            probes += 1
            preflight = {
                "Origin": ORIGIN,
                "Access-Control-Request-Method": route.method,
                "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match",
            }
            path = route.path.replace("{", "").replace("}", "")
            async with stack.http.options(f"{stack.url}{path}", headers=preflight) as response:
                methods = response.headers.get("Access-Control-Allow-Methods", "").split(", ")
                if response.status != 204 or route.method not in methods:
                    leaks.append(f"preflight of {route.method} {route.path}: {response.status} {methods}")
    for line in leaks:
        print(f"cors: {line}")
    return {"cors_statuses": len(asks), "probes": probes, "leaks": len(leaks)}


async def _asks(stack: ApiStack, limited: str, small: str) -> dict[int, Ask]:
    """Return a request for each status."""
    owner = await create_belongings(stack, "pages")
    token = owner.tenant.headers
    prediction = f"/v1/predictions/{owner.prediction_id}"
    async with stack.http.get(f"{stack.url}{prediction}", headers=token) as response:
        tag = response.headers["ETag"]
    slow = stack.tenant("slow")

    def ask(method: str, path: str, url: str = "", **options: Any) -> Ask:
        async def send(origin: Mapping[str, str]) -> aiohttp.ClientResponse:
            headers = {**token, **origin, **options.get("headers", {})}
            return await stack.http.request(
                method, f"{url or stack.url}{path}", **{**options, "headers": headers}
            )

        return send

    async def ask_limited(origin: Mapping[str, str]) -> aiohttp.ClientResponse:
        while True:  # until the bucket is empty
            response = await ask("GET", "/v1/models", limited)(origin)
            if response.status == 429:
                return response
            response.release()

    async def ask_overloaded(origin: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Ask while another tenant's upload takes the only place."""
        sending, sent = asyncio.Event(), asyncio.Event()

        async def body() -> Any:
            yield CUSTOMERS[:100]
            sending.set()
            await sent.wait()

        upload = asyncio.create_task(
            stack.http.post(f"{small}/v1/uploads", data=body(), headers={**slow.headers, **CSV})
        )
        await sending.wait()
        try:
            async with asyncio.timeout(20):
                while True:
                    response = await ask("POST", "/v1/uploads", small, data=CUSTOMERS, headers=CSV)(origin)
                    if response.status == 503:
                        return response
                    response.release()  # the other upload has not reached its place yet
        finally:
            sent.set()
            (await upload).release()

    return {
        200: ask("GET", prediction),
        201: ask("POST", "/v1/uploads", data=CUSTOMERS, headers=CSV),
        202: ask("POST", "/v1/predictions", data=CUSTOMERS, headers=CSV),
        304: ask("GET", prediction, headers={"If-None-Match": tag}),
        400: ask("POST", "/v1/predictions", data=b"{", headers=JSON),
        401: ask("GET", prediction, headers={"Authorization": "Bearer a.b.c"}),
        404: ask("GET", "/v1/nothing"),
        405: ask("DELETE", "/v1/models"),
        409: ask("POST", f"{prediction}/cancel"),
        412: ask("PATCH", prediction, json={"label": "a"}, headers={"If-Match": '"other"'}),
        413: ask("POST", "/v1/uploads", small, data=CUSTOMERS * 10, headers=CSV),
        415: ask("POST", "/v1/predictions", data=b"a", headers={"Content-Type": "image/png"}),
        422: ask("GET", "/v1/predictions?limit=none"),
        429: ask_limited,
        503: ask_overloaded,
    }
