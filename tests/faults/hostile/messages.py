"""Messages that nobody but an attacker sends: they score no file for whom it does not belong to."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

from tests.faults.files import customers
from tests.faults.leaks import SECRET_CELL, Leaks
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import Accepted, Backends, FaultStack, open_stack
from tests.faults.tenants import NoAnswer

VICTIMS_FILE = customers(200, seed=7, mark=SECRET_CELL)
HANDLED_SECONDS = 6.0
"""What a worker is given for a forged message; most are parked or dropped at once."""

PATIENCE_SECONDS = 90.0

Forge = Callable[[dict[str, Any], dict[str, Any]], object]
"""Changes the attacker's own request, the victim's beside it."""


def _take(*names: str) -> Forge:
    def forge(mine: dict[str, Any], victims: dict[str, Any]) -> None:
        for name in names:
            mine["data"]["upload"][name] = victims["data"]["upload"][name]

    return forge


def _put(value: object, *path: str) -> Forge:
    def forge(mine: dict[str, Any], _: dict[str, Any]) -> None:
        for name in path[:-1]:
            mine = mine[name]
        mine[path[-1]] = value

    return forge


def _become(mine: dict[str, Any], victims: dict[str, Any]) -> None:
    """The victim's file and tenant under the attacker's prediction."""
    mine["data"]["upload"] = victims["data"]["upload"]
    mine["data"]["tenant_id"] = victims["data"]["tenant_id"]
    mine["tenantid"] = victims["tenantid"]


def _rename(mine: dict[str, Any], victims: dict[str, Any]) -> None:
    """The victim's file, the attacker's name on it."""
    mine["data"]["upload"] = victims["data"]["upload"]
    mine["subject"] = victims["subject"]


FORGED: dict[str, Forge] = {
    "another tenant's file": _take("key", "size_bytes", "sha256", "version_id"),
    "another tenant's key": _take("key"),
    "another tenant and its file": _become,
    "another tenant's subject and file": _rename,
    "a foreign bucket": _put("somebody-elses-bucket", "data", "upload", "bucket"),
    "a key outside of the uploads": _put("results/victim/x/1/scores.csv", "data", "upload", "key"),
    "a key that climbs": _put("uploads/mallory/../victim/x.csv", "data", "upload", "key"),
    "another tenant in the envelope": _put("victim", "tenantid"),
    "another tenant in the data": _put("victim", "data", "tenant_id"),
    "a tenant that climbs": _put("../victim", "data", "tenant_id"),
    "another digest": _put("0" * 64, "data", "upload", "sha256"),
    "another size": _put(1, "data", "upload", "size_bytes"),
    "another model": _put({"name": "telco-churn", "version": "9.9.9"}, "data", "model"),
    "a mapping of 20,000 entries": _put({f"f{n}": "h" for n in range(20_000)}, "data", "mapping"),
    "ten million reasons": _put(10_000_000, "data", "options", "reasons"),
}

OWN_AFFAIR = frozenset({"a mapping of 20,000 entries"})
"""How to read a file is said by the message alone, so there is no row to compare it with: whoever forges that
for a prediction of their own may make it fail."""

RAW: dict[str, str] = {
    "no JSON": "{]" * 500,
    "JSON 100,000 deep": "[" * 100_000,
    "a number of 200,000 digits": '{"specversion":"1.0","id":' + "9" * 200_000 + "}",
    "900 KB of a string": json.dumps({"specversion": "1.0", "type": "x" * 900_000}),
    "an event where a request belongs": json.dumps(
        {"type": "retainwise.prediction.completed.v1", "data": {}}
    ),
}


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Send each, the true message after it: what is scored is the attacker's own file, for the attacker."""
    leaks = Leaks(report)
    async with open_stack("forged-messages", backends) as stack:
        await stack.start_api()
        await stack.start_worker()
        await oracle.learn(stack, {"mine": customers(80, seed=8)})
        victim = stack.tenant("victim")
        theirs = await stack.upload(victim, VICTIMS_FILE, "victim's")
        await stack.wait_final([theirs], 60)
        for name, forge in FORGED.items():
            await _send_forged(stack, report, leaks, theirs, name, forge)
        for name, body in RAW.items():
            neighbour = await stack.upload(stack.tenant("neighbour"), customers(80, seed=8), "mine")
            await stack.sqs.send_message(QueueUrl=stack.provisioned.queue_url, MessageBody=body)
            await _require_neighbour(stack, report, neighbour, name)
        report.hostile_inputs += len(FORGED) + len(RAW)
        await stack.wait_final(stack.accepted, PATIENCE_SECONDS)
        leaks.look_at_logs(stack.folder.glob("*.log"))
        report.say(
            stack.name,
            f"{len(FORGED)} forged and {len(RAW)} unreadable messages: " + await oracle.judge(stack, report),
        )


async def _send_forged(
    stack: FaultStack,
    report: Report,
    leaks: Leaks,
    theirs: Accepted,
    name: str,
    forge: Forge,
) -> None:
    # The true message must not come first: the relay's side of the queue hangs until it is sent by hand.
    await stack.api.side.sqs.set_mode("hang")
    mallory = stack.tenant("mallory")
    mine = await stack.upload(mallory, customers(80, seed=8), None if name in OWN_AFFAIR else "mine")
    true, victims = [await _body(stack, one) for one in (mine, theirs)]
    forged = json.loads(true)
    forge(forged, json.loads(victims))
    await stack.sqs.send_message(QueueUrl=stack.provisioned.queue_url, MessageBody=json.dumps(forged))
    await _wait_handled(stack)
    row = (await stack.rows([mine]))[mine.prediction_id]
    if row["status"] == "COMPLETED":
        await _look_at_result(stack, report, leaks, mine, name)
    elif row["status"] == "FAILED" and name not in OWN_AFFAIR:
        report.say(stack.name, f"WRONG: {name} failed the prediction it names, with {row['code']}")
    await stack.api.side.sqs.set_mode("pass")
    neighbour = await stack.upload(stack.tenant("neighbour"), customers(80, seed=8), "mine")
    await _require_neighbour(stack, report, neighbour, name)


async def _body(stack: FaultStack, accepted: Accepted) -> str:
    body = await stack.owner.fetchval(
        "select body from outbox where destination = 'predictions' and prediction_id = $1",
        uuid.UUID(accepted.prediction_id),
    )
    return str(body)


async def _wait_handled(stack: FaultStack) -> None:
    """Wait until no message waits for its first receive, and a little longer."""
    for _ in range(int(HANDLED_SECONDS / 0.25)):
        got = await stack.sqs.get_queue_attributes(
            QueueUrl=stack.provisioned.queue_url, AttributeNames=["All"]
        )
        counts = got["Attributes"]
        if counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0":
            break
        await asyncio.sleep(0.25)


async def _look_at_result(stack: FaultStack, report: Report, leaks: Leaks, mine: Accepted, name: str) -> None:
    """Whether the attacker can read the victim's customers now, in the answer or in the files."""
    answer = await mine.tenant.read(mine.prediction_id)
    leaks.look_at_answer(f"forged: {name}", json.dumps(answer.body).encode())
    try:
        result = await mine.tenant.read(mine.prediction_id, part="/result")
    except NoAnswer:
        return
    for file in result.body.get("files", ()):
        async with stack.session.get(file["url"]) as response:
            leaks.look_at_answer(f"forged: {name}", await response.read())


async def _require_neighbour(stack: FaultStack, report: Report, neighbour: Accepted, name: str) -> None:
    if not await stack.wait_final([neighbour], 30):
        report.stop_other(stack.name, f"{name}: a neighbour's file had not ended after 30 s")
