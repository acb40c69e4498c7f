"""How much the console loads, and how soon its first page can be used."""

import statistics

from playwright.async_api import Request

from tests.browser.site import Site

RUNS = 5

USABLE_MS = """() => {
    const [navigation] = performance.getEntriesByType("navigation");
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    return paint.startTime - navigation.responseStart;
}"""
"""From the response of the page to the first picture of it, which its scripts draw complete."""


async def run(site: Site) -> dict[str, int | float]:
    """Open the sign-in with an empty cache, and count what arrives."""
    usable, sizes = [], []
    for _ in range(RUNS):
        received: list[Request] = []
        async with site.context() as context:
            context.on("requestfinished", lambda request: received.append(request))  # noqa: B023 of this run
            page = await context.new_page()
            await page.goto(site.address("#/predictions"))
            await page.get_by_role("heading", name="Sign in").wait_for()
            usable.append(await page.evaluate(USABLE_MS))
            await page.wait_for_load_state("networkidle")
            sizes.append(sum([(await request.sizes())["responseBodySize"] for request in received]))
    return {
        "assets_kb": round(max(sizes) / 1000, 1),
        "files": len(received),
        "usable_ms": round(statistics.median(usable)),
    }
