"""Twice the uploads the API can take: reads stay quick, refusals are honest, SIGTERM answers everything."""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from deploy.local.ports import HOST, Ports
from tests.faults.files import customers
from tests.faults.oracle import Oracle
from tests.faults.probe import probing
from tests.faults.report import Report
from tests.faults.stack import Backends, FaultStack, open_stack
from tests.faults.tenants import NoAnswer, Tenant

FILE = customers(600, seed=4)
CALIBRATION_CLIENTS = 16
CALIBRATION_SECONDS = 5.0
OVERLOAD_SECONDS = 10.0
OVER = 2.0
MAX_OPEN = 300
"""Uploads under way at once; more would measure the generator."""

DRAIN_SECONDS = 150.0
ANSWER_SECONDS = 20.0


@dataclass
class Load:
    """What was sent and what came back."""

    stack: FaultStack
    tenants: list[Tenant]
    answers: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    unanswered: list[str] = field(default_factory=list)

    async def upload(self) -> bool:
        """Upload one file; whether it was accepted."""
        tenant = self.tenants[self.sent % len(self.tenants)]
        self.sent += 1
        try:
            answer = await tenant.upload(FILE, seconds=ANSWER_SECONDS)
        except NoAnswer as error:
            self.answers["none"] += 1
            self.unanswered.append(str(error))
            return False
        self.answers[f"{answer.status} {answer.body.get('code', '')}".strip()] += 1
        if answer.status == 202:
            self.stack.note(answer.prediction_id, tenant, "overload")
        return answer.status == 202


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Find the rate the API can take, send twice of it, then SIGTERM it under that load."""
    async with open_stack("overload", backends) as stack:
        # Round the proxies: they share an event loop with the clients that load the API.
        api = await stack.start_api(**stack.direct_addresses("producer_api"))
        for _ in range(2):
            await stack.start_worker(**stack.direct_addresses("consumer_worker"))
        await oracle.learn(stack, {"overload": FILE})
        tenants = [stack.tenant(f"tenant-{number}") for number in range(6)]
        for worker in stack.workers:  # scoring would take the CPUs of what is measured
            worker.send_signal(signal.SIGSTOP)
        rate = await _calibrate(Load(stack, tenants))
        reader = stack.tenant("reader")
        read = await stack.upload(reader, FILE, "overload")
        path = f"/v1/predictions/{read.prediction_id}"
        port = int(api.url.rpartition(":")[2])
        async with (
            probing(HOST, port, path, api.pid, reader.token) as reads,
            probing(HOST, port, "/readyz", api.pid) as ready,
            _idle_server(stack) as (idle_port, idle_pid),
            probing(HOST, idle_port, "/", idle_pid) as idle,
        ):
            load = Load(stack, tenants)
            await asyncio.sleep(1)
            began = time.time()
            ran, waited = _cpu_seconds(api.pid)
            await _send(load, OVER * rate, OVERLOAD_SECONDS)
            seconds = time.time() - began
            ran, waited = (
                now - before for now, before in zip(_cpu_seconds(api.pid), (ran, waited), strict=True)
            )
            median, p99 = (reads.quantile_ms(share, began) for share in (0.5, 0.99))
            report.read_p99_ms_under_overload = p99
            report.say(
                stack.name,
                f"the API takes {rate:.0f} uploads/s; at {OVER:.0f} times that: {dict(load.answers)}, "
                f"reads p50 {median:.0f} ms, p99 {p99:.0f} ms, {reads.failed(began)} of {len(reads.trips)} "
                f"unanswered, readiness p99 {ready.quantile_ms(0.99, began):.0f} ms; the API's loop ran for "
                f"{ran / seconds:.0%} of the time and waited for a CPU for {waited / seconds:.0%}; "
                f"p99 of an idle server beside it {idle.quantile_ms(0.99, began):.0f} ms",
            )
            for count in (len(load.unanswered), reads.failed(began)):
                if count:
                    report.stop_other(stack.name, f"{count} requests got no answer under overload")
        for worker in stack.workers:
            worker.send_signal(signal.SIGCONT)
        await _stop_under_load(stack, report, tenants, rate)
        await api.start()
        await stack.wait_final(stack.accepted, DRAIN_SECONDS)
        report.say(stack.name, await oracle.judge(stack, report))


@asynccontextmanager
async def _idle_server(stack: FaultStack) -> AsyncIterator[tuple[int, int]]:
    """Run a server that serves nothing but its probe: what that one waits for, the machine is short of.

    Returns its port and its process id.
    """
    port = Ports.free(0).api
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--protocol", "HTTP/1.1"),
        *("--directory", str(stack.folder / "state")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Return how long a process's main thread has run, and how long it was ready and had no CPU."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


async def _calibrate(load: Load) -> float:
    """Return the uploads a second that are accepted from a few clients, each sending one after the other."""
    end = time.monotonic() + CALIBRATION_SECONDS
    accepted = 0

    async def client() -> None:
        nonlocal accepted
        while time.monotonic() < end:
            taken = await load.upload()
            accepted += taken

    await asyncio.gather(*(client() for _ in range(CALIBRATION_CLIENTS)))
    return max(1.0, accepted / CALIBRATION_SECONDS)


async def _send(load: Load, rate: float, seconds: float) -> None:
    """Send uploads at a rate, whether the ones before were answered or not."""
    began = time.monotonic()
    open_now: set[asyncio.Task[bool]] = set()
    sent = 0
    while (now := time.monotonic() - began) < seconds:
        while sent < now * rate:
            sent += 1
            if len(open_now) < MAX_OPEN:
                task = asyncio.create_task(load.upload())
                open_now.add(task)
                task.add_done_callback(open_now.discard)
        await asyncio.sleep(0.005)
    await asyncio.gather(*open_now, return_exceptions=True)


async def _stop_under_load(stack: FaultStack, report: Report, tenants: list[Tenant], rate: float) -> None:
    """SIGTERM while clients upload: each request on a connection that was taken is answered."""
    load = Load(stack, tenants)
    sending = asyncio.create_task(_send(load, rate, 4.0))
    await asyncio.sleep(2)
    stack.api.send_signal(signal.SIGTERM)
    said_no = await _readiness_says_no(stack)
    code = await stack.api.child.wait()
    await sending
    # Once it has ended nobody listens: that is a refused connection, not a request without an answer.
    cut = [text for text in load.unanswered if "ClientConnectorError" not in text]
    report.say(
        stack.name,
        f"SIGTERM under load: ended with {code}, {dict(load.answers)}, {len(cut)} cut off, readiness "
        + ("said no before the socket closed" if said_no else "never said no"),
    )
    if cut:
        report.stop_other(stack.name, f"{len(cut)} requests were cut off by a SIGTERM, as: {cut[0]}")
    if not said_no:
        report.stop_other(stack.name, "readiness did not say no before the socket closed")


async def _readiness_says_no(stack: FaultStack) -> bool:
    timeout = aiohttp.ClientTimeout(total=3)
    while stack.api.child.running:
        try:
            async with stack.session.get(f"{stack.api.url}/readyz", timeout=timeout) as answer:
                if answer.status == 503:
                    return True
        except (aiohttp.ClientError, TimeoutError):
            return False
    return False
