"""Whether a column holds what the model was trained on, or another unit, dates or something else.

It is decided over all rows of the file. Such a column fails the file, because each of its scores would look
as exact as any other; the caller can confirm that the values are right.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from consumer_worker.scoring.quality import (
    MAX_UNKNOWN,
    PSI_LARGE,
    PSI_MIN_VALUES,
    FeatureTally,
    index,
    named_unseen_values,
)
from ml_models.card import CategoricalFeature, NumericFeature
from ml_models.intake.columns import ColumnMatch
from ml_models.intake.disclosure import mask, printable
from ml_models.intake.headers import other_units

_MAX_SAMPLE = 8_192
"""Values. Enough for shares by bin that are exact to a percent."""

_PSI_OTHER_UNIT = 1.0
"""Only above this PSI is another unit sought for values that are all possible."""

_FITTING = 0.9
"""Share of the values that lie in the training data's range if the unit is right."""

_RARE = 0.02
"""Share of the values. Of customers who are here for years, one of twelve is so for 11 months more."""

_PARTS = 12
"""Whole numbers of a larger unit stand for parts of it: two years are 24 to 36 months."""

_MAX_EXAMPLES = 3
_MAX_HEADER_LENGTH = 60
"""Characters."""

_SPREADSHEET_DAYS = (20_000, 60_000)
"""Dates from 1954 to 2064 as the days since 1900, as spreadsheets keep them."""
_CALENDAR_YEARS = (1900, 2100)
_COMPACT_DATES = (19_000_101, 21_001_231)
"""20190501"""
_OTHER_AMOUNTS = "If the amounts are in another currency or for another period, convert them."
_MAX_SCALED = 6.0
"""Standard deviations."""
_SECONDS = (300_000_000, 5_000_000_000)
"""Unix times from 1979 to 2128."""


class ValueSample:
    """Evenly spaced values of a numeric column, the same ones however the rows are divided into tables."""

    def __init__(self) -> None:
        self._values = np.empty(0)
        self._step = 1
        self._rows = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add the values of the next rows, as read; NaN where there is none."""
        first = -self._rows % self._step
        self._rows += len(values)
        self._values = np.concatenate([self._values, values[first :: self._step]])
        while len(self._values) > 2 * _MAX_SAMPLE:
            self._values = self._values[::2]
            self._step *= 2

    @property
    def values(self) -> NDArray[np.float64]:
        """The present ones, in the model's unit."""
        return self._values[~np.isnan(self._values)]


def is_empty(tally: FeatureTally) -> bool:
    """Return whether no row has a value in this column."""
    return tally.rows > 0 and tally.blank == tally.rows


def find_implausible(
    tally: FeatureTally, column: ColumnMatch, sample: ValueSample, first_row: int | None
) -> str | None:
    """Say why most values of a column cannot be right, and what to do; None if they can.

    Args:
        tally: the column's values over all rows, those rejected for their values included.
        column: the column.
        sample: of a numeric feature; else empty.
        first_row: the first row at fault.
    """
    feature = tally.feature
    if isinstance(feature, NumericFeature):
        return _implausible_numbers(tally, feature, column, sample.values, first_row)
    bad = tally.missing + tally.unseen
    if not feature.required or bad <= MAX_UNKNOWN * tally.rows:
        return None
    parts = []
    if tally.missing:
        parts.append(f"is blank in {tally.missing / tally.rows:.1%} of the rows")
    advice = "Fill the column in, or map another one."
    if tally.unseen:
        examples = named_unseen_values(tally)[:_MAX_EXAMPLES]
        parts.append(
            f"has values the model does not know in {tally.unseen / tally.rows:.1%} of the rows"
            + (f" ({', '.join(examples)})" if examples else "")
        )
        advice = (
            f"Use the words it knows ({_listed(feature.categories, 'or')}), "
            f"or map another column to {feature.name}."
        )
        if feature.numbered and all(_is_whole(text) for text in tally.unseen_values):
            unit = feature.numbered[0].unit
            advice += f" If its numbers are {unit}, {_say_unit(column, unit)}."
    return _sentences(feature, column, parts, first_row, advice)


def _implausible_numbers(
    tally: FeatureTally,
    feature: NumericFeature,
    column: ColumnMatch,
    values: NDArray[np.float64],
    first_row: int | None,
) -> str | None:
    statistics = feature.statistics
    not_a_number = tally.unusable - tally.impossible
    outside = tally.beyond + tally.impossible
    rows = tally.rows if feature.required else tally.rows - tally.blank - not_a_number
    bad = tally.missing + tally.beyond if feature.required else outside
    if feature.unit == "months" and _are_years_and_months(values / column.factor):
        return (
            f"{_named(column)} ({feature.label}) looks like years and months, where 3.11 is 3 years and 11 "
            f"months and not 3.11 years. Write all of it in months. {_confirm(feature.name)}"
        )
    if bad <= MAX_UNKNOWN * rows:
        return _in_another_unit(feature, column, values)
    if not_a_number > MAX_UNKNOWN * rows:  # the rejected rows say so
        return None
    parts = []
    if feature.required and tally.blank:
        parts.append(f"is blank in {tally.blank / rows:.1%} of the rows")
    if feature.required and not_a_number:
        parts.append(f"is not a number in {not_a_number / rows:.1%} of the rows")
    advice = "Fill the column in, or map another one."
    if outside:
        strange = np.unique(values[(values < statistics.min) | (values > statistics.max)])
        examples = [_written(value / column.factor) for value in _spread(strange)]
        unit = "" if feature.unit in (None, "currency") else f" {feature.unit}"
        parts.append(
            f"is outside the range of the training data, {statistics.min:g} to {statistics.max:g}{unit}, "
            f"in {outside / rows:.1%} of the rows" + (f" (such as {', '.join(examples)})" if examples else "")
        )
        if outside > bad / 2:
            advice = _OTHER_AMOUNTS if tally.currencies else _advice(feature, column, values)
    return _sentences(feature, column, parts, first_row, advice)


def _in_another_unit(feature: NumericFeature, column: ColumnMatch, values: NDArray[np.float64]) -> str | None:
    """Return what is wrong with values that are all possible, but fit only in another unit."""
    before = _psi(feature, values)
    if before is None or before <= _PSI_OTHER_UNIT:
        return None
    fits = [
        (after, name)
        for name, converted in _conversions(feature, column, values)
        if (after := _psi(feature, converted)) is not None and after < PSI_LARGE
    ]
    if not fits:
        return None
    _, name = min(fits)
    return (
        f"{_named(column)} ({feature.label}) has values that fit the training data only as {name}. "
        f"If they are {name}, {_say_unit(column, name)}. {_confirm(feature.name)}"
    )


def _advice(feature: NumericFeature, column: ColumnMatch, values: NDArray[np.float64]) -> str:
    """Say what numbers outside the training data's range are likely to be, and what to do."""
    if feature.unit == "months":
        raw = values / column.factor
        for low, high in (_SPREADSHEET_DAYS, _CALENDAR_YEARS, _COMPACT_DATES, _SECONDS):
            if len(raw) and np.mean((raw >= low) & (raw <= high)) >= _FITTING:
                return "These look like dates: replace each by the number of months from then until today."
    if _are_scaled(values):
        return "These look standardised, as for a model: export the original values."
    name = _likely_unit(feature, column, values)
    if name is not None:
        return f"These look like {name}: {_say_unit(column, name)}."
    if feature.unit == "currency":
        return _OTHER_AMOUNTS
    return f"Convert the column to {feature.unit}." if feature.unit else "Correct the column."


def _are_years_and_months(values: NDArray[np.float64]) -> bool:
    """Return whether the decimals are 1 to 11 and no others: no decimals of years or months are like that."""
    hundredths = np.rint((values - np.floor(values)) * 100)
    elevens = np.equal(hundredths, 11)
    return bool(elevens.any() and (elevens | np.equal(hundredths % 10, 0)).all() and elevens.mean() > _RARE)


def _are_scaled(values: NDArray[np.float64]) -> bool:
    """Return whether the values are around 0 as z-scores are, or shares of a maximum."""
    fractions = values != np.floor(values)
    return bool(len(values) and np.mean(fractions) >= _FITTING and np.abs(values).max() <= _MAX_SCALED)


def _likely_unit(feature: NumericFeature, column: ColumnMatch, values: NDArray[np.float64]) -> str | None:
    statistics = feature.statistics
    best: tuple[float, str] | None = None
    for name, converted in _conversions(feature, column, values):
        fitting = np.mean((converted >= statistics.min) & (converted <= statistics.max * 1.01))
        if fitting < _FITTING:
            continue
        # Few values have no PSI; then their mean decides.
        psi = _psi(feature, converted)
        distance = abs(float(converted.mean()) - statistics.mean) if psi is None else psi
        if best is None or distance < best[0]:
            best = distance, name
    return None if best is None else best[1]


def _conversions(
    feature: NumericFeature, column: ColumnMatch, values: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the values as they would be if they were written in another unit, with the unit's name."""
    if not len(values):
        return
    for name, factor in other_units(feature.unit).items():
        relative = factor / column.factor
        if relative == 1.0:
            continue
        raw = values / column.factor
        if relative > 1.0 and (raw == np.floor(raw)).all():
            parts = (np.arange(_PARTS) + 0.5) / _PARTS
            yield name, (np.add.outer(raw, parts) * factor).ravel()
        else:
            yield name, raw * factor


def _psi(feature: NumericFeature, values: NDArray[np.float64]) -> float | None:
    if len(values) < PSI_MIN_VALUES:
        return None
    statistics = feature.statistics
    positions = np.searchsorted(statistics.edges, values, side="right")
    return index(np.bincount(positions, minlength=len(statistics.shares)), feature)


def _spread(values: NDArray[np.float64]) -> Sequence[float]:
    """Return a low, a middle and a high one of sorted values."""
    positions = np.unique(np.linspace(0, len(values) - 1, _MAX_EXAMPLES + 2).astype(int)[1:-1])
    return [float(values[position]) for position in positions] if len(values) else []


def _written(value: float) -> str:
    return mask(f"{value:.2f}".rstrip("0").rstrip("."))


def _is_whole(text: str) -> bool:
    return text.isascii() and text.strip().isdigit()


def _named(column: ColumnMatch) -> str:
    return f"Column “{printable(column.header, _MAX_HEADER_LENGTH)}”"


def _say_unit(column: ColumnMatch, unit: str) -> str:
    if column.unit is not None:
        return f"change the unit in the header to {unit}"
    return f"add the unit to the header, as “{printable(column.header, _MAX_HEADER_LENGTH)} ({unit})”"


def _sentences(
    feature: NumericFeature | CategoricalFeature,
    column: ColumnMatch,
    parts: Sequence[str],
    first_row: int | None,
    advice: str,
) -> str:
    first = "" if first_row is None else f", first in row {first_row:,}"
    return (
        f"{_named(column)} ({feature.label}) {' and '.join(parts)}{first}. {advice} {_confirm(feature.name)}"
    )


def _confirm(feature: str) -> str:
    return f"If the values are right as they are, confirm {feature} in the request."


def _listed(words: Sequence[str], conjunction: str) -> str:
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}" if len(words) > 1 else words[0]
