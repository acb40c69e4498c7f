"""Many connections of one tenant, or of nobody: slow uploads, requests that never end, floods of reads."""

import asyncio
import time
from contextlib import suppress

import aiohttp

from deploy.local.ports import HOST
from tests.faults.hostile.run import neighbour_uploads, require_neighbour
from tests.faults.leaks import Leaks
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import Backends, FaultStack, open_stack

UPLOADS = 32
HALF_OPEN = 1_200
WITHOUT_TOKEN = 400
READERS = 200
DESCRIPTORS = 1_024
CROWD_SECONDS = 40.0
SHORT_CROWD_SECONDS = 15.0
PERIOD_SECONDS = 4.0
MAX_LOG_BYTES = 20_000_000
DESCRIPTOR_LIMIT = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Have another tenant upload while the crowds hold on."""
    async with open_stack("crowds", backends) as stack:
        await stack.start_api(prefix=DESCRIPTOR_LIMIT)
        await stack.start_worker()
        await neighbour_uploads(stack, stack.tenant("neighbour"))
        await _crowd(stack, report, f"{UPLOADS} uploads of a byte a second", _drips(stack))
        await _crowd(stack, report, f"{HALF_OPEN} half-open requests", _half_open(stack))
        for what, crowd in (
            (f"{WITHOUT_TOKEN} slow bodies without a valid token", _without_token(stack)),
            (f"{READERS} readers of one tenant", _readers(stack)),
        ):
            await _crowd(stack, report, what, crowd, SHORT_CROWD_SECONDS)
        report.hostile_inputs += 4
        await stack.wait_final(stack.accepted, 60)
        Leaks(report).look_at_logs(stack.folder.glob("*.log"))
        log_bytes = sum(log.stat().st_size for log in stack.folder.glob("producer_api*.log"))
        if log_bytes > MAX_LOG_BYTES:
            report.stop_other(stack.name, f"{log_bytes / 1e6:.0f} MB of log fill everybody's disk")
        report.say(stack.name, f"{log_bytes / 1e6:.2f} MB of log; " + await oracle.judge(stack, report))


async def _crowd(
    stack: FaultStack,
    report: Report,
    what: str,
    crowd: "list[asyncio.Task[None]]",
    seconds: float = CROWD_SECONDS,
) -> None:
    neighbour = stack.tenant("neighbour")
    stopped = report.stopped_others
    await asyncio.sleep(3)
    end = time.monotonic() + seconds
    alive = 0
    while time.monotonic() < end:
        await require_neighbour(stack, report, neighbour, what)
        alive += await _is_alive(stack, report, what)
        await asyncio.sleep(PERIOD_SECONDS)
    left = sum(not task.done() for task in crowd)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    report.say(
        stack.name,
        f"{what}: {left} of {len(crowd)} held after {seconds:.0f} s, /livez answered {alive} times, "
        f"{report.stopped_others - stopped} times somebody else was stopped",
    )


async def _is_alive(stack: FaultStack, report: Report, what: str) -> bool:
    try:
        timeout = aiohttp.ClientTimeout(total=3)
        async with stack.session.get(f"{stack.api.url}/livez", timeout=timeout) as answer:
            if answer.status == 200:
                return True
            report.stop_other(stack.name, f"{what}: /livez answered {answer.status}")
    except (aiohttp.ClientError, TimeoutError):
        report.stop_other(stack.name, f"{what}: /livez did not answer within 3 s")
    return False


def _drips(stack: FaultStack) -> "list[asyncio.Task[None]]":
    token = stack.tenant("mallory").token
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Type: text/csv\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()
    return [asyncio.create_task(_drip(stack, head, b"a")) for _ in range(UPLOADS)]


def _half_open(stack: FaultStack) -> "list[asyncio.Task[None]]":
    return [asyncio.create_task(_drip(stack, b"POST /v1/pre", b"")) for _ in range(HALF_OPEN)]


def _without_token(stack: FaultStack) -> "list[asyncio.Task[None]]":
    head = b"POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Length: 1000000\r\n\r\n"
    return [asyncio.create_task(_drip(stack, head, b"a")) for _ in range(WITHOUT_TOKEN)]


def _readers(stack: FaultStack) -> "list[asyncio.Task[None]]":
    path, token = f"/v1/predictions/{stack.accepted[0].prediction_id}", stack.tenant("mallory").token
    request = f"GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    return [asyncio.create_task(_read_on(stack, request)) for _ in range(READERS)]


async def _read_on(stack: FaultStack, request: bytes) -> None:
    """Send a request again as soon as its answer arrives, until the other side ends the connection."""
    reader, writer = await asyncio.open_connection(HOST, int(stack.api.url.rpartition(":")[2]))
    try:
        writer.write(request)
        while await reader.read(65_536):
            writer.write(request)
    except OSError:
        return
    finally:
        writer.transport.abort()


async def _drip(stack: FaultStack, head: bytes, drop: bytes) -> None:
    """Send a head, and a drop each second, until the other side ends the connection."""
    port = int(stack.api.url.rpartition(":")[2])
    writer = None
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(head)
        ended = asyncio.ensure_future(reader.read())
        try:
            while not ended.done():
                writer.write(drop)
                await asyncio.wait([ended], timeout=1)
        finally:
            ended.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await ended
    except OSError:
        return
    finally:
        if writer is not None:
            writer.transport.abort()
