"""Sign-in: by the link, by a token, and again where one was after a session has expired."""

import re

from playwright.async_api import expect

from tests.browser.site import TOKEN_KEY, Site, ready


async def run(site: Site) -> dict[str, int | float]:
    """Sign in in each way."""
    await _by_link(site)
    await _by_token(site)
    await _again(site)
    return {"sign_ins": 5}


async def _by_link(site: Site) -> None:
    tenant = site.stack.tenant("link")
    link = site.stack.sign_in.invite(tenant.tenant_id)
    async with site.context() as context:
        page = await context.new_page()
        await page.goto(link)
        await expect(page.get_by_role("heading", name="Predictions", exact=True)).to_be_visible()
        assert "code=" not in page.url, page.url
        assert "hint=" not in page.url, page.url

    async with site.context() as context:
        page = await context.new_page()
        await page.goto(link)
        await expect(page.get_by_role("alert")).to_contain_text("open the link")
        await site.picture(page, "sign-in-used-link")


async def _by_token(site: Site) -> None:
    tenant = site.stack.tenant("token")
    async with site.open(None) as page:
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await site.picture(page, "sign-in")
        await page.get_by_label(re.compile("access token", re.IGNORECASE)).fill("not-a-token")
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("token_invalid")

        token = tenant.headers["Authorization"].removeprefix("Bearer ")
        await page.get_by_label(re.compile("access token", re.IGNORECASE)).fill(token)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="Predictions", exact=True)).to_be_visible()
        stored = await page.evaluate(
            "[...Object.values(localStorage), document.cookie, location.href].join()"
        )
        assert token not in stored
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def _again(site: Site) -> None:
    """A session ends in mid-work: the reader is back where they were, in the same tab."""
    tenant = site.stack.tenant("expiry")
    async with site.context() as context:
        page = await context.new_page()
        await page.goto(site.stack.sign_in.invite(tenant.tenant_id))
        await ready(page)
        expired = site.stack.issuer.mint(tenant.tenant_id, expires_in=-3600)
        await page.evaluate("([key, token]) => sessionStorage.setItem(key, token)", [TOKEN_KEY, expired])
        await page.goto(site.address("#/failures?days=90"))
        await page.reload()
        await expect(page.get_by_text("Your session has expired")).to_be_visible()
        await site.picture(page, "sign-in-expired")
        await page.get_by_role("button", name="Continue with your company account").click()
        await expect(page.get_by_role("heading", name="Failures", exact=True)).to_be_visible()
        assert page.url.endswith("#/failures?days=90"), page.url
