"""A load of HTTP requests over some connections that stay open: `python -m tests.benchmarks.api.load`.

It is a process of its own, so that it does not share a core with what it measures, and does no more than it
must: it sends the same bytes again and again and looks for the end of each answer. Prints one JSON line.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from functools import partial
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)


class Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until the time is over."""

    def __init__(self, request: bytes, until: float, done: "asyncio.Future[None]") -> None:
        self._request = request
        self._until = until
        self._done = done
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.seconds: list[float] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next request when the answer is complete."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end + 2)
        if length is None or len(self._received) < head_end + 4 + int(length[1]):
            return
        now = time.perf_counter()
        self.seconds.append(now - self._sent_at)
        if self._received[9:10] != b"2":
            self.failed += 1
        self._received = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


def _same(client: Client) -> Client:
    return client


async def run(url: str, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Load a server and return what it answered."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients = []
    for _ in range(connections):
        done = loop.create_future()
        client = Client(request, began + seconds, done)
        await loop.create_connection(partial(_same, client), parts.hostname or "", parts.port or 80)
        clients.append((client, done))
    await asyncio.wait([done for _, done in clients], timeout=seconds + 30)
    took = time.perf_counter() - began
    latencies = sorted(latency for client, _ in clients for latency in client.seconds)
    return {
        "answers": len(latencies),
        "failed": sum(client.failed for client, _ in clients),
        "seconds": took,
        "p50_ms": 1_000 * latencies[len(latencies) // 2],
        "p99_ms": 1_000 * latencies[len(latencies) * 99 // 100],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    print(
        json.dumps(
            asyncio.run(run(options.url, sys.stdin.buffer.read(), options.connections, options.seconds))
        )
    )
