"""Measure the consumer beside the bare loop: `python -m tests.benchmarks.consumer`. The last line is JSON.

Every request takes 15 ms; the broker is a process of its own, on this machine only, and so is each consumer.

drain   2,000 messages, 50 ms handler, 100 handlers: messages a second, requests a message
idle    41 seconds of an empty queue: requests a second
lease   20 messages, 5 s handler, 2 s visibility: messages delivered twice, requests to extend
stop    SIGTERM in mid-drain, 2 s handler: messages left invisible, seconds to the exit
service the real handler in the whole local stack, 200 rows a file, with 1 and with 2 replicas: files a
        second, seconds from upload to COMPLETED
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from tests.benchmarks.consumer.service import measure_service

DELAY_MS = 15
DRAIN_RUNS = 3
"""The best of these runs counts: other work on the machine only makes a run slower."""
IDLE_SECONDS = 41.0
LOOPBACK_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

Contender = Literal["engine", "bare"]
Figures = dict[str, float]

console = Console(stderr=True)


@dataclass
class Queue:
    """One queue of the running broker."""

    broker: str
    name: str

    def fill(self, messages: int) -> None:
        """Send that many messages."""
        for start in range(0, messages, 10):
            entries = [
                {"Id": str(n), "MessageBody": f'{{"number": {n}, "padding": "{"x" * 100}"}}'}
                for n in range(start, min(start + 10, messages))
            ]
            self._ask("SendMessageBatch", QueueUrl=self.name, Entries=entries)

    def create(self, visibility_seconds: int) -> str:
        """Create the queue; return its URL."""
        attributes = {"VisibilityTimeout": str(visibility_seconds)}
        url: str = self._ask("CreateQueue", QueueName=self.name, Attributes=attributes)["QueueUrl"]
        return url

    def stats(self) -> dict[str, Any]:
        """Return what the broker counted; see `tests.benchmarks.consumer.broker.Stats`."""
        with urllib.request.urlopen(f"{self.broker}/stats/{self.name}", timeout=10) as answer:
            stats: dict[str, Any] = json.load(answer)
        stats["asked"] = sum(n for action, n in stats["requests"].items() if not action.startswith("Send"))
        return stats

    def _ask(self, action: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            self.broker, json.dumps(body).encode(), {"X-Amz-Target": f"AmazonSQS.{action}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            response: dict[str, Any] = json.load(answer)
        return response


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """Run the broker; yield its address."""
    command = [sys.executable, "-m", "tests.benchmarks.consumer.broker", "--delay-ms", str(DELAY_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def consuming(
    contender: Contender, queue: Queue, *, messages: int, handler_seconds: float, visibility_seconds: int = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """Fill the queue, then run a contender on it until the block ends."""
    url = queue.create(visibility_seconds)
    queue.fill(messages)
    command = [sys.executable, "-m", "tests.benchmarks.consumer.contenders", contender]
    environment = (
        os.environ
        | LOOPBACK_CREDENTIALS
        | {
            "AWS_ENDPOINT_URL_SQS": queue.broker,
            "QUEUE_URL": url,
            "HANDLER_SECONDS": str(handler_seconds),
            "VISIBILITY_SECONDS": str(visibility_seconds),
        }
    )
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_deleted(queue: Queue, count: int, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the queue's figures once `count` messages are gone."""
    give_up_at = time.monotonic() + 120
    while (stats := queue.stats())["deleted"] < count:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise SystemExit(f"{queue.name}: only {stats['deleted']} of {count} messages were handled")
        time.sleep(0.05)
    return stats


def stop(process: subprocess.Popen[bytes]) -> float:
    """Send SIGTERM; return the seconds until it has ended."""
    signalled_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(40)
    return time.monotonic() - signalled_at


def drain(address: str, contender: Contender) -> Figures:
    """Empty a full queue."""
    runs = []
    for run in range(DRAIN_RUNS):
        queue = Queue(address, f"drain-{contender}-{run}")
        with consuming(contender, queue, messages=2_000, handler_seconds=0.05) as process:
            stats = wait_until_deleted(queue, 2_000, process)
        seconds = stats["last_delete"] - stats["first_receive"]
        runs.append({"msg_per_s": 2_000 / seconds, "req_per_msg": stats["asked"] / 2_000})
    return max(runs, key=lambda figures: figures["msg_per_s"])


def idle(address: str, contender: Contender) -> Figures:
    """Wait at a queue that has just been emptied."""
    queue = Queue(address, f"idle-{contender}")
    with consuming(contender, queue, messages=200, handler_seconds=0.05) as process:
        before = wait_until_deleted(queue, 200, process)["asked"]
        time.sleep(IDLE_SECONDS)
        after = queue.stats()["asked"]
        queue.fill(10)
        wait_until_deleted(queue, 210, process)  # it was idle, not dead
        return {"idle_req_per_s": (after - before) / IDLE_SECONDS}


def lease(address: str, contender: Contender) -> Figures:
    """Handle for two and a half times the visibility timeout."""
    queue = Queue(address, f"lease-{contender}")
    with consuming(contender, queue, messages=20, handler_seconds=5, visibility_seconds=2) as process:
        time.sleep(8)
        if contender == "engine":
            wait_until_deleted(queue, 20, process)
        stats = queue.stats()
        return {
            "lease_duplicates": stats["redelivered"],
            "lease_extension_requests": stats["requests"].get("ChangeMessageVisibilityBatch", 0),
        }


def stopping(address: str, contender: Contender) -> Figures:
    """Stop in the middle of the work."""
    queue = Queue(address, f"stop-{contender}")
    with consuming(contender, queue, messages=2_000, handler_seconds=2) as process:
        wait_until_deleted(queue, 150, process)
        seconds = stop(process)
        return {"stranded": queue.stats()["in_flight"], "stop_s": seconds}


def measure(address: str) -> dict[Contender, Figures]:
    """Run every measurement, first for the engine, then for the bare loop."""
    figures: dict[Contender, Figures] = {"engine": {}, "bare": {}}
    for name, act in (("drain", drain), ("stop", stopping)):
        for contender in figures:
            with console.status(f"{name}: {contender}"):
                figures[contender] |= act(address, contender)
    for name, act in (("lease", lease), ("idle", idle)):  # these wait, and so can go side by side
        with console.status(name), ThreadPoolExecutor() as threads:
            for contender, result in zip(figures, threads.map(partial(act, address), figures), strict=True):
                figures[contender] |= result
    return figures


def main() -> None:
    """Measure, show a table, print the JSON line."""
    with broker() as address:
        figures = measure(address)
    ours, limit = figures["engine"], figures["bare"]
    table = Table("", "engine", "bare loop")
    for name in ours:
        table.add_row(name, f"{ours[name]:.4g}", f"{limit[name]:.4g}")
    console.print(table)
    ours["ratio_to_limit"] = ours["msg_per_s"] / limit["msg_per_s"]
    for replicas in (1, 2):
        console.print(f"measuring the service with {replicas} of the worker…")
        service = asyncio.run(measure_service(replicas))
        suffix = "" if replicas == 1 else f"_{replicas}_replicas"
        ours |= {f"{name}{suffix}": value for name, value in service.items()}
    # All of them share the cores of this machine, so two workers gain only what one leaves idle.
    console.print(f"API, emulator, database, workers and load share {os.cpu_count()} cores")
    print(json.dumps({name: round(value, 4) for name, value in ours.items()}))  # the result


if __name__ == "__main__":
    main()
