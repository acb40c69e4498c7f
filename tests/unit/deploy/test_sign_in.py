"""Sign-in at the local stack: a code for whoever has the link, a token for the page that asked for it."""

import base64
import hashlib
import re
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web

from deploy.local.sign_in import SignIn

CONSOLE = "http://127.0.0.1:8080"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def sign_in() -> SignIn:
    return SignIn(lambda tenant_id: f"token of {tenant_id}", CONSOLE)


@pytest.fixture
async def browser(sign_in):
    app = web.Application()
    app.add_routes(sign_in.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", cookie_jar=jar) as session:
        yield session
    await runner.cleanup()


async def authorize(browser, **changes: str) -> tuple[int, dict[str, str]]:
    """Go to the sign-in as the console does; return the status and what the console is sent back with."""
    query = {
        "response_type": "code",
        "client_id": "console",
        "redirect_uri": f"{CONSOLE}/",
        "state": "s-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    async with browser.get("/authorize", params=query | changes, allow_redirects=False) as answer:
        location = answer.headers.get("Location", "")
        assert not location or location.startswith(f"{CONSOLE}/?")
        return answer.status, dict(parse_qsl(urlsplit(location).query))


async def change(browser, code: str, **changes: str) -> tuple[int, dict[str, str]]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{CONSOLE}/",
        "client_id": "console",
        "code_verifier": VERIFIER,
    }
    async with browser.post("/token", data=form | changes) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == CONSOLE
        return answer.status, await answer.json()


def hint_of(link: str) -> str:
    found = re.fullmatch(rf"{re.escape(CONSOLE)}/#/sign-in\?hint=([\w-]{{20,}})", link)
    assert found
    return found[1]


async def test_link_signs_in_and_the_browser_stays_so(sign_in, browser):
    status, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")))
    assert (status, sent["state"]) == (302, "s-1")
    assert await change(browser, sent["code"]) == (
        200,
        {"access_token": "token of acme", "token_type": "Bearer"},
    )

    status, sent = await authorize(browser)
    assert (await change(browser, sent["code"]))[0] == 200


async def test_link_works_once(sign_in, browser):
    hint = hint_of(sign_in.invite("acme"))
    await authorize(browser, login_hint=hint)
    browser.cookie_jar.clear()

    _, sent = await authorize(browser, login_hint=hint)
    assert sent["error"] == "login_required"


async def test_nobody_signs_in_without_a_link(browser):
    assert (await authorize(browser))[1]["error"] == "login_required"
    assert (await authorize(browser, login_hint="invented"))[1]["error"] == "login_required"


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": "https://elsewhere.example/"}, {"redirect_uri": ""}, {"client_id": "another"}],
    ids=str,
)
async def test_nobody_else_is_sent_a_code(sign_in, browser, changes):
    status, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")), **changes)
    assert (status, sent) == (400, {})


@pytest.mark.parametrize("changes", [{"code_challenge_method": "plain"}, {"response_type": "token"}], ids=str)
async def test_code_needs_pkce(sign_in, browser, changes):
    _, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")), **changes)
    assert sent == {"error": "invalid_request", "state": "s-1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "https://elsewhere.example/"},
        {"grant_type": "password"},
        {"code": "invented"},
    ],
    ids=str,
)
async def test_code_is_of_no_use_to_another(sign_in, browser, changes):
    _, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")))
    assert await change(browser, **{"code": sent["code"]} | changes) == (400, {"error": "invalid_grant"})


async def test_code_is_changed_once(sign_in, browser):
    _, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")))
    assert (await change(browser, sent["code"]))[0] == 200
    assert (await change(browser, sent["code"]))[0] == 400


async def test_code_expires(sign_in, browser, monkeypatch):
    monkeypatch.setattr("deploy.local.sign_in.CODE_SECONDS", -1.0)
    _, sent = await authorize(browser, login_hint=hint_of(sign_in.invite("acme")))
    assert (await change(browser, sent["code"]))[0] == 400
