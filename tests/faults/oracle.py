"""What a quiet run makes of each file, and the judgement of what the histories made of it."""

import asyncio
import uuid
from collections.abc import Mapping

from tests.faults.report import Report
from tests.faults.stack import FINAL, Accepted, FaultStack
from tests.faults.tenants import NoAnswer

QUIET_SECONDS = 60.0
FAILURES_OF_OURS = frozenset({"attempts_exhausted", "internal_error", "took_too_long", "model_unavailable"})
"""Codes that no content of a file deserves."""


class Oracle:
    """Knows the bytes of each file's results, and judges by them."""

    def __init__(self) -> None:
        self._quiet: dict[str, dict[str, str]] = {}

    async def learn(self, stack: FaultStack, files: Mapping[str, bytes]) -> None:
        """Have each file scored while nothing goes wrong, and keep the digests of its results."""
        tenant = stack.tenant("quiet")
        accepted = [await stack.upload(tenant, content, name) for name, content in files.items()]
        assert await stack.wait_final(accepted, QUIET_SECONDS), "the quiet run did not end"
        for one in accepted:
            assert one.file is not None
            self._quiet[one.file] = await tenant.digests(one.prediction_id)

    async def judge(self, stack: FaultStack, report: Report, *, poison: frozenset[str] = frozenset()) -> str:
        """Count what became of all that a stack accepted; `poison` may fail. Returns the counts as text."""
        rows = await stack.rows(stack.accepted)
        events = await stack.owner.fetch(
            "select prediction_id::text, count(*) from outbox where destination = 'events'"
            " and prediction_id = any($1::uuid[]) group by 1 having count(*) > 1",
            [uuid.UUID(one.prediction_id) for one in stack.accepted],
        )
        doubled = {row["prediction_id"] for row in events}
        found = {"completed": 0, "failed": 0, "failed wrongly": 0, "lost": 0, "doubled": len(doubled)}
        wrong: list[str] = []
        compared = []
        for one in stack.accepted:
            row = rows.get(one.prediction_id)
            status, code = (row["status"], row["code"]) if row else ("missing", None)
            may_fail = one.prediction_id in poison or (one.file is None and code not in FAILURES_OF_OURS)
            if status not in FINAL:
                found["lost"] += 1
                wrong.append(f"{one.tenant.tenant_id} {one.file or 'hostile'} is still {status}")
            elif status == "COMPLETED":
                compared.append(one)
            elif may_fail:
                found["failed"] += 1
            else:
                found["failed wrongly"] += 1
                wrong.append(f"{one.tenant.tenant_id} {one.file or 'hostile'} is {status} with {code}")
        gate = asyncio.Semaphore(4)
        for verdict in await asyncio.gather(*(self._compare(one, gate) for one in compared)):
            found["completed"] += verdict is None
            if verdict is not None:
                found["failed wrongly"] += 1
                wrong.append(verdict)
        report.accepted += len(stack.accepted)
        report.completed += found["completed"]
        report.failed_wrongly += found["failed wrongly"]
        report.lost += found["lost"]
        report.doubled += found["doubled"]
        counts = f"accepted {len(stack.accepted)}, " + ", ".join(f"{n} {count}" for n, count in found.items())
        for text in sorted(set(wrong)):
            report.say(stack.name, f"WRONG: {text} ({wrong.count(text)} times)")
        return counts

    async def _compare(self, one: Accepted, gate: asyncio.Semaphore) -> str | None:
        """What is wrong with the bytes of a completed prediction; None if nothing is."""
        if one.file is None or one.file not in self._quiet:
            return None
        try:
            async with gate:
                digests = await one.tenant.digests(one.prediction_id)
        except NoAnswer as error:
            return f"the result of {one.file} cannot be fetched: {error}"
        differing = [name for name, digest in digests.items() if digest != self._quiet[one.file][name]]
        return f"{one.file}: {', '.join(differing)} differ from a quiet run" if differing else None
