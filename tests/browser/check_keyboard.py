"""Everything by keyboard: no mouse is used here, and focus is always visible and returns to where it was."""

import re

from playwright.async_api import Page, expect

from tests.browser.check_flow import DONE
from tests.browser.seed import Seeded, seed
from tests.browser.site import Site, ready

MAX_STEPS = 80


async def run(site: Site) -> dict[str, int | float]:
    """Walk three flows."""
    seeded = await seed(site, "keyboard")
    flows = (_score_the_sample, _find_whom_to_call, _go_around)
    for flow in flows:
        await flow(site, seeded)
    return {"keyboard_flows": len(flows)}


async def _score_the_sample(site: Site, seeded: Seeded) -> None:
    async with site.open(seeded.tenant, "#/new") as page:
        await ready(page)
        await _tab_to(page, "Score a sample")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name=DONE)).to_be_visible()
        await _tab_to(page, DONE)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("navigation", name="Parts of the result")).to_be_visible()
        await expect(page.locator("tr[data-row]").first).to_be_visible()


async def _find_whom_to_call(site: Site, seeded: Seeded) -> None:
    async with site.open(seeded.tenant, f"#/predictions/{seeded.sample}/worklist") as page:
        await expect(page.locator("tr[data-row]").first).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        second = page.locator("tr[data-row]").nth(1)
        await expect(second).to_have_attribute("aria-selected", "true")
        await page.keyboard.press("Enter")
        drawer = page.get_by_role("dialog")
        await expect(drawer).to_contain_text("What raises the risk")
        inside = await page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        assert inside, "focus is not in the dialog"
        await _tab_to(page, "Two year", tag="SELECT")
        await page.keyboard.type("One")
        await expect(drawer.get_by_text("Customers like this one with")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(drawer).to_have_count(0)

        await page.keyboard.press("/")
        focused = page.locator("input[type=search]:focus")
        await expect(focused).to_be_visible()
        name = await page.locator("tr[data-row]").nth(3).locator("button").first.inner_text()
        await page.keyboard.type(name)
        await expect(page.locator("tr[data-row]")).to_have_count(1)


async def _go_around(site: Site, seeded: Seeded) -> None:
    async with site.open(seeded.tenant) as page:
        await ready(page)
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to content")).to_be_focused()
        for key, title in (("f", "Failures"), ("m", "Models"), ("a", "API"), ("n", "New prediction")):
            await page.keyboard.press("g")
            await page.keyboard.press(key)
            await expect(page.get_by_role("heading", level=1, name=re.compile(title))).to_be_visible()
        await page.keyboard.press("g")
        await page.keyboard.press("p")
        await expect(page.locator("tr[data-row]").first).to_be_visible()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def _tab_to(page: Page, text: str, tag: str | None = None) -> None:
    """Press Tab until what has this text is focused; what is focused must be seen to be."""
    for _ in range(MAX_STEPS):
        await page.keyboard.press("Tab")
        found: dict[str, str] = await page.evaluate(FOCUSED)
        assert found["outline"] != "none", f"nobody sees that {found['text'][:80]!r} is focused"
        if text in found["text"] and tag in {None, found["tag"]}:
            return
    raise AssertionError(f"{text!r} cannot be reached with Tab")


FOCUSED = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const isSeen = style.outlineStyle !== "none" || style.boxShadow !== "none";
    return {
        tag: element.tagName,
        text: `${element.innerText ?? ""} ${element.getAttribute("aria-label") ?? ""}`,
        outline: isSeen || element === document.body ? "seen" : "none",
    };
}"""
