"""Telemetry: a log line and a span for each request, and the Prometheus metrics."""

import re
import time
from contextlib import AbstractContextManager, nullcontext
from uuid import uuid4

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from producer_api import SERVICE
from retainwise_contracts.logs import LogField

REQUEST_ID = web.RequestKey("request_id", str)
"""Identifies the request in its log lines, its errors and its `X-Request-Id` header."""

PROBLEM_CODE = web.ResponseKey("problem_code", str)
"""The code of an error response, for the request's log line and metrics."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)

MAX_TRACESTATE_CHARACTERS = 512
"""What W3C Trace Context asks to be kept. A longer one is ignored."""

MAX_TRACESTATE_MEMBERS = 32

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)

_NO_SPAN = nullcontext(trace.INVALID_SPAN)
_tracer = trace.get_tracer(SERVICE)
_propagator = TraceContextTextMapPropagator()
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ApiMetrics:
    """The API's metrics, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def name(suffix: str) -> str:
            return f"retainwise_api_{suffix}"

        self.requests = Counter(
            name("requests"),
            "Requests answered, by route, status and problem code",
            ["method", "route", "status", "code"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            name("request_seconds"), "Time to the response", ["route"], buckets=_SECONDS, registry=registry
        )
        self.upload_bytes = Counter(name("upload_bytes"), "Bytes of files received", registry=registry)
        self.uploads_under_way = Gauge(name("uploads_under_way"), "Uploads in progress", registry=registry)
        self.connections = Gauge(name("connections"), "Open connections of clients", registry=registry)
        self.connections_closed = Counter(
            name("connections_closed"),
            "Connections of clients refused or closed by us, by reason",
            ["reason"],
            registry=registry,
        )
        self.orphan_uploads = Counter(
            name("orphan_uploads_deleted"),
            "Uploads without a row that were deleted, by kind: object or unfinished",
            ["kind"],
            registry=registry,
        )
        self.outbox_unsent = Gauge(
            name("outbox_unsent_messages"),
            "Unsent messages in the outbox",
            ["destination"],
            registry=registry,
        )
        self.outbox_lag_seconds = Gauge(
            name("outbox_lag_seconds"),
            "Age of the oldest unsent message; 0 if there is none",
            ["destination"],
            registry=registry,
        )
        self.outbox_messages = Counter(
            name("outbox_messages"),
            "Messages sent to SQS or SNS, by result",
            ["destination", "result"],
            registry=registry,
        )
        self.outbox_purged = Counter(
            name("outbox_purged_messages"), "Old sent messages deleted from the outbox", registry=registry
        )


METRICS = web.AppKey("metrics", ApiMetrics)


def current_traceparent() -> str | None:
    """Return the current span as a W3C Trace Context `traceparent`; None if there is no span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def _trace_context(request: web.Request) -> dict[str, str]:
    """Return the caller's trace context as far as it is valid: OpenTelemetry logs what it cannot read."""
    traceparent = request.headers.get("traceparent", "")
    if not _TRACEPARENT.fullmatch(traceparent):
        return {}
    tracestate = ",".join(request.headers.getall("tracestate", ()))
    if len(tracestate) > MAX_TRACESTATE_CHARACTERS:
        return {"traceparent": traceparent}
    members = [member.strip() for member in tracestate.split(",")]
    keys = {member.partition("=")[0] for member in members}
    if len(keys) < len(members) or len(members) > MAX_TRACESTATE_MEMBERS:
        return {"traceparent": traceparent}
    if not all(_TRACESTATE_MEMBER.fullmatch(member) for member in members):
        return {"traceparent": traceparent}
    return {"traceparent": traceparent, "tracestate": tracestate}


def _trace_id(span: trace.Span) -> str | None:
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


SERVER = "retainwise"
"""The `Server` header of every answer. aiohttp's own names software versions."""


def new_request_id() -> str:
    """Return an id for a request that has none."""
    return str(uuid4())


def _open_span(request: web.Request, route: str) -> AbstractContextManager[trace.Span]:
    """Open a span that continues the caller's trace; one that does nothing if there is no trace at all."""
    if "traceparent" not in request.headers and isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider
    ):
        return _NO_SPAN
    return _tracer.start_as_current_span(
        f"{request.method} {route}",
        context=_propagator.extract(_trace_context(request)),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": request.method, "http.route": route},
    )


@web.middleware
async def observe_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, run it in a span that continues the caller's trace, count it and log it."""
    route = request.match_info.route.resource.canonical if request.match_info.route.resource else "unmatched"
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
    request[REQUEST_ID] = request_id
    started = time.perf_counter()
    with (
        _open_span(request, route) as span,
        structlog.contextvars.bound_contextvars(
            **{
                LogField.REQUEST_ID: request_id,
                LogField.TRACE_ID: _trace_id(span),
                # Bound by `authenticate`; unbound here, since a connection serves other requests too.
                LogField.TENANT_ID: None,
            }
        ),
    ):
        response = await handler(request)
        seconds = time.perf_counter() - started
        span.set_attribute("http.response.status_code", response.status)
        code = response.get(PROBLEM_CODE, "")
        metrics = request.app[METRICS]
        # Clients can invent methods, and each value of a label costs memory for good.
        method = request.method if request.method in hdrs.METH_ALL else "OTHER"
        metrics.requests.labels(method, route, str(response.status), code).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        log.info(
            "request_answered",
            method=request.method,
            route=route,
            status=response.status,
            seconds=round(seconds, 4),
            **({"code": code} if code else {}),
        )
    return response
