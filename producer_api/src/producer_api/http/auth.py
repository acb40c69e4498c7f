"""Authentication: bearer tokens, verified with the keys their issuer publishes, as RFC 8725 asks.

Whatever is wrong with a token, the answer is the same: it says nothing to somebody who tries to forge one.
"""

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import TypeAdapter, ValidationError

from producer_api.http.errors import TokenExpired, TokenInvalid, TokenMissing
from producer_api.http.key_set import ALGORITHMS, KeysUnavailable, read_keys
from producer_api.redaction import hide_credentials
from retainwise_contracts.logs import LogField
from retainwise_contracts.model import TenantId

LEEWAY_SECONDS = 10
"""How much the issuer's clock and ours may differ."""

FETCH_TIMEOUT_SECONDS = 5.0
MAX_KEY_SET_BYTES = 262_144
REFRESH_SECONDS = 300.0
"""How often the keys are refreshed, so that a revoked key is not trusted for long."""

COOL_DOWN_SECONDS = 30.0
"""Between two fetches for unknown key ids: tokens with invented ids must not cause load on the issuer."""

MAX_TOKEN_CHARACTERS = 4_096
"""Tokens have about a thousand characters."""

MAX_KNOWN_TOKENS = 10_000
"""Verified tokens that are remembered until they expire, 500 bytes each."""

TOKEN_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""What a token's `typ` may be: the issuer's other kinds of tokens are none for us (RFC 8725, 3.11)."""

REFUSED_HEADERS = frozenset({"crit", "cty", "zip", "b64"})
"""Each changes how a token is to be read. None of them is understood, so none may be ignored."""

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_tenant_id: TypeAdapter[str] = TypeAdapter(TenantId)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Caller:
    """The tenant a token was issued to."""

    tenant_id: str


CALLER = web.RequestKey("caller", Caller)


class TokenVerifier:
    """Verifies tokens of one issuer. While the issuer is unavailable, the keys fetched last stay in use."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        jwks_url: str,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._jwks_url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        """By the digest of a token: its caller, and when it expires (s since the epoch, with the leeway)."""
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self.problem: str | None = "the keys have not been fetched yet"
        """Why the last fetch failed; None if it succeeded."""

    async def verify(self, token: str) -> Caller:
        """Return the caller a token was issued to.

        Raises:
            TokenExpired: it was valid once.
            TokenInvalid: anything else; the text never quotes the token.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenInvalid
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and time.time() < known[1]:
            return known[0]
        caller, expires_at = await self._verify(token)
        self._known[digest] = (caller, expires_at + LEEWAY_SECONDS)
        if len(self._known) > MAX_KNOWN_TOKENS:
            self._known.popitem(last=False)
        return caller

    async def _verify(self, token: str) -> tuple[Caller, float]:
        """Return the caller of a token that is not known yet, and when it expires."""
        try:
            header, payload, _ = token.split(".")
            key = await self._key(_check_header(_decode(header)))
            _check_times(_decode(payload))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub", "tenant_id"]},
            )
            return Caller(_tenant_id.validate_python(claims["tenant_id"], strict=True)), claims["exp"]
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired from error
        except ValidationError as error:
            raise TokenInvalid("The claim tenant_id is not a valid tenant id.") from error
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            raise TokenInvalid(f"{error}.") from error
        except TokenInvalid:
            raise
        except (
            Exception
        ) as error:  # the token is the caller's to write, and its claims have any type and depth
            raise TokenInvalid from error

    async def refresh_keys(self) -> int:
        """Fetch the issuer's keys and return how many there are.

        Raises:
            KeysUnavailable: the fetch failed, and the keys are unchanged.
        """
        try:
            self._keys = await self._fetch_keys()
            self._known.clear()  # a token of a withdrawn key is no longer valid
        except KeysUnavailable as error:
            self.problem = str(error)
            raise
        self.problem = None
        return len(self._keys)

    async def keep_keys_fresh(self) -> None:
        """Refresh the keys periodically until cancelled. A failed refresh is logged and retried."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self._try_refresh()
            except Exception:
                log.exception("jwks_refresh_failed")

    async def _key(self, key_id: object) -> jwt.PyJWK:
        if not isinstance(key_id, str):
            raise TokenInvalid("The token's header has no key id (kid).")
        if key_id not in self._keys:
            async with self._fetching:  # the first of many waiting requests fetches for all
                if key_id not in self._keys and self._clock() - self._fetched_at >= COOL_DOWN_SECONDS:
                    self._fetched_at = self._clock()
                    await self._try_refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise TokenInvalid("The token is signed with a key that its issuer does not publish.") from None

    async def _try_refresh(self) -> None:
        try:
            await self.refresh_keys()
        except KeysUnavailable as error:
            log.warning(
                "jwks_fetch_failed",
                url=hide_credentials(self._jwks_url),
                reason=str(error),
                keys=len(self._keys),
            )

    async def _fetch_keys(self) -> Mapping[str, jwt.PyJWK]:
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT_SECONDS),
                self._session.get(self._jwks_url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise KeysUnavailable(f"HTTP status {response.status}")
                if response.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
                    raise KeysUnavailable("it is compressed although that was not asked for")
                document = bytearray()
                async for chunk in response.content.iter_any():
                    document += chunk
                    if len(document) > MAX_KEY_SET_BYTES:
                        raise KeysUnavailable(f"it is larger than {MAX_KEY_SET_BYTES:,} bytes")
        except (aiohttp.ClientError, OSError) as error:  # OSError includes TimeoutError
            raise KeysUnavailable(hide_credentials(str(error)) or type(error).__name__) from error
        keys = read_keys(bytes(document))
        if not keys:
            raise KeysUnavailable("it has no signing key for an accepted algorithm")
        return keys


def _decode(part: str) -> dict[str, Any]:
    """Return a part of a token. Raises ValueError, also for a name that is there twice."""
    content = json.loads(
        base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True),
        object_pairs_hook=_refuse_duplicates,
    )
    if not isinstance(content, dict):
        raise TypeError("not an object")
    return content


def _refuse_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name is there twice")
    return content


def _check_header(header: Mapping[str, Any]) -> object:
    """Return the key id of a header. Keys that it carries or links to are never used. Raises ValueError."""
    if not REFUSED_HEADERS.isdisjoint(header):
        raise ValueError("a header that is not understood")
    if str(header.get("typ", "JWT")).lower() not in TOKEN_TYPES:
        raise ValueError("a token of another type")
    return header.get("kid")


def _check_times(claims: Mapping[str, Any]) -> None:
    """Refuse times that are no numbers: PyJWT reads texts and booleans as numbers, too. Raises ValueError."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and type(claims[name]) not in {int, float}:
            raise ValueError(f"{name} is not a number")


@asynccontextmanager
async def open_issuer_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the HTTP session for the issuer. It is not trusted with cookies or compressed answers."""
    async with aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={hdrs.ACCEPT_ENCODING: "identity"},
    ) as session:
        yield session


VERIFIER = web.AppKey("verifier", TokenVerifier)


def authenticate(open_paths: frozenset[str]) -> Middleware:
    """Return the middleware that requires a valid token of every route but the open ones.

    It binds the token's tenant to the request and its log lines.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None or resource.canonical in open_paths:  # no resource: a 404 or 405 follows
            return await handler(request)
        bearer = _BEARER.fullmatch(request.headers.get(hdrs.AUTHORIZATION, "").strip())
        if bearer is None:
            raise TokenMissing
        try:
            caller = await request.app[VERIFIER].verify(bearer[1])
        except TokenInvalid as error:
            log.info("token_refused", reason=str(error))
            raise
        request[CALLER] = caller
        structlog.contextvars.bind_contextvars(**{LogField.TENANT_ID: caller.tenant_id})
        return await handler(request)

    return middleware
