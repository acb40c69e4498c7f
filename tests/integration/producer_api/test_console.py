"""The console's files as they are served: to everyone, compressed, revalidated, under a strict policy."""

import gzip
import re
from pathlib import Path

import aiohttp
import pytest

import producer_api.console
from producer_api.console.assets import MEDIA_TYPES

FOLDER = Path(producer_api.console.__file__).parent
OIDC = {
    "console_oidc_authorize_url": "https://login.example.com/authorize",
    "console_oidc_token_url": "https://login.example.com:8443/token",
    "console_oidc_client_id": "retainwise-console",
}


@pytest.fixture
async def api(start_api):
    async with start_api() as running:
        yield running


@pytest.fixture
async def visitor(api):
    """A browser that nobody is signed in with; it does not decompress."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{api.port}", auto_decompress=False) as session:
        yield session


def policy_of(answer: aiohttp.ClientResponse) -> dict[str, list[str]]:
    rules = (rule.split() for rule in answer.headers["Content-Security-Policy"].split("; "))
    return {name: sources for name, *sources in rules}


async def test_every_file_is_served_to_everyone(visitor):
    served = [path for path in FOLDER.rglob("*") if path.suffix[1:] in MEDIA_TYPES]
    assert len(served) > 40
    for path in served:
        async with visitor.get(
            f"/console/{path.relative_to(FOLDER)}", headers={"Accept-Encoding": "identity"}
        ) as got:
            assert (got.status, await got.read()) == (200, path.read_bytes()), path
            assert got.headers["Content-Type"] == MEDIA_TYPES[path.suffix[1:]]


async def test_page_is_served_at_the_root(visitor):
    async with visitor.get("/") as answer:
        assert answer.content_type == "text/html"
        assert gzip.decompress(await answer.read()) == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/console/handlers.py",
        "/console/vendor/vendor.json",
        "/console/../settings.py",
        "/console/%2e%2e/settings.py",
        "/console/",
        "/console/pages/",
    ],
)
async def test_nothing_else_is_served(visitor, path):
    async with visitor.get(path) as answer:
        assert answer.status == 404


async def test_file_is_compressed_for_those_who_take_it(visitor):
    async with visitor.get("/console/app.js", headers={"Accept-Encoding": "gzip, br"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        compressed, tag = await answer.read(), answer.headers["ETag"]
    async with visitor.get("/console/app.js", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert answer.headers["ETag"] != tag
        assert await answer.read() == gzip.decompress(compressed)


async def test_unchanged_file_is_not_sent_again(visitor):
    async with visitor.get("/console/app.js") as answer:
        tag = answer.headers["ETag"]
    async with visitor.get("/console/app.js", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["Cache-Control"] == "public, no-cache"


async def test_head_answers_as_get_without_the_file(visitor):
    for path in ("/", "/console/pages/new.js", "/console/vendor/inter.woff2"):
        async with visitor.get(path) as got, visitor.head(path) as head:
            assert head.status == 200
            assert await head.read() == b""
            for name in ("Content-Type", "Content-Length", "ETag", "Content-Encoding", "Cache-Control"):
                assert head.headers.get(name) == got.headers.get(name), name


async def test_page_may_run_and_reach_nothing_from_elsewhere(visitor, aws):
    async with visitor.get("/") as answer:
        policy = policy_of(answer)
    assert policy.pop("connect-src") == ["'self'", aws.env["AWS_ENDPOINT_URL"]]
    assert policy == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }


async def test_identity_provider_is_named_where_there_is_one(start_api):
    async with start_api(**OIDC) as api:
        assert await api.get("/console/config.json") == (
            200,
            {
                "oidc": {
                    "authorize_url": OIDC["console_oidc_authorize_url"],
                    "token_url": OIDC["console_oidc_token_url"],
                    "client_id": "retainwise-console",
                    "scope": "openid",
                }
            },
        )
        async with api.http.get("/") as answer:
            assert policy_of(answer)["connect-src"][2:] == ["https://login.example.com:8443"]


async def test_token_signs_in_where_there_is_none(api):
    assert await api.get("/console/config.json") == (200, {"oidc": None})


def test_page_loads_nothing_from_elsewhere():
    page = (FOLDER / "index.html").read_text("utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert loaded
    assert all(path.startswith("/") for path in loaded)
    assert not re.search(r"<script>|<style|\son\w+=|style=", page)


def test_page_preloads_what_it_runs_at_once():
    """Otherwise a browser learns of each module only from the one that imports it."""
    page = (FOLDER / "index.html").read_text("utf-8")
    needed, waiting = {FOLDER / "main.js"}, [FOLDER / "main.js"]
    while waiting:
        module = waiting.pop()
        for imported in re.findall(r'^import [^"]*"(\.[^"]+)";$', module.read_text("utf-8"), re.MULTILINE):
            path = (module.parent / imported).resolve()
            if path not in needed:
                needed.add(path)
                waiting.append(path)
    preloaded = re.findall(r'<link rel="modulepreload" href="/console/([^"]+)">', page)
    assert {FOLDER / path for path in preloaded} == needed - {FOLDER / "main.js"}
