"""What a hostile client sends blocks the event loop for 50 ms at most and is answered."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

from tests.conftest import figure

MAX_BLOCK_SECONDS = 0.05

MEASURED_RUNS = 5
"""The best of several runs counts: the machine has other work, which only adds."""


@asynccontextmanager
async def loop_lag():
    """Yields a list that holds the longest time for which the event loop did nothing else, in seconds."""
    longest = [0.0]

    async def probe():
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest[0] = max(longest[0], time.perf_counter() - before - 0.001)

    probing = asyncio.create_task(probe())
    await asyncio.sleep(0.01)
    try:
        yield longest
    finally:
        probing.cancel()


def chunked(body, size):
    return b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece)
        for piece in (body[start : start + size] for start in range(0, len(body), size))
    )


def form(*parts, tail=b"--B--\r\n"):
    return b"".join(b"--B\r\n%s\r\n" % part for part in parts) + tail


FORM = "multipart/form-data; boundary=B"
FILE = b'Content-Disposition: form-data; name="file"; filename="c.csv"\r\n\r\n'
ROW = b"a-1,2,Month-to-month,70.35,Fiber optic\n"
HEADER = b"customerID,tenure,Contract,MonthlyCharges,InternetService\n"

HOSTILE = {
    "semicolons in the content type": {"Content-Type": "a/b" + ";" * 8_000},
    "parameters in the content type": {"Content-Type": "text/csv" + ";a=b" * 2_000},
    "quotes in the content type": {"Content-Type": 'multipart/form-data; boundary="' + '\\"' * 3_900},
    "spaces in the token": {"Authorization": "Bearer" + " " * 8_000 + "!"},
    "dots in the token": {"Authorization": "Bearer " + "." * 8_000},
    "a deep token header": {"Authorization": "Bearer " + "W1tb" * 2_000 + ".e30.e30"},
    "commas in tracestate": {"tracestate": "," * 8_000},
    "members in tracestate": {"tracestate": "a=b," * 2_000},
    "a long traceparent": {"traceparent": "00-" + "a" * 8_000},
    "slashes in the path": {":path": "/v1" + "/" * 8_000},
    "escapes in the path": {":path": "/v1/predictions/" + "%41" * 2_600},
    "parameters in the query": {":path": "/v1/predictions?" + "a=1&" * 2_000},
    "a nested mapping": {":path": "/v1/predictions?mapping=" + "[" * 8_000},
    "tiny chunks": {"Transfer-Encoding": "chunked", ":body": chunked(HEADER + ROW * 6_000, 1)[:600_000]},
    "long chunk extensions": {
        "Transfer-Encoding": "chunked",
        ":body": b"1;" + b"a" * 8_000 + b"\r\nx\r\n0\r\n\r\n",
    },
    "empty lines": {":body": b"\n" * 2_000_000},
    "an open quote": {":body": HEADER + b'"' * 1_000_001},
    "an open quote and spaces": {":body": HEADER + b'"-1' + b" " * 300_000},
    "carriage returns": {":body": b"\r" * 1_000_000},
    "long headers": {
        ":body": b",".join(b"column %d " % n * 30 for n in range(900)) + b"\n" + b"1," * 899 + b"1"
    },
    "wide headers": {
        ":body": b",".join(b"monthlycharge%d" % n * 9 for n in range(1_000)) + b"\n" + b"1," * 999 + b"1\n"
    },
    "delimiters": {":body": b",;\t|" * 300_000},
    "digits": {":body": HEADER + b"1" * 1_000_000},
    "a preamble of lines": {"Content-Type": FORM, ":body": b"\n" * 2_000_000},
    "thousands of parts": {"Content-Type": FORM, ":body": form(*[b"\r\nx"] * 20_000)},
    "thousands of fields": {
        "Content-Type": FORM,
        ":body": form(*[b'Content-Disposition: form-data; name="f%d"\r\n\r\nx' % n for n in range(20_000)]),
    },
    "thousands of part headers": {"Content-Type": FORM, ":body": form(b"A: b\r\n" * 50_000 + b"\r\nx")},
    "semicolons in a disposition": {
        "Content-Type": FORM,
        ":body": form(b"Content-Disposition: form-data" + b";" * 2_000 + b"\r\n\r\nx"),
    },
    "backslashes in a file name": {
        "Content-Type": FORM,
        ":body": form(
            b'Content-Disposition: form-data; name="file"; filename="'
            + b"\\" * 2_000
            + b'"\r\n\r\n'
            + HEADER
            + ROW
        ),
    },
    "boundaries that are none": {"Content-Type": FORM, ":body": form(FILE + HEADER + b"\r\n--A" * 400_000)},
    "line ends before a boundary": {"Content-Type": FORM, ":body": form(FILE + HEADER + b"\r\n" * 500_000)},
}


async def send(api, hostile):
    """Send a hostile request over a socket of its own and return the status of the answer."""
    hostile = dict(hostile)
    path, body = hostile.pop(":path", "/v1/predictions"), hostile.pop(":body", HEADER + ROW)
    headers = {
        "Host": "api",
        "Content-Type": "text/csv",
        "Authorization": api.http.headers["Authorization"],
    } | hostile
    if "Transfer-Encoding" not in headers:
        headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode())
    try:
        for start in range(0, len(body), 65_536):
            writer.write(body[start : start + 65_536])
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass  # answered before the end
    try:
        async with asyncio.timeout(30):
            status = await reader.readline()
    finally:
        writer.transport.abort()
    return int(status.split()[1])


async def test_hostile_request_does_not_block_the_event_loop(start_api, subtests, record_property):
    worst = {}
    async with start_api(upload_idle_seconds="1") as api:
        await send(api, {})
        for name, hostile in HOSTILE.items():
            with subtests.test(name):
                blocks, status = [], 0
                for _ in range(MEASURED_RUNS):
                    async with loop_lag() as longest:
                        status = await send(api, hostile)
                    blocks.append(longest[0])
                    if blocks[-1] < MAX_BLOCK_SECONDS / 2:
                        break
                worst[name] = (min(blocks), status)
                assert 400 <= status < 500 or status == 202, status
                assert min(blocks) < MAX_BLOCK_SECONDS
    longest = max(worst, key=lambda name: worst[name][0])
    record_property(
        *figure(
            json.dumps(
                {"loop_block_ms_max": round(worst[longest][0] * 1_000), "by": longest, "inputs": len(worst)}
            )
        )
    )
    print({name: (round(block * 1_000), status) for name, (block, status) in worst.items()})
