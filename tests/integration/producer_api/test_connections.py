"""Connections are bounded, and errors before the application are answered without a byte of the request."""

import asyncio
import json
import re
import resource

import aiohttp
import pytest

from producer_api.http import connections

SECRET = "very-secret-token"

BROKEN = {
    "bad request line": f"GET /v1/models HTTP/1.1 {SECRET}\r\n\r\n",
    "bad method": f"{SECRET} / HTTP/1.1\r\n\r\n",
    "no HTTP at all": f"\x16\x03\x01{SECRET}\r\n\r\n",
    "a header without a colon": f"GET /v1/models HTTP/1.1\r\nAuthorization Bearer {SECRET}\r\n\r\n",
    "a null in a token": f"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SECRET}\0\r\n\r\n",
    "two lengths": f"POST / HTTP/1.1\r\nX: {SECRET}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length that is none": f"POST /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: {SECRET}\r\n\r\n",
    "length and chunks": f"POST / HTTP/1.1\r\nX: {SECRET}\r\nContent-Length: 1\r\n"
    "Transfer-Encoding: chunked\r\n\r\n",
    "another version": f"GET /v1/models HTTP/{SECRET}\r\n\r\n",
    "a long line": f"GET /{SECRET}{'a' * 9_000} HTTP/1.1\r\n\r\n",
    "a long header": f"GET / HTTP/1.1\r\nHost: a\r\nX: {SECRET}{'a' * 9_000}\r\n\r\n",
    "many headers": f"GET / HTTP/1.1\r\nHost: a\r\nX: {SECRET}\r\n" + "A: b\r\n" * 200 + "\r\n",
    "a head without an end": f"GET / HTTP/1.1\r\nHost: a\r\nX: {SECRET}\r\n"
    + "".join(f"A{n}: {'b' * 8_000}\r\n" for n in range(12)),
    "an expectation": f"GET /v1/models HTTP/1.1\r\nHost: a\r\nExpect: {SECRET}\r\nConnection: close\r\n\r\n",
    "an expectation of nothing": f"GET /nowhere HTTP/1.1\r\nExpect: {SECRET}\r\nConnection: close\r\n\r\n",
    "a bad trace": "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    f"traceparent: 00-{'a' * 32}-{'b' * 16}-01\r\ntracestate: {SECRET}{',=' * 3_000}\r\n\r\n",
    "a good trace that is long": "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    f"traceparent: 00-{'a' * 32}-{'b' * 16}-01\r\ntracestate: a={SECRET}{'a' * 600}\r\n\r\n",
}


async def exchange(port, request, *, half_close=False):
    """Send bytes, and return all that is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if half_close:
        writer.write_eof()
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.transport.abort()


def read_problem(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Server: retainwise\r\n" in head + b"\r\n"
    assert b"Content-Type: application/problem+json" in head
    assert not re.search(rb"aiohttp|python|\d\.\d+\.\d", head.split(b"\r\n", 1)[1], re.IGNORECASE)
    return json.loads(body)


async def test_broken_request_is_answered_without_its_bytes(api, subtests, capfd, caplog):
    for name, request in BROKEN.items():
        with subtests.test(name):
            answer = await exchange(api.port, request.encode("latin-1"))
            assert SECRET.encode() not in answer
            problem = read_problem(answer)
            assert problem["status"] in {400, 401, 404, 417, 431}
            assert problem["type"] == f"/docs/problems/{problem['code']}"
            assert all(problem[member] for member in ("title", "detail", "instance", "request_id"))
    written = "".join(capfd.readouterr()) + caplog.text
    assert SECRET not in written
    assert len(written) < 1_000 * len(BROKEN)
    assert (await api.get("/v1/models"))[0] == 200


async def test_half_open_requests_do_not_keep_others_out(start_api, capfd, caplog):
    async with start_api(max_connections="20") as api:
        half_open = []
        for _ in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(b"POST /v1/predictions HTTP/1.1\r\nHost: a\r\n")
            half_open.append(writer)
            if len(half_open) % 50 == 0:
                assert b" 200 OK" in await exchange(
                    api.port, b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                )
        closed = api.registry.get_sample_value(
            "retainwise_api_connections_closed_total", {"reason": "made_room"}
        )
        assert closed >= 300 - 20
        for writer in half_open:
            writer.transport.abort()
    assert len("".join(capfd.readouterr()) + caplog.text) < 20_000


async def test_connection_that_serves_is_not_closed_to_make_room(start_api, customers):
    async with start_api(max_connections="16", max_concurrent_uploads="48") as api:
        head = (
            "POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Type: text/csv\r\nConnection: close\r\n"
            f"Authorization: {api.http.headers['Authorization']}\r\nContent-Length: {len(customers)}\r\n\r\n"
        ).encode()
        serving = []
        for _ in range(16):
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(head + customers[:50])
            serving.append((reader, writer))
            await asyncio.sleep(0.01)
        refused = read_problem(await exchange(api.port, b""))
        assert (refused["status"], refused["code"]) == (503, "overloaded")
        answers = []
        for reader, writer in serving:
            writer.write(customers[50:])
            answers.append((await asyncio.wait_for(reader.read(), 20))[:12])
            writer.close()
    assert answers == [b"HTTP/1.1 202"] * 16


async def test_slow_head_is_cut_off(api, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /livez HTTP/1.1\r\nX: ")

    async def dribble():
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    answer = await asyncio.wait_for(reader.read(), 20)
    dribbling.cancel()
    writer.transport.abort()
    assert read_problem(answer)["code"] == "request_timeout"


async def test_connection_accepted_in_the_moment_of_a_stop_is_answered(api, monkeypatch):
    made = connections.Connection.connection_made

    def make_and_stop(self, transport):
        made(self, transport)
        self.close()  # what a stop calls for each connection: here before its task has begun

    monkeypatch.setattr(connections.Connection, "connection_made", make_and_stop)
    answer = await exchange(api.port, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert read_problem(answer)["status"] == 503
    assert b"\r\nRetry-After: " in answer
    closed = api.registry.get_sample_value("retainwise_api_connections_closed_total", {"reason": "closing"})
    assert closed == 1


async def test_idle_connection_is_closed(start_api, monkeypatch):
    monkeypatch.setattr(connections, "KEEPALIVE_SECONDS", 0.2)
    async with start_api() as api:
        assert await exchange(api.port, b"") == b""
        answer = await exchange(api.port, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.endswith(b'{"state":"ok"}')


async def test_client_that_does_not_read_is_cut_off(api, monkeypatch, until):
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.2)
    _, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1_024)
    request = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n"
    request %= api.http.headers["Authorization"].encode()

    async def flood():
        while True:
            writer.write(request * 32)
            await writer.drain()

    flooding = asyncio.create_task(flood())

    async def cut():
        reason = {"reason": "answer_unread"}
        return bool(api.registry.get_sample_value("retainwise_api_connections_closed_total", reason))

    await until(cut)
    flooding.cancel()
    writer.transport.abort()


@pytest.mark.parametrize(("sent", "status"), [(1.0, 202), (0.5, 400)], ids=["whole", "half"])
async def test_half_closed_upload_is_answered(api, customers, sent, status):
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Type: text/csv\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\nContent-Length: {len(customers)}\r\n\r\n"
    )
    body = customers[: int(len(customers) * sent)]
    answer = await exchange(api.port, head.encode() + body, half_close=True)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_connections_fit_into_the_limit_of_open_files(monkeypatch):
    limits = [(1_024, 1_024)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert connections.allowed_connections(1_000) == 1_024 - connections.RESERVED_FILES
    limits.append((1_024, 4_096))
    assert connections.allowed_connections(1_000) == 1_000
    assert limits[-1] == (1_000 + connections.RESERVED_FILES, 4_096)


async def test_flood_of_half_open_requests_takes_nothing_down(start_process):
    """The review's own attack: 1,200 half-open requests to a process with 1,024 open files."""
    async with start_process(ulimit="1024", LOG_LEVEL="INFO") as api:
        port = (await api.line("startup_complete"))["port"]
        half_open = []
        for _ in range(1_200):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/predictions HTTP/1.1\r\nHost: a\r\n")
            half_open.append(writer)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for _ in range(10):
                async with http.get("/livez", timeout=aiohttp.ClientTimeout(total=5)) as response:
                    assert response.status == 200
        for writer in half_open:
            writer.transport.abort()
        api.process.terminate()
        assert await api.ended() == 0
    assert sum(len(str(line)) for line in api.lines) < 50_000
