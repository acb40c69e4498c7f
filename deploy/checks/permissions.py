"""Proves the policies: the system runs under them, they grant its calls, and nothing else is allowed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.checks.calls import AWAITED, CALLS, Call, read_calls, write_calls
from deploy.checks.enforced.emulator import read_decisions
from deploy.checks.matrix import Cell, try_everything
from deploy.checks.report import Report
from deploy.local.errors import LocalStackError

TIMEOUT_SECONDS = 600
RECORDED = ("producer", "worker", "migrate")


def prove_permissions(report: Report) -> None:
    """Run the end-to-end tests under the policies, compare their calls, and try everything."""
    decisions = report.work / "decisions.jsonl"
    decisions.unlink(missing_ok=True)
    if not _run_end_to_end(report, decisions):
        return
    calls = _read_recorded(report, decisions)
    if report.record:
        CALLS.write_text(write_calls(calls), "utf-8")
        report.line(f"{CALLS.name} written")
    elif calls != read_calls():
        differing = {
            f"{program}: {call.action} on {call.resource}"
            for program in calls
            for call in calls[program] ^ read_calls()[program]
        }
        report.problem(
            f"{CALLS.name} is not what the services call now: {'; '.join(sorted(differing))}. "
            "Run: python -m deploy.checks --only permissions --record"
        )
    try:
        allowed = asyncio.run(try_everything(report.work, report.root / ".local" / "environments"))
    except LocalStackError as error:
        report.problem(str(error))
        return
    _compare(allowed, calls, report)


def _run_end_to_end(report: Report, decisions: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/e2e", "-q", "-n0", "-p", "no:cacheprovider"],
        cwd=report.root,
        env=os.environ | {"RETAINWISE_DECISIONS": str(decisions)},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    if done.returncode != 0:
        report.problem(f"the end-to-end tests fail under the policies:\n{done.stdout[-4000:]}")
        return False
    report.line(f"end-to-end tests, each service under its own policy: {last}")
    return True


def _read_recorded(report: Report, decisions: Path) -> dict[str, set[Call]]:
    """Return the calls that were made; a denied one is a problem."""
    legend = json.loads(decisions.with_suffix(".legend.json").read_text("utf-8"))
    calls: dict[str, set[Call]] = {program: set() for program in RECORDED}
    for decision in read_decisions(decisions):
        program = legend["programs"].get(decision.access_key)
        if program is None:
            continue
        call = Call(decision.action, _name(decision.resource, legend["arns"]))
        if decision.allowed:
            calls[program].add(call)
        else:
            report.problem(f"{program} was denied {call.action} on {call.resource}")
    return calls


def _name(resource: str, arns: Mapping[str, str]) -> str:
    """Return a resource in the words of the policies."""
    for name, arn in arns.items():
        if resource == arn:
            return f"${{{name}}}"
        if name == "bucket_arn" and resource.startswith(f"{arn}/"):
            return f"${{{name}}}/{resource.removeprefix(f'{arn}/').partition('/')[0]}/*"
    return resource


def _compare(allowed: Mapping[Cell, bool], calls: Mapping[str, set[Call]], report: Report) -> None:
    """Compare what IAM allows with what the programs call: neither less nor more."""
    proven = 0
    for cell, is_allowed in sorted(allowed.items()):
        call = Call(cell.action, cell.resource)
        if is_allowed == (call in calls[cell.program] or call in AWAITED.get(cell.program, {})):
            proven += 1
        else:
            what = "may and never does" if is_allowed else "calls and may not"
            report.problem(f"{cell.program} {what} {cell.action} on {cell.resource}")
    report.line(f"permissions {proven}/{len(allowed)}: {len(RECORDED)} programs, each action, each resource")
    report.count(permissions=len(allowed), permissions_proven=proven)
