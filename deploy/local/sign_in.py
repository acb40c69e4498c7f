"""Sign-in to the console of the local stack, as an identity provider does it: OpenID Connect's code flow.

A link with a hint stands for the password. Whoever opens it first is signed in, and their browser stays so
by a cookie. PKCE (RFC 7636) binds each code to the page that asked for it.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import hdrs, web

AUTHORIZE_PATH = "/authorize"
TOKEN_PATH = "/token"  # noqa: S105 a path
CONSOLE_CLIENT = "console"

CODE_SECONDS = 60.0
"""How long a code may be changed for a token."""

_COOKIE = "retainwise_local_session"


@dataclass(frozen=True)
class _Code:
    tenant_id: str
    challenge: str
    expires_at: float


class SignIn:
    """Knows who is signed in, by the links it gave. `mint` makes a tenant's token."""

    def __init__(self, mint: Callable[[str], str], console_url: str) -> None:
        self._mint = mint
        self._console_url = console_url
        self._redirect_uri = f"{console_url}/"
        self._hints: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._codes: dict[str, _Code] = {}

    def invite(self, tenant_id: str) -> str:
        """Return a link to the console that signs in as a tenant, once."""
        hint = secrets.token_urlsafe(16)
        self._hints[hint] = tenant_id
        return f"{self._console_url}/#/sign-in?hint={hint}"

    def routes(self) -> list[web.RouteDef]:
        """Return the issuer's endpoints for it."""
        return [web.get(AUTHORIZE_PATH, self._authorize), web.post(TOKEN_PATH, self._give_token)]

    async def _authorize(self, request: web.Request) -> web.Response:
        """Send the browser back to the console with a code, or with an error."""
        query = request.query
        if query.get("client_id") != CONSOLE_CLIENT or query.get("redirect_uri") != self._redirect_uri:
            raise web.HTTPBadRequest(text="Only the console of this stack signs in here.")
        state = query.get("state", "")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return self._redirect(error="invalid_request", state=state)
        session = request.cookies.get(_COOKIE, "")
        tenant_id = self._hints.pop(query.get("login_hint", ""), None) or self._sessions.get(session)
        if tenant_id is None:
            return self._redirect(
                error="login_required",
                error_description="open the link that the local stack has printed, or start the stack again "
                "for a new one",
                state=state,
            )
        code = secrets.token_urlsafe(16)
        challenge = query.get("code_challenge", "")
        self._codes[code] = _Code(tenant_id, challenge, time.monotonic() + CODE_SECONDS)
        response = self._redirect(code=code, state=state)
        session = secrets.token_urlsafe(16)
        self._sessions[session] = tenant_id
        response.set_cookie(_COOKIE, session, path=AUTHORIZE_PATH, httponly=True, samesite="Lax")
        return response

    async def _give_token(self, request: web.Request) -> web.Response:
        """Change a code for a token, if it comes from the page that the code was asked by."""
        form = await request.post()
        found = self._codes.pop(str(form.get("code")), None)
        challenge = _challenge(str(form.get("code_verifier")))
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: self._console_url,
            hdrs.CACHE_CONTROL: "no-store",
        }
        if (
            found is None
            or found.expires_at < time.monotonic()
            or not secrets.compare_digest(found.challenge.encode(), challenge)
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != self._redirect_uri
        ):
            return web.json_response({"error": "invalid_grant"}, status=400, headers=headers)
        answer = {"access_token": self._mint(found.tenant_id), "token_type": "Bearer"}
        return web.json_response(answer, headers=headers)

    def _redirect(self, **answer: str) -> web.Response:
        location = f"{self._redirect_uri}?{urlencode(answer)}"
        return web.Response(status=302, headers={hdrs.LOCATION: location, hdrs.CACHE_CONTROL: "no-store"})


def _challenge(verifier: str) -> bytes:
    """Return what PKCE's method S256 makes of a verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
