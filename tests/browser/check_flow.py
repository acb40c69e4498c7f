"""The whole flow by hand: a file of one's own is scored, whom to call and why is found, rows are mended."""

import csv
import io
import re

from playwright.async_api import Page, expect

from tests.browser.seed import UNUSABLE
from tests.browser.site import Site, ready

CUSTOMERS = (
    b"customerID,Loyalty,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    b"a-1,2,Plan B,70.35,Fiber optic,Electronic check\n"
    b"a-2,60,Two year,20.10,No,Mailed check\n"
    b"a-3,nine,Plan B,89.90,Fiber optic,Electronic check\n"
    b"a-4,24,One year,55.00,DSL,Mailed check\n"
)
"""One header and one value must be mapped, and row 4 cannot be scored."""

DONE = "Whom to call first"


async def run(site: Site) -> dict[str, int | float]:
    """Walk it, and repair a file of which nothing can be scored."""
    await _walk(site)
    await _repair(site)
    return {"flows": 2}


async def _walk(site: Site) -> None:
    async with site.open(site.stack.tenant("flow"), "#/predictions") as page:
        await page.get_by_role("link", name="Upload a customer file").click()
        await choose(page, CUSTOMERS, "customers.csv")
        await expect(page.get_by_role("heading", name="customers.csv")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("Tenure")
        await expect(page.get_by_role("button", name=re.compile(r"^Score \d"))).to_be_disabled()
        await page.get_by_label("Column with Tenure").select_option("Loyalty")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await confirm_all(page)
        await page.get_by_label(re.compile("Plan B")).select_option("Month-to-month")
        await page.get_by_label("Label").fill("November")
        await page.get_by_label("Currency").fill("EUR")
        await ready(page)
        await site.picture(page, "flow-1-checked")
        await page.get_by_role("button", name=re.compile(r"^Score \d")).click()
        await expect(page.get_by_role("heading", name="November")).to_be_visible()
        await page.get_by_role("link", name=DONE).click()

        await page.get_by_role("button", name="a-1").click()
        drawer = page.get_by_role("dialog")
        await expect(drawer.get_by_text("What raises the risk")).to_be_visible()
        await drawer.get_by_label("Contract").last.select_option("Two year")
        await expect(drawer.get_by_text("Customers like this one with")).to_contain_text("contract Two year")
        await site.picture(page, "flow-2-what-if")
        await page.keyboard.press("Escape")
        await expect(drawer).to_have_count(0)

        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Export for a CRM").click()
        exported = (await (await saved.value).path()).read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(exported)))
        assert {next(iter(row.values())) for row in rows} == {"a-1", "a-2", "a-4"}, exported

        await page.get_by_role("navigation", name="Parts of the result").get_by_text("Rejected").click()
        await page.get_by_label(re.compile("^Row 4, ")).fill("9")
        await site.picture(page, "flow-3-mended")
        await page.get_by_role("button", name="Send 1 mended row").click()
        await expect(page.get_by_role("heading", name="November, mended")).to_be_visible()
        await page.get_by_role("link", name=DONE).click()
        await expect(page.get_by_role("button", name="a-3")).to_be_visible()

        await page.get_by_role("link", name="Failures").click()
        await expect(page.get_by_text("Nothing failed")).to_be_visible()
        await site.picture(page, "flow-4-no-failures")


async def _repair(site: Site) -> None:
    """A file fails; what is wrong is said, and the mended file is scored."""
    async with site.open(site.stack.tenant("repair"), "#/new") as page:
        await choose(page, UNUSABLE, "notes.csv")
        await expect(page.get_by_role("heading", name="notes.csv")).to_be_visible()
        await confirm_all(page)
        await page.get_by_role("button", name=re.compile(r"^Score \d")).click()
        await expect(page.get_by_text("This file was not scored")).to_be_visible()
        await expect(page.get_by_text(re.compile("^code "))).to_be_visible()
        await page.get_by_role("link", name="Failures").click()
        await expect(page.get_by_text("notes.csv").or_(page.get_by_text("1 failure")).first).to_be_visible()
        await page.go_back()
        await page.get_by_role("link", name="Upload another file").click()
        mended = UNUSABLE.replace(b"soon", b"3").replace(b"later", b"40")
        await choose(page, mended.replace(b"cheap", b"70.5").replace(b"dear", b"20.1"), "mended.csv")
        await expect(page.get_by_role("heading", name="mended.csv")).to_be_visible()
        await confirm_all(page)
        await page.get_by_role("button", name=re.compile(r"^Score \d")).click()
        await expect(page.get_by_role("link", name=DONE)).to_be_visible()


async def choose(page: Page, content: bytes, name: str) -> None:
    """Choose a file on the page for a new prediction."""
    await expect(page.get_by_text("Drop a CSV here")).to_be_visible()
    file = {"name": name, "mimeType": "text/csv", "buffer": content}
    await page.locator("input[type=file]").set_input_files(files=[file])


async def confirm_all(page: Page) -> None:
    """Say that each proposal of how a column is read is right."""
    await expect(page.get_by_role("button", name=re.compile(r"^Score \d"))).to_be_visible()
    proposals = page.get_by_role("button", name=re.compile("it is right"))
    while count := await proposals.count():
        await proposals.first.click()
        await expect(proposals).to_have_count(count - 1)
