"""Measures the memory a 500 MB upload takes: `python -m tests.benchmarks.upload_memory [megabytes]`.

The API runs as a process of its own, with a real PostgreSQL and the S3 emulator. Its peak resident memory
during the upload is compared with its memory before, after a small warm-up upload.
Prints one JSON line.
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from deploy.local.database import database_urls, prepare_database
from deploy.local.emulator import Emulator, prepare_environment
from deploy.local.issuer import Issuer
from deploy.local.postgres import PostgresServer
from deploy.local.provision import CREDENTIALS, REGION, Names, provision

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
HEADER = b"customerID,tenure,Contract,MonthlyCharges,InternetService\n"
ROW = b"7659-YHVDW,72,One year,19.35,Fiber optic\n"


def _unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _memory(pid: int, field: str) -> float:
    """Read a field of /proc/<pid>/status, in MB: VmRSS is the current value, VmHWM the peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise LookupError(field)


async def _file(size: int) -> AsyncIterator[bytes]:
    block = ROW * (MEGABYTE // len(ROW))
    yield HEADER
    for _ in range(size // len(block)):
        yield block


@asynccontextmanager
async def _started_api(folder: Path) -> AsyncIterator[tuple[int, str, str]]:
    """Run the API and everything it needs; yields its process id, its URL and a token."""
    async with AsyncExitStack() as stack:
        server = PostgresServer(folder / "server", _unused_port(), log=folder / "postgres.log", durable=False)
        stack.callback(server.remove)
        await server.start()
        stack.push_async_callback(server.stop)
        await prepare_database(server)
        environment = await prepare_environment(ROOT / ".local" / "environments", folder / "install.log")
        emulator = Emulator(
            folder / "state",
            _unused_port(),
            environment=environment,
            log=folder / "emulator.log",
            durable=False,
        )
        await emulator.start()
        stack.push_async_callback(emulator.stop)
        made = await provision(emulator.endpoint_url, Names())
        issuer = Issuer(folder, _unused_port())
        await stack.enter_async_context(issuer.serve())
        port = _unused_port()
        api = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "producer_api",
            env=os.environ
            | CREDENTIALS
            | {
                "AWS_ENDPOINT_URL": emulator.endpoint_url,
                "AWS_REGION": REGION,
                "DATABASE_URL": database_urls(server).producer,
                "PREDICTIONS_QUEUE_URL": made.queue_url,
                "PREDICTION_EVENTS_TOPIC_ARN": made.topic_arn,
                "BUCKET_NAME": made.bucket,
                "JWKS_URL": issuer.jwks_url,
                "JWT_ISSUER": issuer.issuer,
                "JWT_AUDIENCE": issuer.audience,
                "HTTP_HOST": "127.0.0.1",
                "HTTP_PORT": str(port),
                "ADMIN_PORT": "0",
                "LOG_LEVEL": "WARNING",
            },
        )
        try:
            await _until_ready(f"http://127.0.0.1:{port}")
            yield api.pid, f"http://127.0.0.1:{port}", issuer.mint("benchmark")
        finally:
            api.terminate()
            await api.wait()


async def _until_ready(url: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def measure(upload_mb: int) -> dict[str, float]:
    """Upload a file of this many megabytes and return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        # The database's server may run as another user.
        Path(folder).chmod(0o755)  # noqa: ASYNC240 before anything runs
        async with _started_api(Path(folder)) as (pid, url, token), aiohttp.ClientSession() as http:

            async def upload(size: int) -> None:
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
                timeout = aiohttp.ClientTimeout(total=600)
                async with http.post(
                    f"{url}/v1/predictions", data=_file(size), headers=headers, timeout=timeout
                ) as response:
                    assert response.status == 202, await response.text()

            await upload(MEGABYTE)
            before = _memory(pid, "VmRSS")
            started = time.perf_counter()
            await upload(upload_mb * MEGABYTE)
            seconds = time.perf_counter() - started
            return {
                "upload_mb": upload_mb,
                "peak_rss_growth_mb": round(_memory(pid, "VmHWM") - before, 1),
                "seconds": round(seconds, 1),
            }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500))))
