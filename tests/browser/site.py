"""The console in a browser, on a local stack that everything else about it is real in.

Every page that is opened here is watched: what its policy blocked, what it asked of other hosts, and which
errors it had.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request, expect

from tests.api.stack import ApiStack, Tenant

TIMEOUT_SECONDS = 30.0
"""For one step, on a busy machine."""

WIDE, NARROW = 1280, 360
HEIGHTS = {WIDE: 800, NARROW: 740}

MAX_PICTURE_HEIGHT = 2_400
"""A list of a hundred rows looks the same further down."""

TOKEN_KEY = "retainwise.token"

WATCH = """
addEventListener("securitypolicyviolation", (event) =>
    console.error(`csp-violation ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));
"""

expect.set_options(timeout=TIMEOUT_SECONDS * 1000)


@dataclass
class Seen:
    """What the pages did that they must not."""

    violations: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    pages: set[str] = field(default_factory=set)
    """The names of the pages and states that a picture was kept of."""
    screenshots: int = 0


class Site:
    """Opens the console for tenants and keeps pictures of it."""

    def __init__(self, stack: ApiStack, browser: Browser, pictures: Path) -> None:
        self.stack = stack
        self.seen = Seen()
        self._browser = browser
        self._pictures = pictures
        own = (stack.url, stack.issuer.issuer, f"http://127.0.0.1:{urlsplit(self._storage()).port}")
        self._hosts = frozenset(urlsplit(url).netloc for url in own)

    def _storage(self) -> str:
        return str(self.stack.api.child._env["AWS_ENDPOINT_URL"])

    @asynccontextmanager
    async def context(
        self,
        token: str | None = None,
        *,
        width: int = WIDE,
        theme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> AsyncIterator[BrowserContext]:
        """A browser of its own, whose tabs are signed in with a token."""
        context = await self._browser.new_context(
            viewport={"width": width, "height": HEIGHTS[width]},
            color_scheme=theme,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
            accept_downloads=True,
            **options,
        )
        context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        await context.add_init_script(WATCH)
        if token is not None:  # only for a new tab: a session that has ended stays so
            key, value = json.dumps(TOKEN_KEY), json.dumps(token)
            await context.add_init_script(
                "if (location.origin !== 'null' && !sessionStorage.getItem('begun')) "
                f"{{ sessionStorage.setItem('begun', 'yes'); sessionStorage.setItem({key}, {value}); }}"
            )
        context.on("page", self._watch)
        try:
            yield context
        finally:
            await context.close()

    @asynccontextmanager
    async def open(
        self, tenant: Tenant | None, fragment: str = "#/predictions", **options: Any
    ) -> AsyncIterator[Page]:
        """A tab with a page of the console, signed in as a tenant."""
        token = tenant.headers["Authorization"].removeprefix("Bearer ") if tenant is not None else None
        async with self.context(token, **options) as context:
            page = await context.new_page()
            await page.goto(self.address(fragment))
            try:
                yield page
            except Exception:
                await self.picture(page, "broken")
                raise

    def address(self, fragment: str) -> str:
        """Return the URL of a page."""
        return f"{self.stack.url}/{fragment}"

    async def picture(self, page: Page, name: str) -> None:
        """Keep a picture of the page: down to a limit, or the screen where a dialog covers it."""
        size = page.viewport_size
        assert size is not None
        if await page.locator("dialog[open]").count() == 0:
            tall = await page.evaluate("document.documentElement.scrollHeight")
            size = {"width": size["width"], "height": min(max(tall, size["height"]), MAX_PICTURE_HEIGHT)}
        await page.screenshot(
            path=self._pictures / f"{name}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"]},
            animations="disabled",
            timeout=3 * TIMEOUT_SECONDS * 1000,
        )
        self.seen.screenshots += 1

    def _watch(self, page: Page) -> None:
        page.on("console", lambda message: self._hear(message.text))
        page.on("pageerror", lambda error: self.seen.errors.append(str(error)))
        page.on("request", self._check)

    def _hear(self, text: str) -> None:
        if text.startswith("csp-violation") or "Content Security Policy" in text or "TrustedHTML" in text:
            self.seen.violations.append(text)

    def _check(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc not in self._hosts:
            self.seen.outside.append(request.url)


async def ready(page: Page) -> None:
    """Wait until nothing on the page is loading any more."""
    await expect(page.locator("h1").first).to_be_visible()
    await expect(page.locator(".skeleton")).to_have_count(0)
    await page.wait_for_function("document.fonts.status === 'loaded'")
