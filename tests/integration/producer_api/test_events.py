"""The events of a prediction: as a list, and as a stream that loses none and doubles none."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from producer_api.predictions.events import LISTENER
from producer_api.predictions.store import PREDICTIONS
from producer_api.predictions.waiting import WAITING_ROOM

RUNNING = """
update predictions set status = 'RUNNING', fence = fence + 1, attempt = attempt + 1,
    started_at = coalesce(started_at, now()), lease_owner = 'w', lease_token = gen_random_uuid(),
    lease_until = now() + interval '5 min'
where prediction_id = $1
"""

EXPIRED = """
update predictions set status = 'EXPIRED', finished_at = now(), lease_owner = null, lease_token = null,
    lease_until = null
where prediction_id = $1
"""

LISTENING = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'retainwise-producer-api-listener'
    and query ilike 'listen%'
"""


@pytest.fixture
async def prediction(api):
    """A prediction that no worker has seen yet."""
    status, prediction = await api.post()
    assert status == 202
    return prediction


class Stream:
    """An open event stream, parsed as a browser does."""

    def __init__(self, response) -> None:
        self.response = response
        self.comments = 0

    async def event(self):
        """Return the next event as (id, type, data); None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            while line := (await self.response.content.readline()).decode():
                if line == "\n":
                    if "data" in fields:
                        return int(fields["id"]), fields["event"], json.loads(fields["data"])
                    fields = {}
                elif line.startswith(":"):
                    self.comments += 1
                else:
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
        return None

    async def rest(self):
        """Return all events until the end."""
        events = []
        while event := await self.event():
            events.append(event)
        return events


@asynccontextmanager
async def follow(api, prediction, **headers):
    """Open the event stream of a prediction."""
    accept = {"Accept": "text/event-stream"}
    async with api.http.get(prediction["links"]["events"], headers=accept | headers) as response:
        yield Stream(response)


def is_waiting(api, prediction):
    """Return a condition: somebody waits for this prediction's events."""

    async def check() -> bool:
        return bool(api.app[LISTENER]._waiting)

    return check


async def test_stream_follows_a_prediction_to_its_end(api, prediction, owner):
    async with follow(api, prediction) as stream:
        assert stream.response.status == 200
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store"
        assert "X-Request-Id" in stream.response.headers
        number, kind, data = await stream.event()
        assert (number, kind, data["type"], data["sequence"]) == (1, "queued", "queued", 1)
        assert data["at"].endswith("Z")
        await owner.execute(RUNNING, prediction["prediction_id"])
        assert (await stream.event())[:2] == (2, "running")
        await owner.execute(EXPIRED, prediction["prediction_id"])
        assert [event[:2] for event in await stream.rest()] == [(3, "expired")]
    _, history = await api.get(prediction["links"]["events"])
    assert [event["type"] for event in history["items"]] == ["queued", "running", "expired"]
    assert history["items"][0] == data


async def test_stream_goes_on_after_the_last_event(api, prediction, owner):
    for _ in range(3):
        await owner.execute(RUNNING, prediction["prediction_id"])
    await owner.execute(EXPIRED, prediction["prediction_id"])
    async with follow(api, prediction, **{"Last-Event-ID": "3"}) as stream:
        assert [event[0] for event in await stream.rest()] == [4, 5]
    async with follow(api, prediction, **{"Last-Event-ID": "5"}) as stream:
        assert stream.response.status == 204  # a browser comes back no more


@pytest.mark.parametrize("number", ["-1", "one", "1.0", "99999999999", "²"])
async def test_broken_last_event_id_is_refused(api, prediction, number):
    async with follow(api, prediction, **{"Last-Event-ID": number}) as stream:
        problem = await stream.response.json(content_type=None)
        assert (stream.response.status, problem["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_history_has_pages(api, prediction, owner):
    for _ in range(4):
        await owner.execute(RUNNING, prediction["prediction_id"])
    found, cursor = [], None
    while True:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        _, page = await api.get(prediction["links"]["events"], params=parameters)
        found += [event["sequence"] for event in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == [1, 2, 3, 4, 5]


async def test_listener_comes_back_and_what_it_missed_is_read(api, prediction, owner, until):
    (first,) = await owner.fetch(LISTENING)
    async with follow(api, prediction) as stream:
        assert (await stream.event())[1] == "queued"
        await until(is_waiting(api, prediction))
        await owner.execute("select pg_terminate_backend($1)", first["pid"])
        await owner.execute(RUNNING, prediction["prediction_id"])
        assert (await stream.event())[1] == "running"

        async def listens_again() -> bool:
            return any(row["pid"] != first["pid"] for row in await owner.fetch(LISTENING))

        await until(listens_again)
        await owner.execute(EXPIRED, prediction["prediction_id"])
        assert (await stream.event())[1] == "expired"


async def test_stream_needs_no_notification(api, prediction, owner, monkeypatch):
    monkeypatch.setattr("producer_api.predictions.stream.POLL_SECONDS", 0.05)
    monkeypatch.setattr(api.app[LISTENER], "_receive", lambda *_: None)
    async with follow(api, prediction) as stream:
        await stream.event()
        await owner.execute("drop trigger predictions_next_event on predictions")  # it notifies
        await owner.execute(
            "insert into prediction_events select tenant_id, prediction_id, 2, 'cancelled', now(), '{}' "
            "from predictions"
        )
        assert [event[1] for event in await stream.rest()] == ["cancelled"]


async def test_quiet_stream_is_kept_alive(api, prediction, owner, monkeypatch):
    monkeypatch.setattr("producer_api.predictions.stream.POLL_SECONDS", 0.05)
    async with follow(api, prediction) as stream:
        await stream.event()
        while (await stream.response.content.readline()) != b": keep-alive\n":
            pass
        await owner.execute(EXPIRED, prediction["prediction_id"])
        assert (await stream.event())[1] == "expired"


async def test_streams_are_limited_in_all_and_for_a_tenant(start_api, issuer, customers):
    async with start_api(max_event_streams="3") as api:
        _, prediction = await api.post(customers)
        other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
        _, theirs = await api.post(customers, headers=dict(other))
        async with follow(api, prediction) as one, follow(api, prediction) as two:
            await one.event()
            await two.event()
            async with follow(api, prediction) as third:
                problem = await third.response.json(content_type=None)
                assert (third.response.status, problem["code"]) == (429, "too_many_own_streams")
            # To wait is a preference: the answer is given at once.
            status, now = await api.get(prediction["links"]["self"], headers={"Prefer": "wait=30"})
            assert (status, now["status"]) == (200, "QUEUED")
            async with follow(api, theirs, **other) as third:
                await third.event()
                async with follow(api, theirs, **other) as fourth:
                    problem = await fourth.response.json(content_type=None)
                    assert (fourth.response.status, problem["code"]) == (503, "too_many_streams")


async def test_streams_leave_a_connection_to_other_reads(api, prediction, owner, monkeypatch):
    store = api.app[PREDICTIONS]
    read_events, under_way, most = store.read_events, 0, 0

    async def count(*arguments, **options):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await read_events(*arguments, **options)
        finally:
            under_way -= 1

    monkeypatch.setattr(store, "read_events", count)
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(follow(api, prediction)) for _ in range(12)]
        for stream in streams:
            await stream.event()
        await owner.execute(EXPIRED, prediction["prediction_id"])  # wakes all of them
        for stream in streams:
            assert [event[1] for event in await stream.rest()] == ["expired"]
    assert most == 2


async def test_closed_stream_makes_room(start_api, customers, owner, until, monkeypatch):
    monkeypatch.setattr("producer_api.predictions.stream.POLL_SECONDS", 0.05)
    async with start_api(max_event_streams="1") as api:
        _, prediction = await api.post(customers)
        async with follow(api, prediction) as stream:
            await stream.event()
            stream.response.close()

        async def is_empty() -> bool:
            return not api.app[WAITING_ROOM]._of_tenant

        await until(is_empty)


async def test_stop_ends_streams_and_waits(start_api, customers, until):
    async with start_api() as api:
        _, prediction = await api.post(customers)
        path = prediction["links"]["self"]
        waiting = asyncio.create_task(api.get(path, headers={"Prefer": "wait=30"}))
        async with follow(api, prediction) as stream:
            await stream.event()

            async def both_wait() -> bool:
                return len(api.app[LISTENER]._waiting[next(iter(api.app[LISTENER]._waiting))]) == 2

            await until(both_wait)
            await api.app.shutdown()
            assert await stream.rest() == []  # to its end, not cut off
        status, now = await waiting
        assert (status, now["status"]) == (200, "QUEUED")
        async with follow(api, prediction) as stream:
            assert stream.response.status == 503


async def test_stream_survives_an_outage_of_the_database(api, prediction, owner, monkeypatch):
    monkeypatch.setattr("producer_api.predictions.stream.POLL_SECONDS", 0.05)
    async with follow(api, prediction) as stream:
        await stream.event()
        await owner.execute(
            """
            select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
            """
        )
        await owner.execute(EXPIRED, prediction["prediction_id"])
        assert [event[1] for event in await stream.rest()] == ["expired"]


async def test_client_that_does_not_read_is_cut_off(api, prediction, owner, issuer, until, monkeypatch):
    """Its events fill the buffers; nobody else waits for it."""
    monkeypatch.setattr("producer_api.http.connections.WRITE_SECONDS", 0.1)
    await owner.execute(
        """
        insert into prediction_events
        select tenant_id, prediction_id, number, 'progress', now(), jsonb_build_object('x', repeat('x', 1000))
        from predictions, generate_series(2, 20000) as number
        """
    )
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", api.port))
        head = (
            f"GET {prediction['links']['events']} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {issuer.mint('acme')}\r\n\r\n"
        )
        await loop.sock_sendall(client, head.encode())

        async def is_cut_off() -> bool:
            closed = api.registry.get_sample_value(
                "retainwise_api_connections_closed_total", {"reason": "answer_unread"}
            )
            return bool(closed) and not api.app[WAITING_ROOM]._of_tenant

        await until(is_cut_off)
