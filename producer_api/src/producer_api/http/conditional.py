"""Conditional requests (RFC 9110, section 13): ETags, `If-None-Match` and `If-Match`."""

import hashlib

from aiohttp import hdrs, web

from producer_api.http.answers import REVALIDATED
from producer_api.http.errors import PreconditionFailed

_TAG_BYTES = 16


def etag(*parts: object) -> str:
    """Return the strong ETag of a representation: `parts` are all that it is made from."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=_TAG_BYTES)
    return f'"{digest.hexdigest()}"'


def if_none_match(request: web.Request, tag: str) -> web.Response | None:
    """Return 304 if the client has this representation already; None if it must be sent."""
    if (held := request.headers.get(hdrs.IF_NONE_MATCH)) is None or not _has(held, tag, weak=True):
        return None
    return web.Response(status=304, headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED})


def require_match(request: web.Request, tag: str) -> None:
    """Refuse a change of something that the client has read, but not as it is now.

    Raises:
        PreconditionFailed: `If-Match` names another representation.
    """
    held = request.headers.get(hdrs.IF_MATCH)
    if held is not None and not _has(held, tag, weak=False):
        raise PreconditionFailed


def _has(held: str, tag: str, *, weak: bool) -> bool:
    """Return whether a list of ETags has this one. Ours have no comma."""
    tags = {item.strip() for item in held.split(",")}
    return "*" in tags or tag in tags or (weak and f"W/{tag}" in tags)
