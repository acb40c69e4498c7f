"""A client that sends its request and shuts down its sending side (`shutdown(SHUT_WR)`) gets its answer."""

import asyncio
import socket

import pytest


async def send(api, body: bytes, *, length: int) -> bytes:
    """Send a request and no more; return all that comes back until the API closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        (
            "POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Type: text/csv\r\n"
            f"Authorization: {api.http.headers['Authorization']}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
        + body
    )
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def test_half_closed_upload_is_answered(api, customers, owner):
    answer = await send(api, customers, length=len(customers))

    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert await owner.fetchval("select count(*) from predictions") == 1


async def test_half_closed_upload_of_several_reads_is_answered(api, customers, owner):
    body = customers + b"a-3,1,Two year,20,No\n" * 100_000
    answer = await send(api, body, length=len(body))

    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert await owner.fetchval("select size_bytes from uploads") == len(body)


async def test_half_closed_upload_without_its_end_is_refused(api, customers, owner):
    answer = await send(api, customers, length=len(customers) + 1)

    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"code":"upload_cut_off"' in answer
    assert await owner.fetchval("select count(*) from uploads") == 0


@pytest.mark.parametrize("head", [b"", b"GET /livez HTTP/1.1\r\nHost:"], ids=["nothing", "half a head"])
async def test_half_closed_connection_without_a_request_is_closed(api, head):
    with socket.socket() as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", api.port))
        await loop.sock_sendall(client, head)
        client.shutdown(socket.SHUT_WR)

        assert await asyncio.wait_for(loop.sock_recv(client, 1), 20) == b""


async def test_half_closed_idle_connection_is_closed_after_its_answer(api):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: api\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).startswith(b"HTTP/1.1 200 ")
    writer.write_eof()

    await asyncio.wait_for(reader.read(), 20)
    writer.close()
