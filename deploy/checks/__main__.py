"""`python -m deploy.checks`: everything about the deployment that can be proven without an AWS account.

The last line is a JSON object with what was planted, caught, granted and proven. Exit codes: 0 all of it
holds; 1 something does not, and a sentence above says what.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.checks.report import Report
from deploy.checks.suites import SUITES

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Run the command and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.checks", description=__doc__.partition("\n")[0])
    parser.add_argument("--terraform", default="terraform", help="the program, and arguments before its own")
    parser.add_argument("--only", action="append", choices=list(SUITES), help="of the suites, this one")
    parser.add_argument("--record", action="store_true", help="renew the recorded calls instead of comparing")
    options = parser.parse_args(arguments)
    report = Report(ROOT, terraform=options.terraform, record=options.record)
    for name in options.only or SUITES:
        _run(name, SUITES[name], report)
    print(json.dumps(report.figures))
    return 1 if report.problems else 0


def _run(name: str, suite: Callable[[Report], None], report: Report) -> None:
    began = time.monotonic()
    print(f"{name}:", flush=True)
    suite(report)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
