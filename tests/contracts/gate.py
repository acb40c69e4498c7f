"""Compares this version of the contracts with every release that is still supported.

Four ways, since none sees everything: the JSON Schemas (names, types, limits, units, defaults), the messages
that each one writes as the other one reads them (validators, meanings), the corpus of released messages, and
the Python names that importers use.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe

from retainwise_contracts.compatibility import (
    RULES,
    Change,
    ChangeKind,
    Verdict,
    compare_releases,
    worst,
)
from retainwise_contracts.releases import find_differences, load_corpus
from tests.contracts.distribution import read_version
from tests.contracts.kept import ROOT, SOURCE, find_changed, list_kept, unpack

EXAMPLES = 60
"""Messages of each type that a release writes."""

PROBE_TIMEOUT_SECONDS = 120

_SURFACE = frozenset(
    {
        griffe.BreakageKind.OBJECT_REMOVED,
        griffe.BreakageKind.OBJECT_CHANGED_KIND,
        griffe.BreakageKind.PARAMETER_MOVED,
        griffe.BreakageKind.PARAMETER_REMOVED,
        griffe.BreakageKind.PARAMETER_CHANGED_KIND,
        griffe.BreakageKind.PARAMETER_CHANGED_REQUIRED,
        griffe.BreakageKind.PARAMETER_ADDED_REQUIRED,
    }
)
"""What breaks an importer. Values of attributes are judged by the schemas."""


@dataclass(frozen=True)
class Released:
    """A released version in a folder: its schemas, messages that it wrote, and what it sees in them."""

    folder: Path
    schemas: dict[str, Any]
    messages: list[str]
    seen: list[dict[str, Any]]
    """For each message `{"data": …, "latest": …}` or `{"error": …}`, see `probe`."""


def probe(folder: Path, *, examples: int, read: Sequence[str]) -> dict[str, Any]:
    """Run the contracts in `folder` in a process of their own, see `tests/contracts/probe.py`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.probe"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""},
        input=json.dumps({"examples": examples, "read": list(read)}),
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the contracts in {folder} cannot be used:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def open_release(folder: Path, corpus: Sequence[str], *, examples: int = EXAMPLES) -> Released:
    """Load a released version from a folder that holds the package; `corpus`: further messages it wrote."""
    answer = probe(folder, examples=examples, read=())
    messages = [*answer["written"], *corpus]
    return Released(folder, answer["schemas"], messages, probe(folder, examples=1, read=messages)["read"])


def compare(old: Released, new: Path, *, examples: int = EXAMPLES) -> tuple[Change, ...]:
    """Everything that changed from a release to the version in the folder `new`, by all four ways."""
    answer = probe(new, examples=examples, read=old.messages)
    written = answer["written"]
    return (
        *compare_releases(old.schemas, answer["schemas"]),
        *_judge_reading(old, answer["read"]),
        *_judge_refusals(written, probe(old.folder, examples=1, read=written)["read"], old.schemas),
        *_compare_names(old.folder, new),
    )


def _judge_reading(old: Released, as_new: Sequence[dict[str, Any]]) -> Iterator[Change]:
    """Old messages must mean to the new reader what they meant to the old one."""
    found: dict[tuple[str, ChangeKind], Change] = {}
    for body, before, after in zip(old.messages, old.seen, as_new, strict=True):
        message_type = json.loads(body)["type"]
        if "error" in after:
            found.setdefault(
                (message_type, ChangeKind.TIGHTENED),
                Change(message_type, ChangeKind.TIGHTENED, f"an old message is refused: {after['error']}"),
            )
            continue
        for difference in find_differences(before["data"], after["data"], message_type):
            kind = ChangeKind.MEANING_CHANGED
            if difference.missing:
                kind = ChangeKind.FIELD_REMOVED
            elif str(difference.actual).upper() == "UNKNOWN":
                kind = ChangeKind.VALUE_REMOVED
            elif str(difference.expected).upper() == "UNKNOWN":
                continue  # the new reader knows a value that the old one did not
            found.setdefault(
                (difference.where, kind), Change(difference.where, kind, "an old message reads so")
            )
    yield from found.values()


def _judge_refusals(
    bodies: Sequence[str], as_old: Sequence[dict[str, Any]], old_types: dict[str, Any]
) -> Iterator[Change]:
    """New messages of a type that the old reader knows must be readable for it."""
    refused = {
        message_type: read["error"]
        for body, read in zip(bodies, as_old, strict=True)
        if "error" in read and (message_type := json.loads(body)["type"]) in old_types
    }
    for message_type, error in refused.items():
        yield Change(message_type, ChangeKind.LOOSENED, f"a new message is refused: {error}")


def _compare_names(old: Path, new: Path) -> Iterator[Change]:
    before, after = (
        griffe.load("retainwise_contracts", search_paths=[folder], allow_inspection=False)
        for folder in (old, new)
    )
    for breakage in griffe.find_breaking_changes(before, after):
        if breakage.kind in _SURFACE:
            yield Change(breakage.obj.path, ChangeKind.NAME_REMOVED, breakage.kind.value)


def find_forbidden(release: str, changes: Sequence[Change]) -> list[Change]:
    """The changes since a release that this version's number does not allow."""
    before, now = (tuple(map(int, version.split("."))) for version in (release, read_version()))
    allowed = {Verdict.PATCH} if now == before else {Verdict.PATCH, Verdict.MINOR}
    if now[0] > before[0]:
        # A new major of the package may drop names, and messages whose support window is over.
        majors = {ChangeKind.NAME_REMOVED, ChangeKind.MESSAGE_REMOVED}
        return [change for change in changes if change.kind not in majors and _verdict(change) not in allowed]
    return [change for change in changes if _verdict(change) not in allowed]


def _verdict(change: Change) -> Verdict:
    return RULES[change.kind].verdict


@dataclass(frozen=True)
class GateReport:
    """What the gate looked at, and what may not be released."""

    writers: int
    readers: int
    forbidden: list[str]
    last: Released


def run_gate(folder: Path) -> GateReport:
    """Compare this version with every supported release, unpacked in `folder`; prints what changed."""
    forbidden = [f"NEVER  {name}: a released file was changed" for name in find_changed()]
    corpus = load_corpus()
    releases = []
    for version, wheel in list_kept().items():
        bodies = [message.body for message in corpus if message.release == version]
        releases.append(open_release(unpack(wheel, folder / version), bodies))
        changes = compare(releases[-1], SOURCE)
        print(f"since {version}: {len(changes)} changes, the gravest is {worst(changes)}")
        forbidden += [str(change) for change in find_forbidden(version, changes)]
    for message in corpus:
        message.check()
    versions = len(releases) + 1  # and this one
    return GateReport(versions, versions, forbidden, last=releases[-1])
