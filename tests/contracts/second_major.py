"""A second major of one message: the release that would bring `retainwise.prediction.requested.v2`.

It is this checkout with the changes that such a release makes, written into a folder of its own, so that its
worker can run beside the worker of the last release.
"""

import json
import shutil
from pathlib import Path

from tests.contracts.gate import Released, probe
from tests.contracts.kept import ROOT, SOURCE

WORKER_SOURCE = ROOT / "consumer_worker" / "src"

_V2 = '''

class PredictionRequestedV2(Contract):
    """A file to score. `accepted_at` takes the place of `requested_at`."""

    TYPE: ClassVar[str] = "retainwise.prediction.requested.v2"

    prediction_id: UUID
    tenant_id: TenantId
    upload: UploadReference
    model: ModelReference
    mapping: dict[str, str]
    options: ScoringOptions
    accepted_at: UtcDatetime
    deadline: UtcDatetime | None

    @classmethod
    def of(cls, old: PredictionRequestedV1) -> "PredictionRequestedV2":
        """Upcast a message of the first major."""
        kept = {name: getattr(old, name) for name in cls.model_fields if name != "accepted_at"}
        return cls(**kept, accepted_at=old.requested_at)
'''

_REPLACEMENTS = {
    "channels.py": (
        ("import PredictionRequestedV1\n", "import PredictionRequestedV1, PredictionRequestedV2\n"),
        ("type[PredictionRequestedV1]]", "type[PredictionRequestedV1 | PredictionRequestedV2]]"),
        (
            "PredictionRequestedV1.TYPE: PredictionRequestedV1}",
            "message.TYPE: message for message in (PredictionRequestedV1, PredictionRequestedV2)}",
        ),
    ),
    "codec.py": (
        ("import PredictionRequestedV1\n", "import PredictionRequestedV1, PredictionRequestedV2\n"),
        ("Message = PredictionRequestedV1 |", "Message = PredictionRequestedV1 | PredictionRequestedV2 |"),
        ("MappingProxyType({})", "MappingProxyType({PredictionRequestedV1.TYPE: PredictionRequestedV2.of})"),
    ),
}


def create_second_major(folder: Path) -> Path:
    """Write the contracts and the worker of that release; the folder can then be put on PYTHONPATH."""
    for source in (SOURCE, WORKER_SOURCE):
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    contracts = folder / "retainwise_contracts"
    with (contracts / "prediction_requested.py").open("a") as module:
        module.write(_V2)
    for name, replacements in _REPLACEMENTS.items():
        text = (contracts / name).read_text("utf-8")
        for old, new in replacements:
            if text.count(old) != 1:
                raise ValueError(f"{name} has {old!r} {text.count(old)} times, not once")
            text = text.replace(old, new)
        (contracts / name).write_text(text, "utf-8")
    for file in (folder / "consumer_worker").rglob("*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace("PredictionRequestedV1", "PredictionRequestedV2"), "utf-8")
    return folder


def check_upcast(old: Released, folder: Path) -> int:
    """Check that an upcast changes no meaning of what a release wrote; returns how many messages were upcast.

    Raises:
        AssertionError: a value differs.
    """
    messages = [body for body in old.messages if json.loads(body)["type"].endswith("requested.v1")]
    for body, read in zip(messages, probe(folder, examples=1, read=messages)["read"], strict=True):
        expected = dict(read["data"])
        expected["accepted_at"] = expected.pop("requested_at")
        if read["latest"] != expected:
            raise AssertionError(f"upcast with another meaning: {body}")
    return len(messages)
