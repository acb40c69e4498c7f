"""A result of 1,000,000 rows is browsed: its overview, its worklist by page and by id, and one customer."""

import asyncio
import time

from playwright.async_api import expect

from tests.api.check_rows import ROWS, large_file
from tests.browser.site import Site, ready

PAGES = 5


async def run(site: Site) -> dict[str, int | float]:
    """Score it, and look at it as a reader does."""
    tenant = site.stack.tenant("large")
    prediction = await tenant.predict(await asyncio.to_thread(large_file), label="A million customers")
    ended = await tenant.finished(prediction["prediction_id"])
    assert ended["status"] == "COMPLETED", ended["failure"]
    result = f"#/predictions/{prediction['prediction_id']}"
    seconds = []
    async with site.open(tenant, f"{result}/overview") as page:
        await ready(page)
        await expect(page.get_by_text(f"{ROWS:,}").first).to_be_visible()
        await site.picture(page, "large-1-overview")

        await page.goto(site.address(f"{result}/worklist"))
        rows = page.locator("tr[data-row]")
        await expect(rows).to_have_count(100)
        seen = set(await rows.locator("td.name button").all_inner_texts())
        for _ in range(PAGES):
            first = await rows.first.inner_text()
            began = time.monotonic()
            await page.get_by_role("button", name="Next page").click()
            await expect(rows.first).not_to_have_text(first)
            await ready(page)
            seconds.append(time.monotonic() - began)
            seen.update(await rows.locator("td.name button").all_inner_texts())
        assert len(seen) == 100 * (PAGES + 1), len(seen)
        await site.picture(page, "large-2-worklist")

        somebody = next(iter(seen))
        await page.goto(site.address(f"{result}/worklist?customer={somebody}"))
        await expect(rows).to_have_count(1)
        await rows.locator("button").first.click()
        await expect(page.get_by_role("dialog")).to_contain_text("What raises the risk")
    return {"rows_scored": ROWS, "customers_seen": len(seen), "slowest_page_s": round(max(seconds), 1)}
