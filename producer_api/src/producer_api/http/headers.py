"""The headers of every answer, set when it begins, so that streams have them too."""

from aiohttp import web

from producer_api.http.limits import RATE_LIMITS, TOKENS_LEFT
from producer_api.telemetry import REQUEST_ID, SERVER

SECURITY_HEADERS = {
    "Server": SERVER,
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""An answer is data: no browser may run, frame or embed it. The docs' pages have a policy of their own."""


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer has."""
    headers = response.headers
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["Server"] = SERVER  # aiohttp's own names software versions
    headers["X-Request-Id"] = request[REQUEST_ID]
    left = request.get(TOKENS_LEFT)
    if left is not None:
        limits = request.app[RATE_LIMITS]
        headers["RateLimit-Policy"] = limits.policy
        headers["RateLimit"] = limits.state(left)
