"""CORS: which browser pages may call the API. The outermost middleware, so that pages can read errors too."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

MAX_AGE_SECONDS = 600
"""How long a browser may cache the answer to a preflight request."""

_METHODS = "GET, POST"
_REQUEST_HEADERS = "Authorization, Content-Type, X-Request-Id, traceparent, tracestate"
_RESPONSE_HEADERS = "Location, Retry-After, WWW-Authenticate, X-Request-Id"


def allow_origins(origins: tuple[str, ...]) -> Middleware:
    """Build the middleware that answers preflight requests and adds CORS headers for these origins."""
    allowed = frozenset(origins)

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        preflight = (
            request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        )
        response = web.Response(status=204) if origin and preflight else await handler(request)
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if origin in allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            if preflight:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _REQUEST_HEADERS
                response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE_SECONDS)
            else:
                response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _RESPONSE_HEADERS
        return response

    return cors
