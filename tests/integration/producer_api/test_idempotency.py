"""Idempotency keys: what is sent again is done once, by many replicas and when one of them dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from producer_api.database import DATABASE, Database, open_pools
from producer_api.http import idempotency
from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER, Caller
from producer_api.http.idempotency import IDEMPOTENCY, claim_key
from producer_api.http.problems import answer_problems
from producer_api.predictions.errors import PredictionNotFound
from producer_api.telemetry import METRICS, ApiMetrics, observe_requests

JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "key-1"}


class Work:
    """Handlers that count what they do, and a moment at which they wait."""

    def __init__(self) -> None:
        self.done = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fails = False

    async def create(self, request: web.Request) -> web.Response:
        """Work whose answer is kept with it, in one transaction."""
        self.begun.set()
        await self.may_end.wait()
        if self.fails:
            raise PredictionNotFound
        claim = request[IDEMPOTENCY]
        response = json_answer({"number": self.done + 1}, 201, {"Location": f"/things/{self.done + 1}"})
        async with request.app[DATABASE].write(request[CALLER].tenant_id) as connection:
            await claim.complete(connection, 201, response.headers, b'{"number":1}')
        self.done += 1
        return response

    async def touch(self, _: web.Request) -> web.Response:
        """Work that does not keep its answer itself."""
        self.done += 1
        return json_answer({"number": self.done})

    async def receive(self, request: web.Request) -> web.Response:
        """Work on a file, which is known by its content."""
        await request[IDEMPOTENCY].identify((await request.read()).hex())
        return await self.create(request)


@web.middleware
async def call_as_tenant(request, handler):
    request[CALLER] = Caller(request.headers.get("X-Tenant", "acme"))
    return await handler(request)


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def start_replica(database, work):
    """A function that runs a replica that does the work while the block lasts."""

    @asynccontextmanager
    async def start() -> AsyncIterator[TestClient[web.Request, web.Application]]:
        app = web.Application(middlewares=[observe_requests, answer_problems, call_as_tenant, claim_key])
        app[METRICS] = ApiMetrics(CollectorRegistry())
        app.add_routes(
            [
                web.post("/things", work.create),
                web.post("/touch", work.touch),
                web.post("/files", work.receive),
            ]
        )
        async with open_pools(database.producer) as pools:
            app[DATABASE] = Database(pools)
            async with TestClient(TestServer(app)) as client:
                yield client

    return start


@pytest.fixture
async def replica(start_replica):
    async with start_replica() as replica:
        yield replica


async def post(replica, path="/things", data=b"{}", headers=KEY, content_type="application/json", **options):
    sent = {"Content-Type": content_type} | headers
    async with replica.post(path, data=data, headers=sent, **options) as response:
        return response.status, await response.json(content_type=None), response.headers


@pytest.mark.parametrize("path", ["/things", "/touch"])
async def test_request_that_is_sent_again_gets_the_first_answer(replica, work, path):
    first, again = await post(replica, path), await post(replica, path)
    assert first[:2] == again[:2]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first[2]
    for name in ("Location", "Content-Type", "Cache-Control"):
        assert first[2].get(name) == again[2].get(name)
    assert work.done == 1


async def test_key_belongs_to_its_tenant(replica, work):
    await post(replica)
    status, _, headers = await post(replica, headers=KEY | {"X-Tenant": "globex"})
    assert (status, headers.get("Idempotency-Replayed")) == (201, None)
    assert work.done == 2


@pytest.mark.parametrize(
    "other",
    [{"data": b'{"a": 1}'}, {"path": "/touch"}, {"params": {"a": "1"}}],
    ids=["body", "path", "query"],
)
async def test_key_of_another_request_is_refused(replica, work, other):
    await post(replica)
    status, problem, _ = await post(replica, **other)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert work.done == 1


async def test_fifty_requests_at_once_do_the_work_once(start_replica, work):
    async with start_replica() as one, start_replica() as two:
        answers = await asyncio.gather(*(post(replica) for replica in (one, two) * 25))
    assert work.done == 1
    assert sorted({status for status, _, _ in answers} - {409}) == [201]
    for status, content, headers in answers:
        if status == 409:
            assert content["code"] == "idempotency_key_in_use"
            assert int(headers["Retry-After"]) > 0
        else:
            assert content == {"number": 1}


async def test_refusal_frees_the_key(replica, work):
    work.fails = True
    assert (await post(replica))[0] == 404
    work.fails = False
    assert (await post(replica))[0] == 201
    assert work.done == 1


async def test_client_that_leaves_frees_the_key(replica, work, until):
    work.may_end.clear()
    request = asyncio.create_task(post(replica))
    await work.begun.wait()
    request.cancel()
    await asyncio.wait([request])
    work.may_end.set()

    async def answered() -> bool:
        return bool((await post(replica))[0] == 201)

    await until(answered)
    assert work.done == 1


async def test_claim_of_a_dead_replica_lapses(start_replica, work, owner):
    work.may_end.clear()
    async with start_replica() as dead, start_replica() as alive:
        request = asyncio.create_task(post(dead))
        await work.begun.wait()
        assert (await post(alive))[0] == 409
        await owner.execute("update idempotency_keys set locked_until = now() - interval '1 second'")
        work.begun.clear()
        second = asyncio.create_task(post(alive))
        await work.begun.wait()
        work.may_end.set()
        # The one that seemed dead comes back, and cannot do the work a second time.
        answers = sorted([(await request)[0], (await second)[0]])
    assert answers == [201, 409]
    assert work.done == 1


async def test_claim_is_renewed_while_its_request_runs(replica, work, owner, until, monkeypatch):
    monkeypatch.setattr(idempotency, "RENEW_SECONDS", 0.01)
    work.may_end.clear()
    request = asyncio.create_task(post(replica))
    await work.begun.wait()
    read = "select locked_until from idempotency_keys"
    claimed = await owner.fetchval(read)

    async def renewed() -> bool:
        return bool(await owner.fetchval(read) > claimed)

    await until(renewed)
    work.may_end.set()
    assert (await request)[0] == 201


async def test_file_is_known_by_its_content(replica, work):
    async def send(content: bytes):
        return await post(replica, "/files", content, content_type="text/csv")

    first, again = await send(b"a,b"), await send(b"a,b")
    assert first[:2] == again[:2]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert (await send(b"a,c"))[1]["code"] == "idempotency_key_reused"
    assert work.done == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256])
async def test_key_that_is_none_is_refused(replica, work, key):
    status, problem, _ = await post(replica, headers={"Idempotency-Key": key})
    assert (status, problem["code"]) == (422, "invalid_request")
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert work.done == 0


async def test_answer_is_kept_for_a_day(replica, work, owner):
    await post(replica)
    await owner.execute("update idempotency_keys set created_at = now() - interval '23 hours'")
    assert (await post(replica))[2]["Idempotency-Replayed"] == "true"
    await owner.execute("update idempotency_keys set created_at = now() - interval '25 hours'")
    assert "Idempotency-Replayed" not in (await post(replica))[2]
    assert work.done == 2


async def test_outlived_answers_are_deleted(replica, owner, until):
    await post(replica)
    await post(replica, headers={"Idempotency-Key": "old"})
    await owner.execute(
        "update idempotency_keys set created_at = now() - interval '25 hours' where key = 'old'"
    )
    task = asyncio.create_task(idempotency.forget_answers(replica.app[DATABASE]))

    async def forgotten() -> bool:
        return [row["key"] for row in await owner.fetch("select key from idempotency_keys")] == ["key-1"]

    await until(forgotten)
    task.cancel()
