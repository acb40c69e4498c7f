"""Live status: a page that is open follows its prediction, also over a connection that is cut."""

from playwright.async_api import expect

from deploy.local.sample import SAMPLE
from tests.browser.seed import predict
from tests.browser.site import Site, ready


async def run(site: Site) -> dict[str, int | float]:
    """Let a prediction wait for a worker, cut the connection, and have it scored meanwhile."""
    tenant = site.stack.tenant("live")
    for worker in site.stack.workers:
        await worker.child.stop()
    try:
        scored = await predict(tenant, SAMPLE.read_bytes(), "sample.csv")
        cancelled = await predict(tenant, SAMPLE.read_bytes(), "wrong.csv")
        async with (
            site.open(tenant, f"#/predictions/{scored}") as page,
            site.open(tenant, f"#/predictions/{cancelled}") as other,
            site.open(tenant) as listed,
        ):
            await expect(page.get_by_text("Waiting for a worker")).to_be_visible()
            await ready(page)
            await site.picture(page, "live-1-waiting")
            await other.get_by_role("button", name="Cancel").click()
            await other.get_by_role("button", name="Cancel it").click()
            await expect(other.get_by_text("It was cancelled.")).to_be_visible()
            await site.picture(other, "live-2-cancelled")

            await page.context.set_offline(True)
            for worker in site.stack.workers:
                await worker.start()
            await tenant.finished(scored)
            await expect(page.get_by_text("Waiting for a worker")).to_be_visible()
            await page.context.set_offline(False)
            await expect(page.get_by_role("link", name="Whom to call first")).to_be_visible()
            await expect(listed.get_by_role("row").filter(has_text="sample.csv")).to_contain_text("Completed")
    finally:
        for worker in site.stack.workers:
            if not worker.child.running:
                await worker.start()
    return {"live_pages": 3}
