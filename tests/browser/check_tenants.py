"""Another tenant's links: they lead nowhere, and say nothing."""

from playwright.async_api import expect

from tests.browser.seed import BROKEN_ROWS, predict, upload
from tests.browser.site import Site

SECRETS = ("crm-export", "acme contracts", "b-1")


async def run(site: Site) -> dict[str, int | float]:
    """Open what is another's, as a stranger."""
    owner, stranger = site.stack.tenant("owner"), site.stack.tenant("stranger")
    prediction_id = await predict(owner, BROKEN_ROWS, "crm-export.csv", label="acme contracts")
    await owner.finished(prediction_id)
    upload_id = await upload(owner, BROKEN_ROWS, "crm-export.csv")
    fragments = [
        *(f"#/predictions/{prediction_id}{tab}" for tab in ("", "/worklist?row=2", "/rejected", "/timeline")),
        f"#/new?upload={upload_id}",
    ]
    for fragment in fragments:
        async with site.open(stranger, fragment) as page:
            await expect(page.get_by_role("alert")).to_contain_text("_not_found")
            text = await page.locator("body").inner_text()
            assert not any(secret in text for secret in SECRETS), text
    return {"strange_links": len(fragments)}
