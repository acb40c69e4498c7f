"""What one core of the API serves, beside what is usual and what is possible: `make bench-api`.

Our API, a FastAPI service with SQLAlchemy and a bare aiohttp handler answer the same read, in turns, so that
whatever else the machine does meets all three. A figure in reads/s is answers for each second of CPU time
that the server took: what it serves on a core of its own, also on a busy machine. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.ports import Ports
from deploy.local.services import Service
from tests.api.stack import CUSTOMERS, ApiStack, open_stack
from tests.benchmarks.upload_memory import measure as measure_upload

ROOT = Path(__file__).parents[3]
CONNECTIONS = 16
ROUNDS = 5
ROUND_SECONDS = 3.0
CREATES = 300
LARGE_ROWS = 200_000
PAGES = 60
UPLOAD_MB = 500

SERVER_CORE, LOAD_CORE = 0, 1

SETTINGS = {
    "REQUESTS_PER_SECOND": "1000000",
    "MAX_UNFINISHED_PREDICTIONS": "100000",
    "CORS_ALLOWED_ORIGINS": "http://localhost:5173",
}


@dataclass
class Contender:
    """A server that answers the read, and what it has served so far."""

    name: str
    url: str
    pid: int
    request: bytes
    per_core: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    async def load(self, seconds: float) -> None:
        """Load it for a time and note what it served."""
        process = psutil.Process(self.pid)
        before = _cpu_seconds(process)
        answered = await _load(self.url, self.request, seconds)
        took = _cpu_seconds(process) - before
        assert not answered["failed"], f"{self.name}: {answered['failed']:.0f} answers are no success"
        self.per_core.append(answered["answers"] / took)
        self.per_second.append(answered["answers"] / answered["seconds"])
        self.p50_ms.append(answered["p50_ms"])
        self.p99_ms.append(answered["p99_ms"])

    def print_figures(self) -> None:
        """Print what it served."""
        print(
            f"{self.name}: {statistics.median(self.per_core):,.0f} reads/s on a core "
            f"({', '.join(f'{rate:,.0f}' for rate in self.per_core)}), "
            f"{statistics.median(self.per_second):,.0f}/s here and now, "
            f"p50 {statistics.median(self.p50_ms):.1f} ms, p99 {statistics.median(self.p99_ms):.1f} ms"
        )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _load(url: str, request: bytes, seconds: float) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.benchmarks.api.load", url),
        *("--connections", str(CONNECTIONS), "--seconds", str(seconds)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _pin(process.pid, LOAD_CORE)
    written, _ = await process.communicate(request)
    answered: dict[str, float] = json.loads(written)
    return answered


def _pin(pid: int, core: int) -> None:
    """Keep a process and its threads on one core."""
    if (os.cpu_count() or 1) > 1:
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, {core})


@asynccontextmanager
async def _started(folder: Path, name: str, module: str, env: Mapping[str, str]) -> AsyncIterator[Service]:
    port = Ports.free(0).api
    env = {**env, "HTTP_PORT": str(port), "PYTHONPATH": str(ROOT)}
    service = Service(name, module, port, env=env, log=folder / f"{name}.log")
    try:
        await service.start()
        yield service
    finally:
        await service.child.stop()


async def measure_reads(stack: ApiStack, rounds: int) -> dict[str, float]:
    """Read the status of one prediction from all three, in turns."""
    tenant = stack.tenant("reads")
    prediction = await tenant.predict()
    await tenant.finished(prediction["prediction_id"])
    path = f"/v1/predictions/{prediction['prediction_id']}"
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        f"Authorization: {tenant.headers['Authorization']}\r\n\r\n"
    ).encode()
    async with stack.http.get(f"{stack.url}{path}", headers=tenant.headers) as response:
        body = stack.folder / "body.json"
        body.write_bytes(await response.read())
    environment = {**stack.api.child._env, "BODY": str(body)}
    async with AsyncExitStack() as started:
        others = [
            await started.enter_async_context(
                _started(stack.folder, name, f"tests.benchmarks.api.{name}_service", environment)
            )
            for name in ("fastapi", "bare")
        ]
        contenders = [
            Contender(service.name, service.url, service.child.pid or 0, request)
            for service in (stack.api, *others)
        ]
        static = request.replace(path.encode(), b"/static")
        contenders.append(Contender("bare, without a read", others[1].url, others[1].child.pid or 0, static))
        for contender in contenders:
            _pin(contender.pid, SERVER_CORE)
            await contender.load(1)
            contender.per_core.clear()
            contender.per_second.clear()
            contender.p50_ms.clear()
            contender.p99_ms.clear()
        for _ in range(rounds):
            for contender in contenders:
                await contender.load(ROUND_SECONDS)
    for contender in contenders:
        contender.print_figures()
    ours, fastapi, bare, static_bytes = contenders
    rate = statistics.median(ours.per_core)
    return {
        "reads_per_s": round(rate),
        "reads_ratio_to_fastapi": round(rate / statistics.median(fastapi.per_core), 2),
        "reads_ratio_to_bare": round(rate / statistics.median(bare.per_core), 2),
        "reads_ratio_to_static": round(rate / statistics.median(static_bytes.per_core), 2),
        "p50_ms": round(statistics.median(ours.p50_ms), 1),
        "p99_ms": round(statistics.median(ours.p99_ms), 1),
    }


async def measure_creates(stack: ApiStack) -> dict[str, float]:
    """Queue predictions of a file that is uploaded already."""
    tenant = stack.tenant("creates")
    upload = await tenant.post("/v1/uploads", data=CUSTOMERS, headers={"Content-Type": "text/csv"})
    assert upload.status == 201, upload
    request = {"upload_id": upload.content["upload_id"]}
    process = psutil.Process(stack.api.child.pid)
    before = _cpu_seconds(process)

    async def create(number: int) -> None:
        headers = {"Idempotency-Key": f"bench-{number}"}
        answer = await tenant.post("/v1/predictions", json=request, headers=headers)
        assert answer.status == 202, answer

    for begin in range(0, CREATES, 8):
        await asyncio.gather(*(create(number) for number in range(begin, min(begin + 8, CREATES))))
    return {"create_per_s": round(CREATES / (_cpu_seconds(process) - before))}


async def measure_rows(stack: ApiStack) -> dict[str, float]:
    """Read pages of a large result: the first one, whose file is fetched, and many after it."""
    tenant = stack.tenant("rows")
    prediction = await tenant.predict(_large_file())
    assert (await tenant.finished(prediction["prediction_id"]))["status"] == "COMPLETED"
    path = f"/v1/predictions/{prediction['prediction_id']}/rows"
    process = psutil.Process(stack.api.child.pid)

    async def read(query: Mapping[str, str]) -> tuple[float, str | None]:
        began = time.perf_counter()
        answer = await tenant.get(path, params=query)
        assert answer.status == 200, answer
        return time.perf_counter() - began, answer.content["next_cursor"]

    cold, _ = await read({"order": "risk", "limit": "100"})
    before = _cpu_seconds(process)
    warm = []
    for query in ({"order": "risk"}, {"order": "file"}, {"order": "risk", "risk": "high"}):
        cursor: str | None = None
        for _ in range(PAGES):
            seconds, cursor = await read({**query, "limit": "100", **({"cursor": cursor} if cursor else {})})
            warm.append(seconds)
            if cursor is None:
                break
    print(
        f"rows: first page {1_000 * cold:.0f} ms, then {len(warm)} pages of 100 of {LARGE_ROWS:,} rows, "
        f"{len(warm) / (_cpu_seconds(process) - before):,.0f} pages/s on a core"
    )
    warm.sort()
    return {
        "rows_page_cold_ms": round(1_000 * cold),
        "rows_page_p50_ms": round(1_000 * warm[len(warm) // 2], 1),
        "rows_page_p95_ms": round(1_000 * warm[len(warm) * 95 // 100], 1),
    }


def _large_file() -> bytes:
    header = b"customerID,tenure,Contract,MonthlyCharges,InternetService\n"
    contracts = (b"Month-to-month", b"One year", b"Two year")
    services = (b"Fiber optic", b"DSL", b"No")
    rows = [
        b"c-%d,%d,%s,%d.%02d,%s\n"
        % (row, row % 72, contracts[row % 3], 20 + row % 97, row % 100, services[row // 3 % 3])
        for row in range(LARGE_ROWS)
    ]
    return header + b"".join(rows)


async def measure(rounds: int) -> dict[str, float]:
    """Measure everything."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="retainwise-bench-api-") as folder:
        Path(folder).chmod(0o755)  # noqa: ASYNC240 before anything runs
        async with open_stack(Path(folder), **SETTINGS) as stack:
            figures |= await measure_reads(stack, rounds)
            figures |= await measure_creates(stack)
            figures |= await measure_rows(stack)
    upload = await measure_upload(UPLOAD_MB)
    return figures | {
        "upload_mb_per_s": round(upload["upload_mb"] / upload["seconds"]),
        "upload_peak_mb": upload["peak_rss_growth_mb"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.benchmarks.api")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often the three take turns")
    parser.add_argument("--reads", action="store_true", help="measure reads alone")
    options = parser.parse_args()
    if options.reads:
        print(json.dumps(asyncio.run(_measure_reads_alone(options.rounds))))
    else:
        print(json.dumps(asyncio.run(measure(options.rounds))))


async def _measure_reads_alone(rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="retainwise-bench-api-") as folder:
        Path(folder).chmod(0o755)  # noqa: ASYNC240 before anything runs
        async with open_stack(Path(folder), **SETTINGS) as stack:
            return await measure_reads(stack, rounds)


if __name__ == "__main__":
    main()
