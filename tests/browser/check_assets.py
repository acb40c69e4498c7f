"""How large the console is, how much of it its first page loads, and how soon that can be used."""

import statistics
from collections.abc import Iterator

from playwright.async_api import Request

from producer_api.console.assets import load_assets
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
    received: list[Request] = []
    for _ in range(RUNS):
        received.clear()
        async with site.context() as context:
            context.on("requestfinished", received.append)
            page = await context.new_page()
            await page.goto(site.address("#/predictions"))
            await page.get_by_role("heading", name="Sign in").wait_for()
            await page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            usable.append(await page.evaluate(USABLE_MS))
            await page.wait_for_load_state("networkidle")
            sizes.append(sum([(await request.sizes())["responseBodySize"] for request in received]))
    return {
        "assets_kb": round(sum(_sent_bytes()) / 1000, 1),
        "first_page_kb": round(max(sizes) / 1000, 1),
        "first_page_files": len(received),
        "usable_ms": round(statistics.median(usable)),
    }


def _sent_bytes() -> Iterator[int]:
    """Yield what each file takes that a page can load: not the sample and the licences."""
    for path, asset in load_assets().items():
        if not path.endswith((".csv", ".txt")):
            yield len(asset.compressed or asset.content)
