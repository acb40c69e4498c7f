"""The layer below the application: bounds for connections, and answers to requests that reach no handler.

A connection either waits for a request or serves one. Only a waiting one is closed to make room for another.
"""

import asyncio
import resource
from collections import OrderedDict
from http import HTTPStatus
from typing import cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from producer_api.http.headers import SECURITY_HEADERS
from producer_api.http.problems import HTTP_PROBLEMS, INTERNAL_ERROR, Problem, problem_body, problem_response
from producer_api.telemetry import REQUEST_ID, ApiMetrics, new_request_id

HEAD_SECONDS = 10.0
"""For the head of a request, from its first byte. Load balancers send it at once."""

MAX_HEAD_BYTES = 32_768
"""For the head of a request: a token and some headers are 2 to 4 KB. Load balancers allow 16 to 64 KB."""

MAX_HEADERS = 64

KEEPALIVE_SECONDS = 75.0
"""How long a connection may wait for its next request: longer than load balancers keep it (60 s), so that
they close it and never send a request to a connection that is being closed."""

WRITE_SECONDS = 30.0
"""How long a client may leave an answer unread once it fills the buffers."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before its connection is closed."""

RESERVED_FILES = 256
"""Open files that are not connections of clients: the database, AWS, logs, and those just accepted."""

MAX_READ_BYTES = 16_384
"""For one read from a socket. asyncio reads 256 KiB, which take 50 ms to parse as chunks of one byte; these
take 3 ms, and others wait for several reads. Half of it would halve the speed of uploads."""

BACKLOG = 128

REPORT_SECONDS = 10.0
"""At most one log line in this time for each kind of refused or closed connection."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Connections:
    """The open connections. Their number is limited; under pressure those that only wait are closed.

    The connection that is closed belongs to the peer with the most waiting ones, and is its longest waiting.
    Behind a load balancer, where peers say nothing about clients, that is simply the longest waiting one.
    """

    def __init__(self, at_most: int, metrics: ApiMetrics) -> None:
        self._at_most = at_most
        self._metrics = metrics
        self._open: set[Connection] = set()
        self._waiting: dict[str, OrderedDict[Connection, None]] = {}
        self._report_after: dict[str, float] = {}

    def add(self, connection: "Connection") -> bool:
        """Add a new connection; return whether there is room for it."""
        if len(self._open) >= self._at_most and not self._close_one_waiting():
            self.report("refused")
            return False
        self._open.add(connection)
        self._metrics.connections.set(len(self._open))
        return True

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self.serves(connection)
        self._metrics.connections.set(len(self._open))

    def waits(self, connection: "Connection") -> None:
        """Note that a connection waits for a request."""
        if connection in self._open:
            of_peer = self._waiting.setdefault(connection.peer, OrderedDict())
            of_peer[connection] = None
            of_peer.move_to_end(connection)

    def serves(self, connection: "Connection") -> None:
        """Note that a connection serves a request, or is closed."""
        of_peer = self._waiting.get(connection.peer)
        if of_peer is not None:
            of_peer.pop(connection, None)
            if not of_peer:
                del self._waiting[connection.peer]

    def report(self, reason: str) -> None:
        """Count a connection that was refused or closed for a reason, and log that now and then."""
        self._metrics.connections_closed.labels(reason).inc()
        now = asyncio.get_running_loop().time()
        if now >= self._report_after.get(reason, 0.0):
            self._report_after[reason] = now + REPORT_SECONDS
            log.warning("connections_closed", reason=reason, open=len(self._open))

    def _close_one_waiting(self) -> bool:
        if not self._waiting:
            return False
        busiest = max(self._waiting, key=lambda peer: len(self._waiting[peer]))
        longest = next(iter(self._waiting[busiest]))
        self.remove(longest)
        longest.force_close()
        self.report("made_room")
        return True


class Connection(web.RequestHandler):
    """One connection of a client: aiohttp's, with bounds and our own answers to errors in HTTP itself."""

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say that there is none
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_headers=MAX_HEADERS,
            # A compressed body is refused, but aiohttp would still decompress it while it drains the request.
            auto_decompress=False,
        )
        self.peer = ""
        self._connections = connections
        self._payload: StreamReader | None = None
        self._refused = False
        self._head_bytes = 0
        self._head_limit: asyncio.TimerHandle | None = None
        self._write_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection if there is room for it; otherwise close it with 503."""
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        if hasattr(transport, "max_size"):
            transport.max_size = MAX_READ_BYTES
        if self._connections.add(self):
            self._connections.waits(self)
            super().connection_made(transport)
        else:
            refused = cast("asyncio.Transport", transport)
            refused.write(_raw_answer(HTTP_PROBLEMS[HTTPStatus.SERVICE_UNAVAILABLE]))
            refused.close()

    def data_received(self, data: bytes) -> None:
        """Bound the time for the head of a request and its size."""
        if self._refused:
            return
        super().data_received(data)
        if self._messages:
            self._payload = self._messages[-1][1]
        if not self._waits_for_head:
            self._end_head()
        elif data and self._close:  # accepted in the moment of a stop: aiohttp parses nothing any more
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "closing")
        elif data:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
            elif self._head_limit is None:
                self._head_limit = self._loop.call_later(
                    HEAD_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT, "head_timed_out"
                )

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Answer a client that closes its side once it has sent its request, or a part of it."""
        if self._waits_for_head:
            return False
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(web.RequestPayloadError("the client closed its side"))
            self._payload.feed_eof()  # so that aiohttp does not wait for the rest
        self.close()
        return True

    def pause_writing(self) -> None:
        """Bound the time for which a client may leave an answer unread."""
        super().pause_writing()
        self._write_limit = self._loop.call_later(WRITE_SECONDS, self._abort, "answer_unread")

    def resume_writing(self) -> None:
        """The client reads again."""
        self._end_write()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._end_head()
        self._end_write()
        self._connections.remove(self)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; aiohttp's own, which may quote the request, is replaced."""
        if isinstance(resp, web.HTTPException):
            resp = _answer(request, HTTP_PROBLEMS.get(HTTPStatus(resp.status), INTERNAL_ERROR))
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if not self._messages:
                self._connections.waits(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 it quotes the request
    ) -> web.StreamResponse:
        """Answer a request that cannot be parsed, or whose handling failed outside of our middlewares.

        The answer and the log line quote nothing of the request: it may hold a token.
        """
        if isinstance(exc, HttpProcessingError):
            log.warning("request_unreadable", error=type(exc).__name__)
        else:
            log.error("request_failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer is sent already")
        if isinstance(exc, LineTooLong):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return _answer(request, HTTP_PROBLEMS.get(HTTPStatus(status), INTERNAL_ERROR))

    @property
    def _waits_for_head(self) -> bool:
        """Whether the next bytes belong to the head of a request: aiohttp's `start` waits for one."""
        return self._waiter is not None and not self._waiter.done()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer a request whose head is not complete, and close the connection."""
        self._connections.report(reason)
        self._refused = True
        if self.transport is not None:
            self.transport.write(_raw_answer(HTTP_PROBLEMS[status]))
            self.transport.write_eof()
        # To close it at once would reset it, and the answer would be lost, if the client still sends.
        self._loop.call_later(LINGER_SECONDS, self.force_close)

    def _abort(self, reason: str) -> None:
        self._connections.report(reason)
        if self.transport is not None:
            self.transport.abort()

    def _end_head(self) -> None:
        self._head_bytes = 0
        if not self._waits_for_head:
            self._connections.serves(self)
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def _end_write(self) -> None:
        if self._write_limit is not None:
            self._write_limit.cancel()
            self._write_limit = None


class Site(web.BaseSite):
    """A listening socket whose connections are bounded."""

    def __init__(self, runner: web.BaseRunner, host: str, port: int, connections: Connections) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._host = host
        self._port = port
        self._connections = connections

    @property
    def name(self) -> str:
        """The address."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        server = cast("web.Server", self._runner.server)  # the base class has checked that it is there
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(server, self._connections), self._host, self._port, backlog=self._backlog
        )


def allowed_connections(wanted: int) -> int:
    """Raise the limit of open files if `wanted` needs it, and return how many connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = max(soft - RESERVED_FILES, 16)
    log.warning("connections_limited_by_open_files", wanted=wanted, allowed=allowed, open_files=soft)
    return allowed


def report_loop_errors(connections: Connections) -> None:
    """Log what asyncio reports outside of tasks; that no socket can be accepted, now and then only.

    asyncio reports that with a traceback for each attempt, a hundred times for each connection.
    """

    def report(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and "accept" in str(context.get("message")):
            connections.report("no_files_left")
        else:
            exception = error if isinstance(error, BaseException) else None
            log.error("event_loop_error", message=str(context.get("message")), exc_info=exception)

    asyncio.get_running_loop().set_exception_handler(report)


def _answer(request: web.BaseRequest, problem: Problem) -> web.Response:
    request.setdefault(REQUEST_ID, new_request_id())
    response = problem_response(request, problem, problem.title)
    response.headers.update(SECURITY_HEADERS)
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    response.force_close()
    return response


def _raw_answer(problem: Problem) -> bytes:
    """Return the bytes of an answer for a connection without a request."""
    body = problem_body(problem, problem.title, instance="/", request_id=new_request_id())
    security = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())
    head = (
        f"HTTP/1.1 {problem.status} {problem.status.phrase}\r\n{security}"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n"
    )
    if problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
        head += "Retry-After: 1\r\n"
    return f"{head}\r\n".encode() + body
