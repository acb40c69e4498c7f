"""`python -m tests.browser [--only NAME …]`, or `make check-console`: the console in a browser.

One local stack and one Chromium are started for all. Each `check_<name>.py` has `run(site)`, which returns
its counts. Pictures of every page and state are kept in `.local/console`. The last line is one JSON object; a
limit that is missed, or a check that breaks, ends with exit code 1.
"""

import argparse
import asyncio
import importlib
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from playwright.async_api import async_playwright

from tests.api.stack import ROOT, open_stack
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.report import Report
from tests.browser.site import Site

PICTURES = ROOT / ".local" / "console"

MAX_SECONDS = 600.0
"""For one check. The slowest takes half of it on a quiet machine."""

Check = Callable[[Site], Awaitable[Mapping[str, int | float]]]

SETTINGS = {"REQUESTS_PER_SECOND": "100000"}  # the checks are faster than any reader


def find_checks() -> dict[str, Check]:
    """Return the checks by name, in the order in which they run."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("check_*.py"))
    return {
        name.removeprefix("check_"): importlib.import_module(f"{__package__}.{name}").run for name in names
    }


def main() -> int:
    """Run the checks and return the exit code."""
    checks = find_checks()
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.browser")
    parser.add_argument("--only", action="append", choices=sorted(checks), help="run this check alone")
    options = parser.parse_args()
    chosen = options.only or list(checks)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="retainwise-console-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # the database's server may run as another user
        asyncio.run(_run(folder, {name: checks[name] for name in chosen}, report))
    broken = report.broken(complete=not options.only)
    for text in broken:
        print(f"check-console: {text}")
    print(report.to_json(), flush=True)
    return 1 if broken else 0


async def _run(folder: Path, checks: Mapping[str, Check], report: Report) -> None:
    async with open_stack(folder, **SETTINGS) as stack, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        site = Site(stack, browser, PICTURES)
        for name, check in checks.items():
            began = time.monotonic()
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    counts = await check(site)
            except Exception as error:  # a check that breaks is a finding, and the others go on
                traceback.print_exception(error)
                report.break_with(name, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
            else:
                report.add(name, counts, time.monotonic() - began)
        await browser.close()
        seen = site.seen
        for text in (*seen.violations, *seen.outside, *seen.errors):
            print(f"check-console: {text}")
        if seen.errors:
            report.break_with("pages", f"{len(seen.errors)} errors in scripts")
        counts = {
            "screenshots": seen.screenshots,
            "csp_violations": len(seen.violations),
            "outside_requests": len(seen.outside),
        }
        report.add("all", counts, 0)


if __name__ == "__main__":
    sys.exit(main())
