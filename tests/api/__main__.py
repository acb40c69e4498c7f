"""`python -m tests.api [--only NAME …]`, or `make check-api`: the API's slow tests, each with its counts.

One local stack is started for all. Each `check_<name>.py` has `run(stack)`, which returns its counts.
The last line is one JSON object; a limit that is missed, or a check that breaks, ends with exit code 1.
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

from tests.api.report import Report
from tests.api.stack import ApiStack, open_stack

MAX_SECONDS = 240.0
"""For one check. The slowest takes half of it on a quiet machine."""

Check = Callable[[ApiStack], Awaitable[Mapping[str, int | float]]]

SETTINGS = {
    "REQUESTS_PER_SECOND": "100000",  # the checks are faster than any tenant; a replica of its own is limited
    "MAX_UNFINISHED_PREDICTIONS": "1000",
}


def find_checks() -> dict[str, Check]:
    """Return the checks by name, in the order in which they run."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("check_*.py"))
    return {
        name.removeprefix("check_"): importlib.import_module(f"{__package__}.{name}").run for name in names
    }


def main() -> int:
    """Run the checks and return the exit code."""
    checks = find_checks()
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.api")
    parser.add_argument("--only", action="append", choices=sorted(checks), help="run this check alone")
    parser.add_argument("--keep", type=Path, help="keep logs and state in this new folder")
    options = parser.parse_args()
    chosen = options.only or list(checks)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="retainwise-api-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.chmod(0o755)  # the database's server may run as another user
        asyncio.run(_run(folder, {name: checks[name] for name in chosen}, report))
    broken = report.broken(complete=not options.only)
    for text in broken:
        print(f"check-api: {text}")
    print(report.to_json(), flush=True)
    return 1 if broken else 0


async def _run(folder: Path, checks: Mapping[str, Check], report: Report) -> None:
    async with open_stack(folder, **SETTINGS) as stack:
        for name, check in checks.items():
            began = time.monotonic()
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    counts = await check(stack)
            except (
                Exception,
                TimeoutError,
            ) as error:  # a check that breaks is a finding, and the others go on
                traceback.print_exception(error)
                report.break_with(name, error)
            else:
                report.add(name, counts, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
