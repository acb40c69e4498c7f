"""`GET /v1/predictions/{id}/events`: the history of a prediction, as JSON or as a stream that follows it."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import structlog
from aiohttp import hdrs, web

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.http.auth import CALLER
from producer_api.http.body import read_query
from producer_api.http.errors import InvalidParameter, ShuttingDown
from producer_api.http.paging import PAGER, page
from producer_api.predictions.events import LISTENER, Wakes
from producer_api.predictions.models import EventsQuery
from producer_api.predictions.request import read_prediction
from producer_api.predictions.store import PREDICTIONS, Event
from producer_api.predictions.waiting import POLL_SECONDS, WAITING_ROOM
from retainwise_contracts.status import PredictionStatus

EVENT_STREAM = "text/event-stream"

RECONNECT_MILLISECONDS = 1_000
"""What a browser waits before it opens a stream again that has ended."""

STREAM_SECONDS = 900.0
"""How long one stream lasts. The client opens it again with a token that must still be valid."""

READ_EVENTS = 500
"""Events read at a time."""

MAX_SEQUENCE = 2**31 - 1

FINAL = frozenset(status.value.lower() for status in PredictionStatus if status.is_final)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def get_events(request: web.Request) -> web.StreamResponse:
    """Return what has happened to a prediction; as an event stream, also what will happen."""
    if request.method == hdrs.METH_GET and EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
        return await _stream_events(request)
    return await _list_events(request)


async def _list_events(request: web.Request) -> web.Response:
    query = await read_query(request, EventsQuery)
    prediction = await read_prediction(request)
    tenant_id, pager = request[CALLER].tenant_id, request.app[PAGER]
    scope = f"events {prediction.prediction_id}"
    after = pager.decode(tenant_id, scope, query.cursor)[0] if query.cursor else 0
    events = await request.app[PREDICTIONS].read_events(
        prediction.prediction_id, tenant_id, after=after, at_most=query.limit + 1
    )
    listed = events[: query.limit]
    has_more = len(events) > query.limit
    next_cursor = pager.encode(tenant_id, scope, [listed[-1].sequence]) if has_more else None
    return page(request, [_resource(event) for event in listed], next_cursor)


async def _stream_events(request: web.Request) -> web.StreamResponse:
    await read_query(request, EventsQuery)
    after = _last_event_id(request)
    prediction = await read_prediction(request)
    if PredictionStatus(prediction.status).is_final and after:
        first = await request.app[PREDICTIONS].read_events(
            prediction.prediction_id, request[CALLER].tenant_id, after=after, at_most=1
        )
        if not first:
            return web.Response(status=204)  # tells a browser not to open the stream again
    room = request.app[WAITING_ROOM]
    if room.closed:
        raise ShuttingDown
    with room.admit(request[CALLER].tenant_id):
        stream = _EventStream(request, prediction.prediction_id, after)
        return await stream.send()


class _EventStream:
    """One stream of the events of one prediction."""

    def __init__(self, request: web.Request, prediction_id: UUID, after: int) -> None:
        self._request = request
        self._prediction_id = prediction_id
        self._after = after
        self._response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: EVENT_STREAM,
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",  # nginx would collect a few KB before it sends any
            }
        )

    async def send(self) -> web.StreamResponse:
        """Send events until the final one, the end of the stream's time or the stop of the API."""
        await self._response.prepare(self._request)
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                with self._request.app[LISTENER].subscribe(self._prediction_id) as wakes:
                    await self._response.write(b"retry: %d\n\n" % RECONNECT_MILLISECONDS)
                    await self._follow(wakes)
        except (TimeoutError, ConnectionError):
            pass
        except Exception:  # the answer has begun: all that is left is to end it, and the client comes again
            log.exception("event_stream_failed")
        return self._response

    async def _follow(self, wakes: Wakes) -> None:
        while not self._request.app[WAITING_ROOM].closed:
            events = await self._read()
            for event in events:
                await self._response.write(_message(event))
                self._after = event.sequence
                if event.type in FINAL:
                    return
            if not events and not await wakes.wait(POLL_SECONDS):
                await self._response.write(b": keep-alive\n\n")

    async def _read(self) -> list[Event]:
        """Read the next events; none while the database cannot be reached."""
        try:
            async with self._request.app[WAITING_ROOM].reading:
                return await self._request.app[PREDICTIONS].read_events(
                    self._prediction_id,
                    self._request[CALLER].tenant_id,
                    after=self._after,
                    at_most=READ_EVENTS,
                )
        except (DatabaseUnavailable, DatabaseBusy):
            return []


def _last_event_id(request: web.Request) -> int:
    """Return the last event that the client has; 0 if it has none."""
    text = request.headers.get("Last-Event-ID", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SEQUENCE))):
        raise InvalidParameter("Last-Event-ID", "send the id of the last event that you have received.")
    return min(int(text), MAX_SEQUENCE)


def _message(event: Event) -> bytes:
    data = orjson.dumps(_resource(event), option=orjson.OPT_UTC_Z)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.type.encode(), data)


def _resource(event: Event) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "type": event.type,
        "at": event.at,
        "detail": orjson.Fragment(event.detail),
    }
