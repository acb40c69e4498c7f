"""The gate's own proof: changes planted into a copy of the contracts, which it must classify right."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from retainwise_contracts.compatibility import RULES, Change, ChangeKind, Verdict, worst
from retainwise_contracts.releases import load_corpus
from tests.contracts.gate import Released, compare, open_release
from tests.contracts.kept import SOURCE

EXAMPLES = 10
"""Messages of each type per planted change."""

PROCESSES = 2


@dataclass(frozen=True)
class Planted:
    """A change, as text to replace by file, and what it is."""

    name: str
    kind: ChangeKind
    replace: Mapping[str, tuple[tuple[str, str], ...]]

    @property
    def verdict(self) -> Verdict:
        return RULES[self.kind].verdict


def _in(module: str, *replacements: tuple[str, str]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    return {f"{module}.py": replacements}


REQUESTED, FINISHED = "prediction_requested", "prediction_finished"
_UPLOAD_SIZE = "size_bytes: Bytes = Field(gt=0)"
_VERSION_ID = 'version_id: str | None = Field(description="Null if the bucket is not versioned")'
_ATTEMPTS = """    attempts: Attempts = Field(ge=0)
    requested_at: UtcDatetime
    finished_at: UtcDatetime


class PredictionCancelledV1"""

PLANTED = (
    Planted(
        "add optional",
        ChangeKind.OPTIONAL_FIELD_ADDED,
        _in(REQUESTED, (_UPLOAD_SIZE, f"{_UPLOAD_SIZE}\n    etag: str | None = None")),
    ),
    Planted(
        "add required",
        ChangeKind.REQUIRED_FIELD_ADDED,
        _in(REQUESTED, (_UPLOAD_SIZE, f"{_UPLOAD_SIZE}\n    etag: str")),
    ),
    Planted(
        "add a value to an open enum",
        ChangeKind.VALUE_ADDED,
        _in("status", ('    EXPIRED = "EXPIRED"', '    LOST = "LOST"\n    EXPIRED = "EXPIRED"')),
    ),
    Planted(
        "add a value to a closed enum",
        ChangeKind.LOOSENED,
        _in(REQUESTED, ('Literal["month", "year"]', 'Literal["week", "month", "year"]')),
    ),
    Planted(
        "remove an enum value",
        ChangeKind.VALUE_REMOVED,
        _in(
            "failures",
            ('    WORKER_CRASHED = "worker_crashed"\n', ""),
            ("FailureCode.WORKER_CRASHED: _system(", '"worker_crashed": _system('),
        ),
    ),
    Planted(
        "remove a value of a closed enum",
        ChangeKind.TIGHTENED,
        _in(REQUESTED, ('Literal["month", "year"]', 'Literal["month"]')),
    ),
    Planted(
        "remove a field",
        ChangeKind.FIELD_REMOVED,
        _in(FINISHED, (_ATTEMPTS, _ATTEMPTS.partition("\n")[2])),
    ),
    Planted(
        "remove an optional field",
        ChangeKind.FIELD_REMOVED,
        _in(
            REQUESTED,
            (
                "    currency: Currency | None = Field(default=None,"
                ' description="Of the customers\' values; only shown")\n',
                "",
            ),
        ),
    ),
    Planted(
        "rename a required field",
        ChangeKind.FIELD_REMOVED,
        _in(FINISHED, (_ATTEMPTS, _ATTEMPTS.replace("attempts:", "tries:", 1))),
    ),
    Planted(
        "rename an optional field",
        ChangeKind.FIELD_REMOVED,
        _in(REQUESTED, ("    confirmed: tuple", "    accepted: tuple")),
    ),
    Planted(
        "rename with an alias alone",
        ChangeKind.FIELD_REMOVED,
        _in(
            FINISHED,
            ("from pydantic import Field", "from pydantic import AliasChoices, Field"),
            (
                _ATTEMPTS,
                _ATTEMPTS.replace(
                    "attempts: Attempts = Field(ge=0)",
                    'tries: Attempts = Field(ge=0, validation_alias=AliasChoices("tries", "attempts"))',
                ),
            ),
        ),
    ),
    Planted(
        "make an optional field required",
        ChangeKind.MADE_REQUIRED,
        _in(REQUESTED, ("reasons: int = Field(default=3, ", "reasons: int = Field(")),
    ),
    Planted(
        "make a required field optional",
        ChangeKind.MADE_OPTIONAL,
        _in(REQUESTED, (_VERSION_ID, "version_id: str | None = None")),
    ),
    Planted("tighten a limit", ChangeKind.TIGHTENED, _in(REQUESTED, ("MAX_REASONS = 5", "MAX_REASONS = 4"))),
    Planted("loosen a limit", ChangeKind.LOOSENED, _in(REQUESTED, ("MAX_REASONS = 5", "MAX_REASONS = 6"))),
    Planted(
        "tighten a pattern",
        ChangeKind.TYPE_CHANGED,
        _in("model", ("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "[a-z0-9][a-z0-9_-]{0,63}")),
    ),
    Planted(
        "tighten in a validator alone",
        ChangeKind.TIGHTENED,
        _in(REQUESTED, ("if not text.isprintable()", "if not text.isascii() or not text.isprintable()")),
    ),
    Planted(
        "loosen in a validator alone",
        ChangeKind.LOOSENED,
        _in(REQUESTED, ("if not text.isprintable() or text != text.strip()", "if not text")),
    ),
    Planted(
        "int to str",
        ChangeKind.TYPE_CHANGED,
        _in(
            REQUESTED,
            ("import Bytes, Contract", "import Bytes, Unit, Contract"),
            (_UPLOAD_SIZE, 'size_bytes: Annotated[str, Unit("bytes")] = Field(min_length=1)'),
        ),
    ),
    Planted(
        "required to nullable",
        ChangeKind.LOOSENED,
        _in(REQUESTED, ("    requested_at: UtcDatetime\n", "    requested_at: UtcDatetime | None\n")),
    ),
    Planted(
        "nullable to never null",
        ChangeKind.TIGHTENED,
        _in(REQUESTED, (_VERSION_ID, "version_id: str")),
    ),
    Planted(
        "change a default",
        ChangeKind.DEFAULT_CHANGED,
        _in(REQUESTED, ("reasons: int = Field(default=3, ", "reasons: int = Field(default=4, ")),
    ),
    Planted(
        "change a unit",
        ChangeKind.UNIT_CHANGED,
        _in("model", ('Annotated[int, Unit("bytes")]', 'Annotated[int, Unit("kilobytes")]')),
    ),
    Planted(
        "change a meaning in a validator alone",
        ChangeKind.MEANING_CHANGED,
        _in("model", ("return moment.astimezone(UTC)", "return moment.replace(microsecond=0)")),
    ),
    Planted(
        "rename a Python class",
        ChangeKind.NAME_REMOVED,
        _in(
            REQUESTED,
            ("class UploadReference(", "class UploadedFile("),
            ("upload: UploadReference", "upload: UploadedFile"),
        ),
    ),
    Planted(
        "rename a parameter",
        ChangeKind.NAME_REMOVED,
        _in("failures", ('detail: str = "")', 'found: str = "")'), ("{kind.sentence} {detail}", "{found}")),
    ),
    Planted(
        "add a message",
        ChangeKind.MESSAGE_ADDED,
        {
            "channels.py": (
                (
                    "PredictionRequestedV1.TYPE: PredictionRequestedV1}",
                    "PredictionRequestedV1.TYPE: PredictionRequestedV1, Rescore.TYPE: Rescore}",
                ),
                (
                    "DAY_SECONDS =",
                    "class Rescore(PredictionRequestedV1):\n"
                    '    TYPE = "retainwise.prediction.rescore.v1"\n\n\nDAY_SECONDS =',
                ),
            )
        },
    ),
    Planted(
        "remove a message",
        ChangeKind.MESSAGE_REMOVED,
        _in("channels", ("PredictionFailedV1, PredictionCancelledV1)}", "PredictionFailedV1)}")),
    ),
    Planted(
        "change a description",
        ChangeKind.TEXT_CHANGED,
        _in(REQUESTED, ("Null if the bucket is not versioned", "Null without versioning")),
    ),
)


def plant(change: Planted, folder: Path) -> Path:
    """Copy the contracts and make the change; the folder can then be put on PYTHONPATH."""
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, replacements in change.replace.items():
        file = folder / "retainwise_contracts" / name
        text = file.read_text("utf-8")
        for old, new in replacements:
            if text.count(old) != 1:
                raise ValueError(f"{change.name}: {name} has {old!r} {text.count(old)} times, not once")
            text = text.replace(old, new)
        file.write_text(text, "utf-8")
    return folder


def classify(change: Planted, old: Released, folder: Path) -> tuple[Change, ...]:
    """What the gate says of a planted change."""
    return compare(old, plant(change, folder), examples=EXAMPLES)


def is_right(change: Planted, found: tuple[Change, ...]) -> bool:
    """Whether the change was found, and nothing graver than it was."""
    return worst(found) is change.verdict and any(each.kind is change.kind for each in found)


def classify_all() -> Iterator[tuple[Planted, tuple[Change, ...]]]:
    """Classify each planted change against the version here: what it was planted into."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(PROCESSES) as threads:
        old = open_release(SOURCE, [message.body for message in load_corpus()], examples=EXAMPLES)
        folders = [Path(temporary) / str(number) for number in range(len(PLANTED))]
        yield from zip(PLANTED, threads.map(classify, PLANTED, [old] * len(PLANTED), folders), strict=True)


def run_planted() -> tuple[int, int]:
    """Return how many changes were planted and classified right; prints each."""
    right = 0
    for change, found in classify_all():
        if is_right(change, found):
            right += 1
            print(f"  {change.verdict.upper():5}  {change.name}: {change.kind}")
        else:
            seen = "; ".join(map(str, found)) or "nothing"
            print(f"  WRONG  {change.name}: {change.kind} is {change.verdict}, but the gate says: {seen}")
    print(f"classified {right}/{len(PLANTED)}")
    return len(PLANTED), right
