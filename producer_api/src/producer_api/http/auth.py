"""Authentication: bearer tokens, verified with the keys their issuer publishes."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

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
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub", "tenant_id"]},
            )
            return Caller(_tenant_id.validate_python(claims["tenant_id"], strict=True))
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
        caller = await request.app[VERIFIER].verify(bearer[1])
        request[CALLER] = caller
        structlog.contextvars.bind_contextvars(**{LogField.TENANT_ID: caller.tenant_id})
        return await handler(request)

    return middleware
