"""Hostile texts in every field that a customer controls: they are shown as text, and break no page."""

import csv
import io

from playwright.async_api import expect

from tests.browser.seed import predict, upload
from tests.browser.site import HEIGHTS, Site, ready

TEXTS = (
    "<script>document.title='broken'</script>",
    '"><img src=x onerror=document.title=1>',
    "javascript:alert(1)",
    "\u202egnp.exe\u2066 right to left",
    "👩‍👩‍👧‍👦🏴‍☠️" * 20,
    "W" * 10_000,
    "=HYPERLINK(1)",
    "${7*7}{{7*7}}",
)


async def run(site: Site) -> dict[str, int | float]:
    """Give them as ids, headers, values, labels and file names, and look at every page that shows them."""
    tenant = site.stack.tenant("hostile")
    table = io.StringIO()
    writer = csv.writer(table)
    headers = ["customerID", "tenure", "Contract", "MonthlyCharges", "InternetService", *TEXTS[:5]]
    writer.writerow(headers)
    for number, text in enumerate(TEXTS):
        writer.writerow([f"{number}-{text}", 5, text, 70.5, "Fiber optic", *[text] * 5])
        writer.writerow([f"r{number}-{text}", text, "One year", 70.5, "DSL", *[text] * 5])
        writer.writerows([f"s{number}-{row}", 9, "One year", 50, "DSL", *[text] * 5] for row in range(6))
    content = table.getvalue().encode()
    name = f"{TEXTS[0]}{TEXTS[3]}.csv".replace("/", "")
    prediction_id = await predict(tenant, content, name, label=TEXTS[1][:100], currency="<b>€</b>")
    ended = await tenant.finished(prediction_id)
    unscored = await upload(tenant, content, name)
    result = f"#/predictions/{prediction_id}"
    fragments = ["#/predictions", f"#/new?upload={unscored}", "#/failures", f"{result}/timeline"]
    if ended["status"] == "COMPLETED":
        fragments += [f"{result}/{tab}" for tab in ("overview", "worklist", "worklist?row=2", "rejected")]
    wide = []
    for fragment in fragments:
        async with site.open(tenant, fragment) as page:
            for width, height in HEIGHTS.items():
                await page.set_viewport_size({"width": width, "height": height})
                await ready(page)
                if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wide.append(f"{fragment} at {width}")
                picture = fragment.replace(prediction_id, "result").replace(unscored, "upload")
                await site.picture(page, f"hostile-{''.join(filter(str.isalnum, picture))}-{width}")
            assert "RetainWise" in await page.title()
            assert await page.evaluate("document.querySelector('#app img[src=x], #app script')") is None
            await expect(page.locator("h1").first).to_be_visible()
    assert not wide, f"wider than the screen: {wide}"
    assert ended["status"] == "COMPLETED", ended["failure"]
    return {"hostile_texts": len(TEXTS), "hostile_pages": len(fragments)}
