"""The programs' calls to AWS, as `deploy.checks.permissions` recorded them in the end-to-end tests."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

CALLS = Path(__file__).with_name("calls.json")


@dataclass(frozen=True, order=True)
class Call:
    """An action, and what it was made on, in the words of the policies: `${bucket_arn}/uploads/*`."""

    action: str
    resource: str

    def on(self, arns: Mapping[str, str]) -> str:
        """Return the resource's ARN."""
        return Template(self.resource).substitute(arns)


AWAITED: Mapping[str, Mapping[Call, str]] = {
    "producer": {
        Call("s3:GetObject", "${bucket_arn}/uploads/*"): "reads headers of a presigned upload (issue 10)",
        Call("s3:DeleteObject", "${bucket_arn}/results/*"): "deletes a prediction (issue 10)",
    }
}
"""Granted for code that is not merged yet. The check says when one is called: then remove it here."""


def read_calls() -> dict[str, set[Call]]:
    """Return the recorded calls of each service."""
    recorded = json.loads(CALLS.read_text("utf-8"))
    return {
        program: {Call(action, resource) for resource, actions in calls.items() for action in actions}
        for program, calls in recorded.items()
    }


def write_calls(calls: Mapping[str, Iterable[Call]]) -> str:
    """Return the text of the file of recorded calls."""
    found: dict[str, dict[str, list[str]]] = {}
    for program, made in sorted(calls.items()):
        by_resource = found.setdefault(program, {})
        for call in sorted(made):
            by_resource.setdefault(call.resource, []).append(call.action)
    return json.dumps({program: dict(sorted(by.items())) for program, by in found.items()}, indent=2) + "\n"
