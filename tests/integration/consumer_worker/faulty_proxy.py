"""A reverse proxy in front of the emulator that delays, refuses or cuts chosen requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

Effect = Literal["delay", "refuse", "cut", "fail_entries"]

MAX_BODY_BYTES = 64 << 20


@dataclass
class Fault:
    """What happens to the first `times` requests whose name contains `request`.

    A request's name is its SQS action, or its method and path: `DeleteMessageBatch`, `PUT /files/results/…`.
    `hit` is set with the first of them, so that a test knows that the stage is reached.
    """

    request: str
    effect: Effect
    times: int = 1
    delay_seconds: float = 0.0
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, name: str) -> bool:
        """Whether this request is one of them; counts it if so."""
        if self.request not in name or not self.times:
            return False
        self.times -= 1
        self.hit.set()
        return True


class FaultyProxy:
    """Forwards to the emulator at `upstream`, but for the faults it is given."""

    def __init__(self, upstream: str, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.faults: list[Fault] = []
        self._upstream = upstream
        self._session = session

    def add(self, request: str, effect: Effect, *, times: int = 1, delay_seconds: float = 0.0) -> Fault:
        """Have requests of that name go wrong from now on."""
        fault = Fault(request, effect, times, delay_seconds)
        self.faults.append(fault)
        return fault

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        target = request.headers.get("X-Amz-Target", "")
        name = target.rpartition(".")[2] or f"{request.method} {request.path}"
        body = await request.read()
        fault = next((fault for fault in self.faults if fault.strikes(name)), None)
        if fault is not None and fault.effect == "delay":
            await asyncio.sleep(fault.delay_seconds)
        elif fault is not None and fault.effect == "refuse":
            return web.Response(status=503, text="<Error><Code>ServiceUnavailable</Code></Error>")
        elif fault is not None and fault.effect == "fail_entries":
            return _fail_entries(body)
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.raw_path}",
            data=body,
            headers={key: value for key, value in request.headers.items() if key.lower() != "host"},
        ) as answer:
            content = await answer.read()
            if fault is not None and fault.effect == "cut":
                return await self._cut(request, content)
            headers = {
                key: value
                for key, value in answer.headers.items()
                if key.lower() not in {"content-length", "transfer-encoding", "connection"}
            }
            return web.Response(status=answer.status, body=content, headers=headers)

    async def _cut(self, request: web.Request, content: bytes) -> web.StreamResponse:
        """Announce the whole content, send half of it, close the connection."""
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.close()
        return response


def _fail_entries(body: bytes) -> web.Response:
    """Answer 200 with every entry failed through no fault of the sender, as SQS may."""
    failed = [
        {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
        for entry in json.loads(body)["Entries"]
    ]
    return web.json_response({"Successful": [], "Failed": failed}, content_type="application/x-amz-json-1.0")


@asynccontextmanager
async def serve_proxy(upstream: str, port: int) -> AsyncIterator[FaultyProxy]:
    """Run a proxy on 127.0.0.1 while the block runs."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = FaultyProxy(upstream, f"http://127.0.0.1:{port}", session)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", proxy.forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield proxy
        finally:
            await runner.cleanup()
