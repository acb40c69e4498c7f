"""Says how a file will be read before anything is queued: dialect, columns, odd values, what is missing.

It reads the first `HEAD_BYTES` of the file, as the worker does to decide the same, and takes time in
proportion to them, whatever they hold. All of it runs in a thread.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_models.card import Card, CategoricalFeature
from ml_models.intake.categories import closest_categories
from ml_models.intake.columns import (
    CUSTOMER_ID,
    IGNORED_HEADERS,
    ColumnMatch,
    ColumnProposal,
    propose_columns,
)
from ml_models.intake.dialect import detect_dialect
from ml_models.intake.disclosure import mask, mask_if_personal, printable
from ml_models.intake.rows import first_rows
from producer_api.uploads.quality import FeatureFigures, Spellings, read_figures

FIRST_ROWS = 500
"""How many rows are looked at."""

CONFIRM_BELOW = 0.9
"""A column that was found with less confidence is to be confirmed by a person."""

SAMPLES = 3
"""Values shown of each column."""

_MAX_SHOWN = 60
"""Characters of a value that is not masked."""

_MAX_HEADER = 200

_MAX_DISTINCT = 20
"""A column with more different values, or mostly unique ones, does not have categories but perhaps names."""

_MIN_OCCURRENCES = 2
_MAX_UNSEEN_AMONG_KNOWN = 3
_CLOSEST = 3
"""Known categories proposed for an unseen value."""
_START_SECONDS = 1.0
_BYTES_PER_SECOND = 30_000_000
"""What a worker fetches, scores and stores: measured are 36 MB/s (144 MB with a million customers in 4 s)."""


@dataclass(frozen=True)
class Head:
    """The first bytes of a file."""

    content: bytes
    file_bytes: int
    """The size of the whole file."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file."""
        return len(self.content) == self.file_bytes


def inspect(
    head: Head, card: Card, mapping: Mapping[str, str], spellings: Spellings
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Say how a file will be read by a model.

    Args:
        head: the first bytes of the file.
        card: the card of the model.
        mapping: feature to header, as a prediction would be sent with it.
        spellings: by feature, what spellings in the file mean; they fit the card.

    Returns:
        What the model `Inspection` describes, and the headers of all columns.

    Raises:
        UnreadableFile: it is not a table of customers.
        InvalidMapping: the mapping does not fit the card or the file.
    """
    dialect = detect_dialect(head.content, whole=head.is_whole)
    proposal = propose_columns(dialect.headers, card, mapping)
    rows = first_rows(head.content, dialect, whole=head.is_whole, at_most=FIRST_ROWS)
    columns = _Columns(rows)
    read = {**proposal.found, **proposal.unconfirmed}
    figures = read_figures(read, proposal.gates, columns.cells, len(rows), card, dialect.decimal, spellings)
    inspection = {
        "model": card.ref,
        "dialect": {
            "encoding": dialect.encoding,
            "delimiter": dialect.delimiter,
            "decimal": dialect.decimal,
            "header_row": dialect.header_row,
        },
        "columns": _describe_columns(dialect.headers, proposal, columns, figures, card),
        "missing": [
            {"feature": name, "closest": [printable(text, _MAX_HEADER) for text in proposal.closest[name]]}
            for name in proposal.missing
        ],
        "is_ready": not proposal.missing and not proposal.unconfirmed,
        "conflicts": proposal.conflicts,
        "customer_value": _customer_value(proposal, card),
        "quality": {
            "rows": len(rows),
            "features": [_describe_quality(name, figures[name], card) for name in figures],
        },
        "expected": _expect(head, rows),
    }
    return inspection, dialect.headers


class _Columns:
    """The cells of the first rows, by column."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._rows = rows

    def cells(self, position: int) -> Sequence[str]:
        """Return the cells of a column; empty where a row ends before it."""
        return [row[position] if position < len(row) else "" for row in self._rows]


def _describe_columns(
    headers: Sequence[str],
    proposal: ColumnProposal,
    columns: _Columns,
    figures: Mapping[str, FeatureFigures],
    card: Card,
) -> Sequence[dict[str, Any]]:
    """Describe every column of the file in order, whether or not it is used."""
    matches: dict[int, tuple[ColumnMatch | None, bool]] = {}
    for match in proposal.found.values():
        matches[match.position] = match, match.confidence < CONFIRM_BELOW
    for match in proposal.unconfirmed.values():
        matches[match.position] = match, True
    for match in proposal.gates.values():
        matches[match.position] = match, False
    described: list[dict[str, Any]] = []
    column: ColumnMatch | None
    for position, header in enumerate(headers):
        column, needs_confirmation = matches.get(position, (None, False))
        unseen = figures[column.feature].unseen if column and column.feature in figures else Counter[str]()
        described.append(
            {
                "position": position + 1,
                "header": printable(header, _MAX_HEADER),
                "samples": _samples(columns.cells(position), column, card),
                "is_ignored": header.strip() in IGNORED_HEADERS,
                "feature": column and column.feature,
                "method": column and column.method,
                "confidence": column and column.confidence,
                "conversion": column and column.conversion,
                "is_gate": column is not None and column in proposal.gates.values(),
                "needs_confirmation": needs_confirmation,
                "unseen_values": _describe_unseen(unseen, figures, column, card),
            }
        )
    return described


def _samples(cells: Sequence[str], column: ColumnMatch | None, card: Card) -> Sequence[str]:
    """Return the most frequent values of a column, masked unless they are amounts or categories."""
    counts = Counter(text for cell in cells if (text := cell.strip()))
    most = [text for text, _ in counts.most_common(SAMPLES)]
    if column is None or column.feature != CUSTOMER_ID:
        if 0 < len(counts) <= min(_MAX_DISTINCT, counts.total() // _MIN_OCCURRENCES):
            return [mask_if_personal(text, _MAX_SHOWN) for text in most]
        feature = _categorical(column, card)
        return [text if feature and feature.category(text) else mask(text) for text in most]
    return [mask(text) for text in most]


def _categorical(column: ColumnMatch | None, card: Card) -> CategoricalFeature | None:
    features = (feature for feature in card.features if column and feature.name == column.feature)
    feature = next(features, None)
    return feature if isinstance(feature, CategoricalFeature) else None


def _describe_unseen(
    unseen: Counter[str], figures: Mapping[str, FeatureFigures], column: ColumnMatch | None, card: Card
) -> dict[str, Any] | None:
    """Say which values the model has never seen, and the known ones they are like; None if there are none.

    They are named under the rule of the worker's quality report: only where they are few, or few among known
    ones.
    """
    feature = _categorical(column, card)
    if not unseen or feature is None:
        return None
    of_feature = figures[feature.name]
    known = of_feature.rows - of_feature.missing - unseen.total()
    among_known = len(unseen) <= _MAX_UNSEEN_AMONG_KNOWN and unseen.total() <= known
    named: list[dict[str, Any]] = []
    if among_known or len(unseen) <= min(_MAX_DISTINCT, unseen.total() // _MIN_OCCURRENCES):
        named = [
            {"value": text, "rows": count, "closest": closest_categories(text, feature, _CLOSEST)}
            for text, count in sorted(unseen.items(), key=lambda item: (-item[1], item[0]))
            if mask_if_personal(text, _MAX_SHOWN) == text  # as it is, since the request has to repeat it
        ]
    return {
        "rows": unseen.total(),
        "distinct": len(unseen),
        "named": named,
        "known_values": feature.categories,
    }


def _customer_value(proposal: ColumnProposal, card: Card) -> dict[str, Any] | None:
    """Say which column has what a customer pays: the one that is mapped, or that of the card's feature."""
    if (column := proposal.customer_value) is not None:
        return {"header": printable(column.header, _MAX_HEADER), "feature": None}
    default = card.customer_value
    if default is None or default.feature not in proposal.found:
        return None
    header = printable(proposal.found[default.feature].header, _MAX_HEADER)
    return {"header": header, "feature": default.feature}


def _describe_quality(name: str, figures: FeatureFigures, card: Card) -> dict[str, Any]:
    return {
        "feature": name,
        "label": card.feature(name).label,
        "missing": figures.missing,
        "not_a_number": figures.not_a_number,
        "out_of_range": figures.out_of_range,
        "unseen": figures.unseen.total(),
    }


def _expect(head: Head, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Estimate the rows of the whole file from its first ones, and how long it takes from its size."""
    if head.is_whole and len(rows) < FIRST_ROWS:
        expected = len(rows)
    else:
        lines = max(head.content.count(b"\n"), head.content.count(b"\r"), 1)
        expected = round(lines * head.file_bytes / len(head.content))
    seconds = _START_SECONDS + head.file_bytes / _BYTES_PER_SECOND
    return {
        "rows": expected,
        "is_exact": head.is_whole and len(rows) < FIRST_ROWS,
        "seconds": round(seconds, 1),
    }
