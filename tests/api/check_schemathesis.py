"""Schemathesis walks the document: what it allows is answered as it says, and what it forbids is refused.

One run makes up its own ids; the other uses ids that exist, and deletes nothing. Not checked is that what the
document allows is accepted: a text may fit its schema and be no cursor, no mapping and no name of a model.
"""

import asyncio
import os
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.api.stack import ApiStack

EXAMPLES = 15
"""For each endpoint and phase."""

SEED = 1

CONFIGURED = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 408, 409, 410, 412, 413, 415, 422, 428, 429, 431]
"""

KNOWN = """
[parameters]
"path.prediction_id" = "{prediction_id}"
"path.upload_id" = "{upload_id}"
"path.row" = 2
"path.ref" = "telco-churn@1.0.0"
"""


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Run it twice and count what it finds."""
    tenant = stack.tenant("schema")
    prediction = await tenant.predict()
    await tenant.finished(prediction["prediction_id"])
    folder = stack.folder / "schemathesis"
    folder.mkdir()
    ids = {
        "prediction_id": prediction["prediction_id"],
        "upload_id": prediction["upload"]["upload_id"],
    }
    tested = failures = 0
    for name, settings, arguments in (
        ("made-up", CONFIGURED, ()),
        ("known", CONFIGURED + KNOWN.format(**ids), ("--exclude-method", "DELETE")),
    ):
        config, report = folder / f"{name}.toml", folder / f"{name}.xml"
        config.write_text(settings)
        text = await _run_schemathesis(stack, tenant.headers["Authorization"], config, arguments, report)
        found = ET.parse(report).getroot()
        cases = list(found.iter("testcase"))
        broken = [
            case for case in cases if case.find("failure") is not None or case.find("error") is not None
        ]
        tested += len(cases)
        failures += len(broken)
        if broken:
            print(text)
    return {"schemathesis_operations": tested, "schemathesis_failures": failures}


async def _run_schemathesis(
    stack: ApiStack, token: str, config: Path, arguments: tuple[str, ...], report: Path
) -> str:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(config), "run"),
        f"{stack.url}/openapi.json",
        *("--header", f"Authorization: {token}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--request-timeout", "60", "--continue-on-failure"),
        *("--report", "junit", "--report-junit-path", str(report)),
        *arguments,
        cwd=stack.folder,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await process.communicate()
    text = written.decode(errors="replace")
    assert report.exists(), text[-3_000:]  # noqa: ASYNC240 nothing else runs here
    return text
