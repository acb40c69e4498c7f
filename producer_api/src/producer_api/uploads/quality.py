"""What the first rows of a file hold, feature by feature, read as the worker will read them.

It is pure Python over a few hundred rows. The worker's `values` does the same for whole files; a test proves
that both agree.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ml_models.card import Card, CategoricalFeature, NumericFeature, normalise
from ml_models.intake.categories import Meanings, category_of_duration
from ml_models.intake.columns import ColumnMatch
from ml_models.intake.numbers import (
    PERCENT,
    Decimal,
    NotANumber,
    is_missing,
    parse_duration,
    parse_number,
)

Cells = Callable[[int], Sequence[str]]
"""The cells of the column at a position, one for each row."""

Spellings = Mapping[str, Mapping[str, str]]
"""By feature: a spelling in the file, to the category that it means."""


@dataclass(slots=True)
class FeatureFigures:
    """Counts of one feature over the first rows."""

    rows: int
    missing: int = 0
    """Blank, or a word for no value."""
    not_a_number: int = 0
    out_of_range: int = 0
    """Impossible, or outside the range of the training data."""
    unseen: Counter[str] = field(default_factory=Counter)
    """Texts that are no category the model knows."""


@dataclass(frozen=True, slots=True)
class _Category:
    """A value of a categorical feature: `category` is None where it is missing or never seen."""

    category: str | None
    unseen: str | None = None


_MISSING = _Category(None)


def read_figures(
    columns: Mapping[str, ColumnMatch],
    gates: Mapping[str, ColumnMatch],
    cells: Cells,
    rows: int,
    card: Card,
    decimal: Decimal,
    spellings: Spellings,
) -> dict[str, FeatureFigures]:
    """Count what the first rows hold.

    Args:
        columns: by feature, the column it is read from.
        gates: by feature, the column that says whether a customer has it at all, see `ml_models.card.Gate`.
        cells: the cells of a column.
        rows: how many rows there are.
        card: the card of the model.
        decimal: the file's decimal separator.
        spellings: what the customer says of categories.

    Returns:
        The figures of each feature that has a column.
    """
    figures: dict[str, FeatureFigures] = {}
    categories: dict[str, list[_Category]] = {}
    for feature in card.features:
        column = columns.get(feature.name)
        if isinstance(feature, NumericFeature):
            if column is not None:
                figures[feature.name] = _count_numbers(cells(column.position), feature, column, decimal)
        elif column is None:
            categories[feature.name] = [_MISSING] * rows
        else:
            own = _read_categories(
                cells(column.position), feature, column.unit, spellings.get(feature.name, {})
            )
            gate = gates.get(feature.name)
            categories[feature.name] = own if gate is None else _gated(own, cells(gate.position), feature)
    for feature in card.features:
        if isinstance(feature, CategoricalFeature) and feature.name in columns:
            figures[feature.name] = _count_categories(_with_implied(feature, categories))
    return figures


def _count_numbers(
    texts: Sequence[str], feature: NumericFeature, column: ColumnMatch, decimal: Decimal
) -> FeatureFigures:
    figures = FeatureFigures(len(texts))
    for text, count in Counter(texts).items():
        try:
            value = _read_number(text, feature, decimal, column.factor)
        except NotANumber:
            figures.not_a_number += count
            continue
        if value is None:
            figures.missing += count
        elif not feature.statistics.min <= value <= feature.statistics.max:
            figures.out_of_range += count
    return figures


def _read_number(text: str, feature: NumericFeature, decimal: Decimal, factor: float) -> float | None:
    """Read a number in the model's unit; None if there is none. Raises NotANumber."""
    try:
        number = parse_number(text, decimal, percent=PERCENT.get(feature.unit))
    except NotANumber:
        months = parse_duration(text, decimal) if feature.unit == "months" else None
        if months is None:
            raise
        return months
    return None if number is None else number * factor


def _read_categories(
    texts: Sequence[str],
    feature: CategoricalFeature,
    named_unit: str | None,
    spellings: Mapping[str, str],
) -> list[_Category]:
    counts = Counter(texts)
    # A rare number is no proof of what a column holds.
    frequent = [text for text, count in counts.items() if 100 * count >= len(texts)]
    unit = named_unit or feature.unit_of(frequent)
    meanings = Meanings(spellings)
    return list(map({text: _category(text, feature, unit, meanings) for text in counts}.__getitem__, texts))


def _category(text: str, feature: CategoricalFeature, unit: str | None, meanings: Meanings) -> _Category:
    category = meanings.category(text) or feature.category(text, unit) or category_of_duration(text, feature)
    if category is not None:
        return _Category(category)
    return _MISSING if is_missing(text) else _Category(None, unseen=text.strip())


def _gated(own: Sequence[_Category], texts: Sequence[str], feature: CategoricalFeature) -> list[_Category]:
    """Combine a feature's column with its gate: a category there stands, unless it only says yes."""
    gate = feature.gate
    if gate is None:
        return list(own)
    combined = []
    for value, text in zip(own, texts, strict=True):
        says_yes = normalise(text) in gate.yes
        stands = None if says_yes else feature.category(text) or category_of_duration(text, feature)
        contradicts = says_yes and value.category == gate.category
        combined.append(_Category(stands) if stands else _MISSING if contradicts else value)
    return combined


def _with_implied(
    feature: CategoricalFeature, categories: Mapping[str, Sequence[_Category]]
) -> Sequence[_Category]:
    """Fill in what is missing where another feature of the row makes it certain, see `ImpliedCategory`."""
    own = categories[feature.name]
    implied = feature.implied
    if implied is None or not implied.missing or implied.feature not in categories:
        return own
    return [
        _Category(implied.means) if value == _MISSING and other.category == implied.category else value
        for value, other in zip(own, categories[implied.feature], strict=True)
    ]


def _count_categories(values: Sequence[_Category]) -> FeatureFigures:
    figures = FeatureFigures(len(values))
    for value, count in Counter(values).items():
        if value.unseen is not None:
            figures.unseen[value.unseen] += count
        elif value.category is None:
            figures.missing += count
    return figures
