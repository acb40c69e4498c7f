"""The client rejects every response but the file it asked for."""

import hashlib

import aiohttp
import pytest
from aiohttp import web

from deploy.local.client import PredictionsClient, RequestRefused, ResultLink

CONTENT = b"customer_id,churn_probability\n"


@pytest.fixture
async def store(unused_port):
    """The URL of a server that answers a file, a redirect to nowhere, a problem, and another file."""

    async def file(_: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=301, body=b"<Error><Code>PermanentRedirect</Code></Error>")

    async def problem(_: web.Request) -> web.Response:
        body = {"title": "The link has expired.", "detail": "Ask for a new one.", "code": "expired"}
        return web.json_response(body, status=403, content_type="application/problem+json")

    async def other(_: web.Request) -> web.Response:
        return web.Response(body=CONTENT + b"1,0.5\n")

    app = web.Application()
    for handler in (file, redirect, problem, other):
        app.router.add_get(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    port = unused_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def download(url: str, destination) -> None:
    link = ResultLink(
        name="scores.csv", url=url, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    async with aiohttp.ClientSession() as session:
        await PredictionsClient(session, "http://127.0.0.1:1", "token").download(link, destination)


async def test_file_is_fetched_as_it_is(store, tmp_path):
    await download(f"{store}/file", tmp_path / "scores.csv")

    assert (tmp_path / "scores.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("redirect", r"^\(HTTP 301 Moved Permanently\)$"),
        ("problem", r"^The link has expired\. Ask for a new one\. \(HTTP 403 expired\)$"),
        ("other", r"^scores\.csv is damaged"),
    ],
)
async def test_other_responses_are_rejected_with_their_reason(store, tmp_path, path, reason):
    with pytest.raises(RequestRefused, match=reason):
        await download(f"{store}/{path}", tmp_path / "scores.csv")
