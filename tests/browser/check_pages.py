"""Every page, light and dark, narrow and wide: accessible (axe), within its policy, and a picture of each."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

from playwright.async_api import Page

from tests.api.stack import ROOT
from tests.browser.seed import Seeded, seed, upload
from tests.browser.site import HEIGHTS, Site, ready

AXE = ROOT / "producer_api" / "console" / "node_modules" / "axe-core" / "axe.min.js"
RENAMED = (
    b"customerID,Months with us,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    b"d-1,2,mtm,70.35,Fibre,Electronic check\nd-2,60,Two year,20.10,No,Mailed check\n"
)
"""Headers and values that must be confirmed or mapped."""

SERIOUS = frozenset({"serious", "critical"})
THEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")


async def run(site: Site) -> dict[str, int | float]:
    """Look at every page of a tenant that has something of everything."""
    seeded = await seed(site, "pages")
    pages = _pages(seeded, await upload(seeded.tenant, RENAMED, "renamed-headers.csv"))
    axe = AXE.read_text("utf-8")
    found: list[str] = []
    overflowing: list[str] = []
    for name, fragment in pages.items():
        async with site.open(None if name == "sign-in-page" else seeded.tenant, fragment) as page:
            for width, theme in product(HEIGHTS, THEMES):
                await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
                await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                await ready(page)
                await site.picture(page, f"{name}-{theme}-{width}")
                where = f"{name}, {theme}, {width}"
                found += [f"{where}: {text}" for text in await _inspect(page, axe)]
                if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    overflowing.append(where)
    for text in (*found, *(f"{where}: wider than the screen" for where in overflowing)):
        print(f"pages: {text}")
    return {"pages": len(pages), "axe_serious": len(found), "overflowing": len(overflowing)}


def _pages(seeded: Seeded, unscored: str) -> dict[str, str]:
    result = f"#/predictions/{seeded.sample}"
    return {
        "sign-in-page": "#/predictions",
        "predictions": "#/predictions",
        "predictions-none-match": "#/predictions?q=nothing-like-this",
        "new": "#/new",
        "new-mapping": f"#/new?upload={unscored}",
        "overview": f"{result}/overview",
        "comparison": f"{result}/overview?with={seeded.earlier}",
        "worklist": f"{result}/worklist",
        "customer": f"{result}/worklist?row=5",
        "rejected-none": f"{result}/rejected",
        "rejected": f"#/predictions/{seeded.rejected}/rejected",
        "timeline": f"{result}/timeline",
        "failed": f"#/predictions/{seeded.failed}",
        "failures": "#/failures",
        "models": "#/models",
        "api": "#/api",
        "not-found": "#/predictions/00000000-0000-4000-8000-000000000000",
    }


async def _inspect(page: Page, axe: str) -> list[str]:
    """Return what axe finds serious. Its script is evaluated by the debugger, which no policy applies to."""
    await page.evaluate(axe)
    result: dict[str, Any] = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{violation['id']} {node['target'][0]} {node['html'][:120]}"
        for violation in result["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
