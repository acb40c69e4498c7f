"""The docs: `/openapi.json`, Swagger UI at `/docs`, and a page for each error code.

Every file is in this package, and the pages load nothing from elsewhere.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from aiohttp import hdrs, web

from producer_api.http.conditional import if_none_match
from producer_api.http.errors import ApiError
from producer_api.http.problems import HTTP_PROBLEMS, INTERNAL_ERROR, PROBLEMS, Problem
from producer_api.http.route import Route
from retainwise_contracts.failures import FAILURES, FailureCode, Fault

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

CACHE_CONTROL = "public, no-cache"
"""A browser keeps the files, and asks whether they are current: a release changes them, not their names."""

_HERE = files(__package__)
_ASSETS: Mapping[str, tuple[str, str]] = {
    "docs.css": ("docs.css", "text/css"),
    "start.js": ("start.js", "text/javascript"),
    "swagger-ui.css": ("swagger_ui/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger_ui/swagger-ui-bundle.js", "text/javascript"),
}
"""What `/docs/{file}` may answer: where it is, and its media type."""


async def get_openapi(request: web.Request) -> web.StreamResponse:
    """Answer the OpenAPI document. Pages of any origin may read it: it is public."""
    response = _answer(request, _read("../openapi.json"), "application/json")
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    return response


async def show_docs(request: web.Request) -> web.StreamResponse:
    """Answer the page with all endpoints."""
    return _answer(request, _read("index.html"), "text/html")


async def get_asset(request: web.Request) -> web.StreamResponse:
    """Answer a file that the pages load."""
    try:
        path, media_type = _ASSETS[request.match_info["file"]]
    except KeyError:
        raise web.HTTPNotFound from None
    return _answer(request, _read(path), media_type)


async def list_problems(request: web.Request) -> web.StreamResponse:
    """Answer the page that lists all error codes."""
    return _answer(request, _problem_pages()[""], "text/html")


async def show_problem(request: web.Request) -> web.StreamResponse:
    """Answer the page of an error code."""
    try:
        page = _problem_pages()[request.match_info["code"]]
    except KeyError:
        raise web.HTTPNotFound from None
    return _answer(request, page, "text/html")


def _answer(request: web.Request, content: bytes, media_type: str) -> web.Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    response = if_none_match(request, tag) or web.Response(
        body=content, content_type=media_type, charset="utf-8", headers={hdrs.ETAG: tag}
    )
    response.headers[hdrs.CACHE_CONTROL] = CACHE_CONTROL
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


@cache
def _read(path: str) -> bytes:
    return _HERE.joinpath(path).read_bytes()


@cache
def _problem_pages() -> Mapping[str, bytes]:
    """Return the page of each code, and the list of all as ""."""
    explained: dict[str, list[str]] = defaultdict(list)
    problems: dict[str, Problem] = {}
    for problem, explanation in _explained_problems():
        problems.setdefault(problem.code, problem)
        if explanation and explanation not in explained[problem.code]:
            explained[problem.code].append(explanation)
    pages = {
        code: _page(problem.code, _describe(problem, explained[code])) for code, problem in problems.items()
    }
    rows = "".join(
        f'<tr><td>{problem.status}</td><td><a href="/docs/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{escape(problem.title)}</td></tr>"
        for code, problem in sorted(problems.items(), key=lambda item: (item[1].status, item[0]))
    )
    return pages | {
        "": _page(
            "Errors",
            "<h1>Errors</h1><p>Every error is <code>application/problem+json</code> with a stable "
            "<code>code</code>, and its <code>type</code> is one of these pages.</p>"
            f"<table><thead><tr><th>Status</th><th>Code</th><th>Meaning</th></tr></thead>{rows}</table>",
        )
    }


def _explained_problems() -> Iterator[tuple[Problem, str | None]]:
    for kind, problem in PROBLEMS.items():
        yield problem, problem.detail or (kind.__doc__ if issubclass(kind, ApiError) else None)
    for problem in (*HTTP_PROBLEMS.values(), INTERNAL_ERROR):
        yield problem, None


def _describe(problem: Problem, explanations: list[str]) -> str:
    described = [
        f"<h1>{escape(problem.title)}</h1>",
        f"<p><code>{problem.code}</code>, HTTP status {problem.status} {escape(problem.status.phrase)}</p>",
        *(f"<p>{escape(' '.join(explanation.split()))}</p>" for explanation in explanations),
        f"<h2>What to do</h2><p>{_advice(problem)}</p>",
        "<h2>In an answer</h2><p>The <code>detail</code> says what is wrong with that request"
        + (", and <code>errors</code> names each field." if problem.status == 422 else ".")
        + " Quote the <code>request_id</code> if you ask for support.</p>",
    ]
    return "\n".join(described)


def _advice(problem: Problem) -> str:
    kind = FAILURES.get(FailureCode(problem.code))
    if problem.status in {429, 503}:
        return (
            "Wait for the seconds in the header <code>Retry-After</code>, then send the same request again. "
            "With an <code>Idempotency-Key</code> a POST is done once however often it is sent."
        )
    if problem.status >= 500 or (kind is not None and kind.fault is Fault.SYSTEM):
        return "It is not your fault. Send the same request again; if it fails again, contact support."
    if problem.status in {408, 409}:
        return "The same request may succeed later."
    return "The same request fails again: change it first."


def _page(title: str, content: str) -> bytes:
    template = Template(_read("page.html").decode())
    return template.substitute(title=escape(title), content=content).encode()


ROUTES = (
    Route(
        *("GET", "/openapi.json", get_openapi, "This document."),
        answers={200: "application/json"},
        public=True,
        documented=False,
    ),
    Route("GET", "/docs", show_docs, "All endpoints, to try.", public=True, documented=False),
    Route("GET", "/docs/problems", list_problems, "All error codes.", public=True, documented=False),
    Route("GET", "/docs/problems/{code}", show_problem, "An error code.", public=True, documented=False),
    Route("GET", "/docs/{file}", get_asset, "A file of the docs.", public=True, documented=False),
)
