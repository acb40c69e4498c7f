"""Converts text to the model's inputs: numbers in any notation, categories in any known spelling.

Nothing is filled in. A missing value is NaN, a category the model has never seen has a code of its own
(`UNSEEN_CODE`), and text that is not a number is marked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_models.card import (
    UNSEEN_CODE,
    Card,
    CategoricalFeature,
    Feature,
    NumericFeature,
    Outcome,
    normalise,
)
from ml_models.intake.categories import NO_MEANINGS, Meanings, category_of_duration
from ml_models.intake.numbers import (
    PERCENT,
    Decimal,
    NotANumber,
    is_missing,
    named_currencies,
    parse_duration,
    parse_number,
)

MAX_AMOUNT = 1e12
"""Of what a customer pays. A greater one is a misread cell, and would drown all others in a sum."""


@dataclass(frozen=True, slots=True)
class NumericValues:
    """A numeric feature of some rows. All arrays are `[rows]`, the values in the model's unit."""

    feature: NumericFeature
    read: NDArray[np.float64]
    """As read, also where impossible; NaN where missing or not a number."""
    values: NDArray[np.float64]
    """NaN where missing or unusable."""
    not_a_number: NDArray[np.bool_]
    out_of_range: NDArray[np.bool_]
    """Where the value is impossible: outside the card's `valid_min` to `valid_max`."""
    currencies: frozenset[str] = frozenset()
    """The currencies that cells name, of these rows or of those they were filtered from."""

    @property
    def encoded(self) -> NDArray[np.float32]:
        """The model's input: float32 `[rows]`, NaN where missing."""
        return self.values.astype(np.float32)

    @property
    def series(self) -> pl.Series:
        """The values as a column of the result files: float64, null where missing."""
        return pl.Series(self.values, nan_to_null=True)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where the model gets no value: bool `[rows]`."""
        return np.isnan(self.values)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Where the model knows nothing of the value: bool `[rows]`."""
        return self.missing

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the value is present and within the range of the training data: bool `[rows]`."""
        statistics = self.feature.statistics
        return (self.values >= statistics.min) & (self.values <= statistics.max)

    def filter(self, rows: NDArray[np.bool_]) -> "NumericValues":
        """Return the values of the marked rows only; `rows` is bool `[rows]`."""
        return NumericValues(
            self.feature,
            self.read[rows],
            self.values[rows],
            self.not_a_number[rows],
            self.out_of_range[rows],
            self.currencies,
        )

    def distinct(self, rows: NDArray[np.intp]) -> tuple[list[float | None], NDArray[np.intp]]:
        """Return the distinct values of these rows and, for each row, the position of its own."""
        values, inverse = np.unique(self.values[rows], return_inverse=True)
        return [None if np.isnan(value) else float(value) for value in values], inverse


@dataclass(frozen=True, slots=True)
class CategoricalValues:
    """A categorical feature of some rows."""

    feature: CategoricalFeature
    texts: list[str | None]
    """The distinct values: a category, the text of a category never seen, or None for missing."""
    text_codes: NDArray[np.float32]
    """The model's code of each of them."""
    positions: NDArray[np.intp]
    """`[rows]`: the position of the row's value in `texts`."""
    contradicting: NDArray[np.bool_] | None = None
    """`[rows]`: where another feature rules the value out: an add-on without internet. None: nowhere."""

    @property
    def encoded(self) -> NDArray[np.float32]:
        """The model's input: float32 `[rows]`, category codes, `UNSEEN_CODE` or NaN where missing."""
        return self.text_codes[self.positions]

    @property
    def series(self) -> pl.Series:
        """The values as a column of the result files: null where missing.

        Its type is that of the model's categories, or text if there are others.
        """
        unseen = np.flatnonzero(self.text_codes == UNSEEN_CODE)
        if len(unseen) and np.isin(self.positions, unseen).any():
            return pl.Series(self.texts, dtype=pl.String)[self.positions]
        known = [
            text if code >= 0 else None
            for text, code in zip(self.texts, self.text_codes.tolist(), strict=True)
        ]
        return pl.Series(known, dtype=pl.Enum(self.feature.categories))[self.positions]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where the model gets no value: bool `[rows]`."""
        return np.isnan(self.text_codes)[self.positions]

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Where the model knows nothing of the value, missing or never seen: bool `[rows]`."""
        return ~self.known

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the value is one of the model's categories: bool `[rows]`."""
        of_texts = self.text_codes >= 0
        known = np.ones(len(self.positions), np.bool_) if of_texts.all() else of_texts[self.positions]
        return known if self.contradicting is None else known & ~self.contradicting

    def filter(self, rows: NDArray[np.bool_]) -> "CategoricalValues":
        """Return the values of the marked rows only; `rows` is bool `[rows]`."""
        contradicting = None if self.contradicting is None else self.contradicting[rows]
        return CategoricalValues(
            self.feature, self.texts, self.text_codes, self.positions[rows], contradicting
        )

    def distinct(self, rows: NDArray[np.intp]) -> tuple[list[str | None], NDArray[np.intp]]:
        """Return the distinct values of these rows and, for each row, the position of its own."""
        positions = self.positions[rows]
        used = np.flatnonzero(np.bincount(positions, minlength=len(self.texts)))
        own = np.empty(len(self.texts), np.intp)
        own[used] = np.arange(len(used))
        return [self.texts[position] for position in used], own[positions]


FeatureValues = NumericValues | CategoricalValues


@dataclass(frozen=True, slots=True)
class Notation:
    """How the cells of a file are written."""

    decimal: Decimal
    factors: Mapping[str, float] = field(default_factory=dict)
    """By feature, the factor that converts a number to the model's unit."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By feature with categories, the unit of the column's numbers: 12 months are `One year`."""
    meanings: Mapping[str, Meanings] = field(default_factory=dict)
    """By feature with categories, what the request says of spellings."""


def gate_name(feature: str) -> str:
    """Return the name of the column of texts that says whether a customer has a feature at all."""
    return f"gate of {feature}"


def read_values(texts: pl.DataFrame, card: Card, notation: Notation) -> dict[str, FeatureValues]:
    """Read the features of some rows.

    Args:
        texts: a text column per feature that the file has, by the feature's name, and per gate, by its
            `gate_name`; no nulls.
        card: the card of the model whose features are read.
        notation: how the cells are written.

    Returns:
        All of the card's features in its order. A feature without a column is missing in all rows, except
        where another one implies it.
    """
    categorical = [
        name
        for feature in card.features
        if feature.kind == "categorical"
        for name in (feature.name, gate_name(feature.name))
        if name in texts.columns
    ]
    distinct = _distinct(texts.select(categorical))
    values: dict[str, FeatureValues] = {}
    for feature in card.features:
        name = feature.name
        if name not in texts.columns:
            values[name] = _no_values(feature, texts.height)
        elif isinstance(feature, NumericFeature):
            values[name] = read_numbers(
                texts[name], feature, notation.decimal, notation.factors.get(name, 1.0)
            )
        else:
            meanings = notation.meanings.get(name, NO_MEANINGS)
            own = _read_categories(*distinct[name], feature, notation.units.get(name), meanings)
            gate = distinct.get(gate_name(name))
            values[name] = own if gate is None else _gated(own, *gate)
    return _with_implied(values)


def read_numbers(texts: pl.Series, feature: NumericFeature, decimal: Decimal, factor: float) -> NumericValues:
    """Read a column of texts as a numeric feature; every number is multiplied by `factor`."""
    values, not_a_number, currencies = _read_column(texts, feature.unit, decimal, factor)
    out_of_range = (values < feature.valid_min) | (values > feature.valid_max)
    possible = np.where(out_of_range, np.nan, values) if out_of_range.any() else values
    return NumericValues(feature, values, possible, not_a_number, out_of_range, currencies)


def read_amounts(texts: pl.Series, decimal: Decimal, factor: float) -> NDArray[np.float64]:
    """Read a column of texts as what customers pay: `[rows]`, NaN where that is not known."""
    values, _, _ = _read_column(texts, "currency", decimal, factor)
    return np.where((values >= 0) & (values <= MAX_AMOUNT), values, np.nan)


def _read_column(
    texts: pl.Series, unit: str | None, decimal: Decimal, factor: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], frozenset[str]]:
    """Read a column of numbers in this unit.

    Returns:
        The values, NaN where there is none; which texts are no number; and the currencies that they name.
    """
    plain = texts = texts.str.strip_chars()
    if decimal == ",":
        # "1.234" is 1234 in such a file: left to parse_number.
        plain = texts.set(texts.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
    values = plain.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy(writable=True)
    not_a_number = np.zeros(len(texts), np.bool_)
    currencies = frozenset[str]()
    unread = ~np.isfinite(values)
    if unread.any():
        parsed = _parse(texts.filter(pl.Series(unread)), unit, decimal, factor)
        read, is_number, positions, currencies = parsed
        values[unread] = read[positions]
        not_a_number[unread] = ~is_number[positions]
    if factor != 1.0:
        values *= factor
    return values, not_a_number, currencies


def _parse(
    texts: pl.Series, unit: str | None, decimal: Decimal, factor: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp], frozenset[str]]:
    """Parse each distinct text once.

    Returns:
        The values, which will be multiplied by `factor`; which of them are valid; each row's position; and
        the currencies that they name.
    """
    distinct, positions = _distinct(texts.to_frame())[texts.name]
    values = np.full(len(distinct), np.nan)
    is_number = np.ones(len(distinct), np.bool_)
    for position, text in enumerate(distinct):
        try:
            value = parse_number(text, decimal, percent=PERCENT.get(unit))
        except NotANumber:
            months = parse_duration(text, decimal) if unit == "months" else None
            if months is None:
                is_number[position] = False
            else:
                values[position] = months / factor
        else:
            values[position] = np.nan if value is None else value
    named = frozenset[str]()
    if unit == "currency":
        named = named_currencies(text for text, is_one in zip(distinct, is_number, strict=True) if is_one)
    return values, is_number, positions, named


def _read_categories(
    distinct: Sequence[str],
    positions: NDArray[np.intp],
    feature: CategoricalFeature,
    unit: str | None,
    meanings: Meanings = NO_MEANINGS,
) -> CategoricalValues:
    codes = {category: code for code, category in enumerate(feature.categories)}
    values: list[str | None] = []
    value_codes = np.empty(len(distinct), np.float32)
    for position, text in enumerate(distinct):
        category = (
            meanings.category(text) or feature.category(text, unit) or category_of_duration(text, feature)
        )
        if category is not None:
            values.append(category)
            value_codes[position] = codes[category]
        elif is_missing(text):
            values.append(None)
            value_codes[position] = np.nan
        else:
            values.append(text.strip())
            value_codes[position] = UNSEEN_CODE
    return CategoricalValues(feature, values, value_codes, positions)


def _gated(own: CategoricalValues, distinct: Sequence[str], positions: NDArray[np.intp]) -> CategoricalValues:
    """Combine a feature's column with its gate, see `ml_models.card.Gate`.

    Args:
        own: the feature as its own column says.
        distinct: the texts of the gate.
        positions: `[rows]`: the position of the row's text in `distinct`.
    """
    feature = own.feature
    if feature.gate is None:
        return own
    gate = _read_categories(distinct, positions, feature, None)
    says_yes = np.array([normalise(text) in feature.gate.yes for text in distinct], np.bool_)
    stands = (gate.text_codes >= 0) & ~says_yes
    contradicts = says_yes[positions] & (own.encoded == feature.categories.index(feature.gate.category))
    nothing = len(own.texts)
    return CategoricalValues(
        feature,
        [*own.texts, None, *gate.texts],
        np.concatenate([own.text_codes, np.array([np.nan], np.float32), gate.text_codes]),
        np.where(stands[positions], nothing + 1 + positions, np.where(contradicts, nothing, own.positions)),
    )


def _with_implied(values: Mapping[str, FeatureValues]) -> dict[str, FeatureValues]:
    """Replace the categories that another feature of the row makes certain, see `ImpliedCategory`."""
    implying: dict[tuple[str, str], NDArray[np.bool_]] = {}
    complete: dict[str, FeatureValues] = {}
    for name, own in values.items():
        complete[name] = own
        if isinstance(own, NumericValues) or own.feature.implied is None:
            continue
        implied = own.feature.implied
        other = values[implied.feature]
        if isinstance(other, NumericValues):
            continue
        key = implied.feature, implied.category
        if key not in implying:
            code = other.feature.categories.index(implied.category)
            implying[key] = np.equal(other.text_codes, code)[other.positions]
        means_other = own.text_codes == own.feature.categories.index(implied.written)
        if implied.missing:
            means_other |= np.isnan(own.text_codes)
        means = own.feature.categories.index(implied.means)
        is_ruled_out = (own.text_codes >= 0) & ~means_other & (own.text_codes != means)
        contradicting = implying[key] & is_ruled_out[own.positions] if is_ruled_out.any() else None
        complete[name] = CategoricalValues(
            own.feature,
            [*own.texts, implied.means],
            np.append(own.text_codes, np.float32(means)),
            np.where(implying[key] & means_other[own.positions], len(own.texts), own.positions),
            contradicting if contradicting is not None and contradicting.any() else None,
        )
    return complete


@dataclass(frozen=True, slots=True)
class OutcomeValues:
    """Which customers of some rows have already left."""

    left: NDArray[np.bool_]
    """Bool `[rows]`; a blank or unknown cell does not say so."""
    present: int
    """Cells that are not blank …"""
    unknown: int
    """… and those of them that mean nothing to the card's outcome."""


def read_outcome(texts: pl.Series, outcome: Outcome) -> OutcomeValues:
    """Read the column that says who has already left; no nulls."""
    distinct, positions = _distinct(texts.to_frame())[texts.name]
    meanings = [outcome.has_left(text) for text in distinct]
    counts = np.bincount(positions, minlength=len(distinct))
    blank = np.array([is_missing(text) for text in distinct], np.bool_)
    unknown = np.array([meaning is None for meaning in meanings], np.bool_) & ~blank
    return OutcomeValues(
        np.array([meaning is True for meaning in meanings], np.bool_)[positions],
        present=int(counts[~blank].sum()),
        unknown=int(counts[unknown].sum()),
    )


def _no_values(feature: Feature, rows: int) -> FeatureValues:
    if isinstance(feature, NumericFeature):
        missing, nothing = np.full(rows, np.nan), np.zeros(rows, np.bool_)
        return NumericValues(feature, missing, missing, nothing, nothing)
    return CategoricalValues(feature, [None], np.array([np.nan], np.float32), np.zeros(rows, np.intp))


def _distinct(texts: pl.DataFrame) -> dict[str, tuple[list[str], NDArray[np.intp]]]:
    """Return the distinct texts of each column, and for each row the position of its own among them."""
    if not texts.width:
        return {}
    distinct = texts.select(pl.all().unique(maintain_order=True).implode()).row(0, named=True)
    positions = texts.select(
        pl.col(name).cast(pl.Enum(values)).to_physical().cast(pl.Int64) for name, values in distinct.items()
    )
    return {name: (values, positions[name].to_numpy()) for name, values in distinct.items()}
