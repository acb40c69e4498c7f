"""Hostile requests and files, one after the other, each while another tenant uploads a small file."""

import asyncio
import re
import time
import uuid
from contextlib import AsyncExitStack, suppress

from deploy.local.ports import HOST
from tests.faults.files import SMALL
from tests.faults.hostile.files import FILES, HostileFile
from tests.faults.hostile.requests import REQUESTS
from tests.faults.leaks import Leaks
from tests.faults.oracle import FAILURES_OF_OURS, Oracle
from tests.faults.probe import Probe, probing
from tests.faults.report import MAX_LOOP_BLOCK_MS, Report
from tests.faults.sampling import Sampler
from tests.faults.stack import FINAL, Accepted, Backends, FaultStack, open_stack
from tests.faults.tenants import NoAnswer, Tenant

ANSWER_SECONDS = 6.0
"""How long an answer to a hostile request is waited for; some wait for more of it, rightly."""

NEIGHBOUR_ACCEPTED_SECONDS = 5.0
NEIGHBOUR_SCORED_SECONDS = 30.0
FILE_SECONDS = 45.0
FILES_SECONDS = 330.0
"""For all hostile files: those that had no turn by then are not counted as made."""

REPEATS = 3
"""A block is the input's only if it comes each time: otherwise something else had its turn."""

HEAVY = (
    "1,000 headers and a million empty lines",
    "1,000 columns, 4,000 full rows",
    "400,000 short lines with five reasons",
    "300,000 times the same customer",
)
"""What takes most memory: scored once more, in a child and in threads at the same time."""

BESIDE_SUSPECT = 3

MAX_OPEN_BYTES = 500
"""What an open route says is a word or a problem; details and metrics have a port of their own."""


async def run_requests(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Send each hostile request, with the loop's delay measured from another process."""
    leaks = Leaks(report)
    async with open_stack("hostile-requests", backends) as stack, AsyncExitStack() as opened:
        api = await stack.start_api()
        await stack.start_worker()
        port = int(api.url.rpartition(":")[2])
        probe = await opened.enter_async_context(probing(HOST, port, "/livez", api.pid))
        mallory, neighbour = stack.tenant("mallory"), stack.tenant("neighbour")
        leaks.plant_token(mallory.token)
        leaks.plant_token(neighbour.token)
        await neighbour_uploads(stack, neighbour)
        worst: dict[str, float] = {}
        for name, build in REQUESTS.items():
            request = build(mallory.token)
            answers = asyncio.create_task(_watched(probe, port, request))
            await require_neighbour(stack, report, neighbour, name)
            block, answer = await answers
            for _ in range(REPEATS):
                if block <= MAX_LOOP_BLOCK_MS:
                    break
                request = _shorten(request)
                block = min(block, (await _watched(probe, port, request))[0])
            worst[name] = block
            report.loop_block_ms_max = max(report.loop_block_ms_max, block)
            leaks.look_at_answer(f"request: {name}", answer)
            if block > MAX_LOOP_BLOCK_MS:
                report.say(stack.name, f"WRONG: {name} blocks the API's loop for {block:.0f} ms")
        report.hostile_inputs += len(REQUESTS)
        await _open_routes(stack, port, leaks)
        await stack.wait_final(stack.accepted, NEIGHBOUR_SCORED_SECONDS)
        leaks.look_at_logs(stack.folder.glob("*.log"))
        log_bytes = sum(log.stat().st_size for log in stack.folder.glob("producer_api*.log"))
        report.say(
            stack.name,
            f"{len(REQUESTS)} requests, longest block "
            f"{max(worst.values()):.0f} ms ({max(worst, key=worst.__getitem__)}), "
            f"{log_bytes / 1000:.0f} KB of log; " + await oracle.judge(stack, report),
        )


async def run_files(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Upload each hostile file, with the worker's memory and scratch sampled."""
    leaks = Leaks(report)
    async with open_stack("hostile-files", backends) as stack:
        api = await stack.start_api()
        worker = await stack.start_worker()
        port = int(api.url.rpartition(":")[2])
        sampler = Sampler(worker, report, stack.name)
        mallory, neighbour = stack.tenant("mallory"), stack.tenant("neighbour")
        await neighbour_uploads(stack, neighbour)
        async with probing(HOST, port, "/livez", api.pid) as probe, asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker.keep_alive()), group.create_task(sampler.run())]
            end = time.monotonic() + FILES_SECONDS
            for name, file in FILES.items():
                if time.monotonic() > end:
                    report.say(stack.name, f"no time was left for {name}")
                    continue
                sampler.reset()
                await _one_file(stack, report, sampler, probe, mallory, neighbour, name, file)
                report.hostile_inputs += 1
            for name in HEAVY:
                sampler.reset()
                await _beside_a_suspect(stack, report, sampler, name)
            await stack.wait_final(stack.accepted, NEIGHBOUR_SCORED_SECONDS)
            for task in tasks:
                task.cancel()
        leaks.look_at_logs(stack.folder.glob("*.log"))
        report.say(stack.name, f"{len(FILES)} files; " + await oracle.judge(stack, report))


async def _one_file(
    stack: FaultStack,
    report: Report,
    sampler: Sampler,
    probe: Probe,
    mallory: Tenant,
    neighbour: Tenant,
    name: str,
    file: HostileFile,
) -> None:
    content = await asyncio.to_thread(file.make)
    began = time.time()
    ours: Accepted | None = None
    said = "not answered"
    try:
        answer = await mallory.upload(content, query=file.query)
        said = f"{answer.status} {answer.body.get('code', '')}".strip()
        if answer.status == 202:
            ours = stack.note(answer.prediction_id, mallory, None)
    except NoAnswer as error:
        report.stop_other(stack.name, f"{name}: {error}")
    block = probe.worst_block_ms(began)
    for _ in range(REPEATS):
        if block <= MAX_LOOP_BLOCK_MS:
            break
        again = time.time()
        with suppress(NoAnswer):
            answer = await mallory.upload(content, query=file.query)
            if answer.status == 202:
                stack.note(answer.prediction_id, mallory, None)
        block = min(block, probe.worst_block_ms(again))
    report.loop_block_ms_max = max(report.loop_block_ms_max, block)
    await require_neighbour(stack, report, neighbour, name, scored=True)
    if ours is not None:
        await stack.wait_final([ours], FILE_SECONDS)
        row = (await stack.rows([ours]))[ours.prediction_id]
        said = f"{row['status']} {row['code'] or ''}".strip()
        if row["status"] not in FINAL:
            report.say(stack.name, f"WRONG: {name} has not ended after {FILE_SECONDS:.0f} s")
        elif row["code"] in FAILURES_OF_OURS:
            report.say(stack.name, f"WRONG: {name} failed with {row['code']}")
    ratio = sampler.rate(len(content)) if ours is not None else 0.0
    report.say(
        stack.name,
        f"{name} ({len(content) / 1e6:.1f} MB): {said}, {time.time() - began:.1f} s, worker at "
        f"{sampler.peak_mb:.0f} MB, scratch {ratio:.1f} times, block {block:.0f} ms",
    )


async def _beside_a_suspect(stack: FaultStack, report: Report, sampler: Sampler, name: str) -> None:
    """Have a file scored in a child, as if it had killed a worker, while the threads score it as well."""
    content = await asyncio.to_thread(FILES[name].make)
    query = FILES[name].query
    await stack.api.side.sqs.set_mode("refuse")  # the worker must not claim them first
    tenants = [stack.tenant(f"mallory-{number}") for number in range(BESIDE_SUSPECT + 1)]
    accepted = []
    for tenant in tenants:
        answer = await tenant.upload(content, query=query)
        accepted.append(stack.note(answer.prediction_id, tenant, None))
    suspect = accepted[0]
    await stack.owner.execute(
        "update predictions set crashes = 1 where prediction_id = $1", uuid.UUID(suspect.prediction_id)
    )
    await stack.api.side.sqs.set_mode("pass")
    await stack.wait_final(accepted, FILE_SECONDS)
    row = (await stack.rows([suspect]))[suspect.prediction_id]
    if row["code"] == "worker_crashed":
        report.failed_wrongly += 1
        report.say(stack.name, f"WRONG: {name} ended its child process")
    report.say(
        stack.name,
        f"{name}, in a child and {BESIDE_SUSPECT} times beside it: {row['status']} {row['code'] or ''}, "
        f"worker at {sampler.peak_mb:.0f} MB",
    )


async def neighbour_uploads(stack: FaultStack, neighbour: Tenant) -> None:
    """Warm everything up with a small file that is scored."""
    await stack.wait_final([await stack.upload(neighbour, SMALL, "small")], NEIGHBOUR_SCORED_SECONDS)


async def require_neighbour(
    stack: FaultStack, report: Report, neighbour: Tenant, what: str, *, scored: bool = False
) -> None:
    """Upload a small file for another tenant, which must be accepted soon, and scored soon if asked."""
    try:
        answer = await neighbour.upload(SMALL, seconds=NEIGHBOUR_ACCEPTED_SECONDS)
        if answer.status == 202:
            accepted = stack.note(answer.prediction_id, neighbour, "small")
            await neighbour.read(answer.prediction_id, seconds=NEIGHBOUR_ACCEPTED_SECONDS)
            if scored and not await stack.wait_final([accepted], NEIGHBOUR_SCORED_SECONDS):
                report.stop_other(
                    stack.name,
                    f"{what}: a neighbour's file was not scored in {NEIGHBOUR_SCORED_SECONDS:.0f} s",
                )
        else:
            report.stop_other(stack.name, f"{what}: a neighbour's upload was answered {answer.status}")
    except NoAnswer as error:
        report.stop_other(stack.name, f"{what}: a neighbour got no answer: {error}")


async def _watched(probe: Probe, port: int, request: bytes) -> tuple[float, bytes]:
    """Send a request; returns the longest block that the probe saw, and the answer."""
    began = time.time()
    answer = await exchange(port, request, ANSWER_SECONDS)
    await asyncio.sleep(0.1)  # the probe's next round trip
    return probe.worst_block_ms(began), answer


def _shorten(request: bytes) -> bytes:
    """Take a byte out of the longest run in the head: what was parsed before may be remembered."""
    head, end, body = request.partition(b"\r\n\r\n")
    runs = [match.span() for match in re.finditer(rb"(.)\1{100,}", head, re.DOTALL)]
    if not runs:
        return request
    start, _ = max(runs, key=lambda span: span[1] - span[0])
    return head[:start] + head[start + 1 :] + end + body


async def exchange(port: int, request: bytes, seconds: float) -> bytes:
    """Send raw bytes and return what comes back until the end, or within so many seconds."""
    answer = b""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(HOST, port)
            sending = asyncio.ensure_future(_send(writer, request))
            try:
                while data := await reader.read(65_536):
                    answer += data
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            writer.transport.abort()
    return answer


async def _send(writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    await writer.drain()


async def _open_routes(stack: FaultStack, port: int, leaks: Leaks) -> None:
    """Look at what the open routes say while every dependency is gone."""
    side = stack.api.side
    for proxy in (side.database, side.s3, side.sqs):
        await proxy.set_mode("refuse")
    await asyncio.sleep(3)
    for path in ("/livez", "/readyz", "/metrics", "/nowhere"):
        answer = await exchange(
            port, f"GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n".encode(), ANSWER_SECONDS
        )
        leaks.look_at_answer(f"open route {path}", answer, is_open=True)
        if len(answer.partition(b"\r\n\r\n")[2]) > MAX_OPEN_BYTES:
            leaks.note(f"open route {path}", "an open route says more than a word or a problem")
    for proxy in (side.database, side.s3, side.sqs):
        await proxy.set_mode("pass")
    await asyncio.sleep(2)
