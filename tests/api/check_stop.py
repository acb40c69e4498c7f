"""A replica that is stopped under load: every request that had begun is answered, whatever it was."""

import asyncio
import os
import signal
from collections import Counter

import aiohttp

from tests.api.stack import CUSTOMERS, ApiStack

CLIENTS = 12
STOPS = 3
BEGUN = 60
"""Requests that have been answered when the signal comes."""


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Stop a replica several times while clients read, list, create and stream."""
    answered = broken = 0
    for _ in range(STOPS):
        counts = await _stop_one(stack)
        answered += counts.total()
        broken += counts["broken"]
    assert not broken, f"{broken} requests under way were not answered"
    return {"stops": STOPS, "stop_requests": answered}


async def _stop_one(stack: ApiStack) -> Counter[str]:
    counts: Counter[str] = Counter()
    stopped = asyncio.Event()
    async with (
        stack.replica_process(SHUTDOWN_DELAY_SECONDS="0", REQUESTS_PER_SECOND="100000") as replica,
        # Each request has a connection of its own: one that is kept may be closed at the moment it is used.
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as http,
    ):
        headers = stack.tenant("stop").headers
        prediction = await _create(http, replica.url, headers)

        async def request(number: int) -> None:
            path = f"/v1/predictions/{prediction}"
            while True:
                had_stopped = stopped.is_set()
                try:
                    if number % 4 == 0:
                        await _create(http, replica.url, headers)
                    else:
                        paths = (path, "/v1/predictions", f"{path}/events")
                        url = f"{replica.url}{paths[number % 4 - 1]}"
                        async with http.get(url, headers=headers) as response:
                            await response.read()
                            response.raise_for_status()
                except (aiohttp.ClientError, OSError) as error:
                    if had_stopped or isinstance(error, aiohttp.ClientConnectorError):
                        return  # it had not begun when the signal came
                    counts["broken"] += 1
                    print(f"stop: {number % 4}: {error!r}")
                    return
                counts["answered"] += 1

        async with asyncio.timeout(60), asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(request(number))
            while counts["answered"] < BEGUN:
                await asyncio.sleep(0.01)
            os.kill(replica.child.pid or 0, signal.SIGTERM)
            stopped.set()
            await replica.child.wait()
    return counts


async def _create(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
    async with http.post(
        f"{url}/v1/predictions", data=CUSTOMERS, headers={**headers, "Content-Type": "text/csv"}
    ) as response:
        content = await response.json(content_type=None)
        if content.get("code") == "shutting_down":  # it said so before it took the file
            raise aiohttp.ClientConnectionError("shutting down")
        if response.status == 429:  # too many uploads of one tenant at once: an answer, too
            return ""
        response.raise_for_status()
        return str(content["prediction_id"])
