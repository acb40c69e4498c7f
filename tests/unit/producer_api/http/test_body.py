"""Queries and bodies: each field that is wrong is named, and nothing of what was sent is repeated."""

import asyncio
from typing import Annotated, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field

from producer_api.http import body
from producer_api.http.body import MAX_JSON_BYTES, defer_continue, read_json, read_query
from producer_api.http.problems import answer_problems
from producer_api.telemetry import METRICS, ApiMetrics, observe_requests

JSON = {"Content-Type": "application/json"}


class Labels(BaseModel):
    model_config = ConfigDict(extra="forbid")
    label: str | None = Field(default=None, max_length=10)
    metadata: dict[str, Any] = {}
    nested: dict[str, Annotated[int, Field(ge=0)]] = {}


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    status: list[str] = []


async def echo_body(request: web.Request) -> web.Response:
    return web.json_response((await read_json(request, Labels)).model_dump())


async def echo_query(request: web.Request) -> web.Response:
    return web.json_response((await read_query(request, Filters)).model_dump())


@pytest.fixture
async def client():
    app = web.Application(middlewares=[observe_requests, answer_problems])
    app[METRICS] = ApiMetrics(CollectorRegistry())
    app.router.add_get("/", echo_query)
    app.router.add_post("/", echo_body, expect_handler=defer_continue)
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(client, data, headers=JSON, **options) -> tuple[int, dict[str, Any]]:
    async with client.post("/", data=data, headers=headers, **options) as response:
        return response.status, await response.json(content_type=None)


async def get(client, query: str) -> tuple[int, dict[str, Any]]:
    async with client.get(f"/?{query}") as response:
        return response.status, await response.json(content_type=None)


def fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


async def test_body_is_read(client):
    assert (await post(client, b'{"label": "June"}'))[1]["label"] == "June"
    assert (
        await post(
            client, b'{"label": "June"}', {"Content-Type": 'application/merge-patch+json;charset="utf-8"'}
        )
    )[0] == 200
    assert (await post(client, b"{}", expect100=True))[0] == 200
    assert (await post(client, None, {}))[1] == {"label": None, "metadata": {}, "nested": {}}


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'{"label": 7}', ["label"]),
        (b'{"label": "more than ten characters", "other": 1}', ["label", "other"]),
        (b'{"nested": {"a": 1, "b": -1, "c": "x"}}', ["nested.b", "nested.c"]),
        (b"[]", ["body"]),
        (b'"label"', ["body"]),
        (b'{"metadata": {"a": [{"b": "\\u0000"}]}}', ["metadata"]),
        (b'{"metadata": {"\\u0000": 1}}', ["metadata"]),
        (b'{"a\\u0000b": 1}', ["a?b"]),
    ],
)
async def test_field_that_is_wrong_is_named(client, data, named):
    status, problem = await post(client, data)
    assert (status, problem["code"]) == (422, "invalid_request")
    assert fields(problem) == named
    assert "more than ten" not in str(problem)


async def test_names_that_the_client_invents_are_quoted_in_part(client):
    _, problem = await post(client, b'{"' + b"x" * 10_000 + b'": 1}')
    assert len(fields(problem)[0]) == body.MAX_FIELD_CHARACTERS + 1
    many = ", ".join(f'"x{number}": 1' for number in range(1_000))
    _, problem = await post(client, f"{{{many}}}".encode())
    assert len(fields(problem)) == body.MAX_ERRORS


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"{}", {"Content-Type": "text/csv"}, 415, "media_type_unsupported"),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "media_type_unsupported"),
        (
            b"{}",
            {"Content-Type": "application/json;" + " " * 300 + "charset=utf-8"},
            415,
            "media_type_unsupported",
        ),
        (b"{}", JSON | {"Content-Encoding": "gzip"}, 415, "media_type_unsupported"),
        (b"{", JSON, 400, "malformed_json"),
        (b'{"label": "\xff"}', JSON, 400, "malformed_json"),
        (b'{"label": "\\ud800"}', JSON, 400, "malformed_json"),
        (b'{"label": NaN}', JSON, 400, "malformed_json"),
        (b'{"metadata":' + b"[" * 30_000, JSON, 400, "malformed_json"),
        (b" " * (MAX_JSON_BYTES + 1), JSON, 413, "body_too_large"),
    ],
)
async def test_body_that_cannot_be_read_is_refused(client, data, headers, status, code):
    answered, problem = await post(client, data, headers)
    assert (answered, problem["code"]) == (status, code)


async def test_body_without_a_length_is_limited_too(client):
    async def chunks():
        for _ in range(3):
            yield b" " * 30_000

    assert (await post(client, chunks()))[0] == 413


async def test_body_that_does_not_arrive_is_given_up(client, monkeypatch):
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)
    never = asyncio.Event()

    async def chunks():
        yield b"{"
        await never.wait()

    async with client.post("/", data=chunks(), headers=JSON) as response:
        assert response.status == 408
        assert (await response.json(content_type=None))["code"] == "body_stalled"


async def test_query_is_read(client):
    assert (await get(client, ""))[1] == {"limit": 20, "status": []}
    assert (await get(client, "limit=7&status=a&status=b"))[1] == {"limit": 7, "status": ["a", "b"]}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", ["limit"]),
        ("limit=many&other=1", ["limit", "other"]),
        ("limit=1&limit=2", ["limit"]),
        ("status=%00", ["status"]),
        ("limit=", ["limit"]),
    ],
)
async def test_parameter_that_is_wrong_is_named(client, query, named):
    status, problem = await get(client, query)
    assert (status, problem["code"]) == (422, "invalid_request")
    assert fields(problem) == named
