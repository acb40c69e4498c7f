"""Compares what the API says of a file before it is scored with what the worker makes of it."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from consumer_worker.scoring import ScoringReport
from ml_models.card import Card, NumericFeature
from ml_models.intake.columns import MappingError
from ml_models.intake.dialect import HEAD_BYTES, UnreadableFile
from producer_api.uploads.inspection import Head, inspect
from producer_api.uploads.models import Inspection
from retainwise_contracts.failures import FailureCode
from tests.files.outcomes import Case

_UNREADABLE = frozenset(
    {
        *(FailureCode.EMPTY_FILE, FailureCode.NO_ROWS, FailureCode.UNREADABLE_ENCODING),
        *(FailureCode.TOO_MANY_COLUMNS, FailureCode.LINE_TOO_LONG),
    }
)
UPLOAD_ID = UUID(int=0)
_NOT_READY = frozenset({FailureCode.MAPPING_NEEDS_CONFIRMATION})


def find_differences(case: Case, scored: ScoringReport | FailureCode, card: Card) -> Iterator[str]:
    """Inspect a case's file; yield where that disagrees with how it was scored, or why it was refused."""
    try:
        head = Head(case.content[:HEAD_BYTES], len(case.content))
        inspection, _ = inspect(head, card, case.mapping, {})
    except (UnreadableFile, MappingError) as error:
        if not isinstance(scored, FailureCode):
            yield f"it is scored, and its inspection refused: {error}"
        return
    Inspection.model_validate({"upload_id": UPLOAD_ID, "saved_mappings": [], **inspection})
    if isinstance(scored, FailureCode):
        if scored in _UNREADABLE or (scored in _NOT_READY and inspection["is_ready"]):
            yield f"it is refused as {scored.value}, and its inspection is fine"
        return
    yield from _mapping_differences(inspection, scored)
    if inspection["expected"]["is_exact"]:
        if inspection["expected"]["rows"] != scored.rows.total:
            yield f"{scored.rows.total} rows, expected {inspection['expected']['rows']}"
        if not scored.rows.rejected:
            yield from _quality_differences(inspection, scored, card)


def _mapping_differences(inspection: Mapping[str, Any], scored: ScoringReport) -> Iterator[str]:
    members = ("feature", "header", "method", "confidence", "conversion")
    proposed = {
        tuple(column[member] for member in members)
        for column in inspection["columns"]
        if column["feature"] is not None and not column["is_gate"]
    }
    used = {tuple(getattr(column, member) for member in members) for column in scored.summary.mapping}
    for column in proposed ^ used:
        yield f"the column {column} is {'proposed' if column in proposed else 'used'} only"


def _quality_differences(inspection: Mapping[str, Any], scored: ScoringReport, card: Card) -> Iterator[str]:
    figures = {feature["feature"]: feature for feature in inspection["quality"]["features"]}
    for worker in scored.summary.quality.features:
        api = figures.get(worker.feature)
        if api is None:
            continue
        # To the worker, what is not a number or impossible is missing as well.
        missing = {api["missing"] + api["not_a_number"]}
        if isinstance(card.feature(worker.feature), NumericFeature):
            missing = set(range(min(missing), min(missing) + api["out_of_range"] + 1))
        rates = (worker.missing_rate, worker.unseen_rate, worker.out_of_range_rate)
        counts = [round(rate * scored.rows.total) for rate in rates]
        if counts[0] not in missing or counts[1:] != [api["unseen"], api["out_of_range"]]:
            yield f"{worker.feature}: the worker counts {counts}, the inspection {api}"
