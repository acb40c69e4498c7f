"""Answers in JSON."""

from collections.abc import Mapping

import orjson
from aiohttp import hdrs, web

UNCACHED: Mapping[str, str] = {hdrs.CACHE_CONTROL: "no-store"}

REVALIDATED = "private, no-cache"
"""The `Cache-Control` of an answer with an ETag: a browser keeps it, and asks each time if it is current."""


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return content as JSON, its times in UTC. No cache keeps it unless the headers say so."""
    return web.Response(
        status=status,
        body=orjson.dumps(content, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        headers={**UNCACHED, **headers} if headers else UNCACHED,
    )
