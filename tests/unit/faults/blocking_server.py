"""A server for the probe's tests: it prints its port, and blocks its event loop in several ways."""

import asyncio
import threading
import time

from aiohttp import web

BLOCK_SECONDS = 0.1


async def answer(_: web.Request) -> web.Response:
    return web.Response()


async def compute(_: web.Request) -> web.Response:
    end = time.thread_time() + BLOCK_SECONDS
    while time.thread_time() < end:
        pass
    return web.Response()


async def hold_gil(_: web.Request) -> web.Response:
    """Answer at once, while a thread computes in C and lets nobody have the GIL: 0.3 s of one call."""
    threading.Thread(target=pow, args=(3, 3_000_000)).start()
    return web.Response()


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/", answer), web.get("/compute", compute), web.get("/hold-gil", hold_gil)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
