"""The data quality report: how far the scores of a file can be trusted.

The scored rows are tallied chunk by chunk; at the end the tallies become rates, a grade and sentences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumer_worker.scoring.values import CategoricalValues, FeatureValues, NumericValues
from ml_models.card import UNSEEN_CODE, Card, CategoricalFeature, NumericFeature
from ml_models.intake.columns import ColumnMapping
from ml_models.intake.disclosure import mask_if_personal, printable
from retainwise_contracts.results import DataQuality, FeatureQuality, QualityGrade

PSI_LARGE = 0.25
"""A PSI above this is customarily called a large shift (Siddiqi, Credit Risk Scorecards, 2006)."""

PSI_MIN_VALUES = 100
"""With fewer values the index is mostly noise: without a shift its expected value is about bins / values."""

_PSI_FLOOR = 1e-4
"""Replaces a share of 0, whose logarithm would be infinite."""

GOOD_LOSS = 0.05
FAIR_LOSS = 0.25
"""Largest share of the model's weight on values unlike its training data, for grades good and fair."""

GOOD_REJECTED = 0.05
FAIR_REJECTED = 0.20
"""Largest share of rejected rows, for grades good and fair."""

MAX_UNKNOWN = 0.5
"""Largest share of the rows that may lack a required feature. Beyond it, most scores are made without the
feature and the grade is poor."""

NOTEWORTHY = 0.01
"""A rate that exceeds the training data's by no more than this gets no sentence."""

_MAX_UNSEEN_COUNTED = 1_000
"""Distinct values per feature that are counted; further ones are ignored, to bound the memory."""

# Categories repeat, or are few among known ones. A column whose unseen values are many, or mostly unique, has
# something else in it, perhaps names: then the report repeats none of them.
_MAX_UNSEEN_CATEGORIES = 20
_MAX_UNSEEN_AMONG_KNOWN = 3
_MIN_OCCURRENCES = 2

_MAX_UNSEEN_NAMED = 5
_MAX_VALUE_LENGTH = 40
"""Characters."""


DAMAGED_ID = r"^(?:\d(?:[.,]\d+)?[eE]\+\d{1,2}|#{3,})$"
"""A long number as a spreadsheet shows it in a narrow column: a regular expression for Polars."""


def index(bins: NDArray[np.int64], feature: NumericFeature | CategoricalFeature) -> float | None:
    """Return the population stability index (PSI) of a feature's present values, counted by bin.

    sum((p - q) * ln(p / q)) over the bins, where p and q are the shares here and in the training data
    (Siddiqi 2006), each at least `_PSI_FLOOR`. None if there are fewer than `PSI_MIN_VALUES` values.
    """
    present = int(bins.sum())
    if present < PSI_MIN_VALUES:
        return None
    expected = np.maximum(np.asarray(feature.statistics.shares), _PSI_FLOOR)
    actual = np.maximum(bins / present, _PSI_FLOOR)
    return round(float(((actual - expected) * np.log(actual / expected)).sum()), 6)


def inputs_known(values: Mapping[str, FeatureValues], card: Card) -> NDArray[np.float64]:
    """Return for each row the share of the model's weight that rests on known values: float64 `[rows]`.

    A term's weight is its importance. It counts where its value is present, known to the model and within
    the range of the training data; a value that another one makes certain is known.
    """
    known = {name: of_rows.known for name, of_rows in values.items()}
    lost = np.zeros(len(next(iter(known.values()))))
    for term in card.terms:
        of_term = known[term.feature]
        if not of_term.all():
            lost[~of_term] += term.importance
    weight = sum(term.importance for term in card.terms) or 1.0
    return 1.0 - np.minimum(lost / weight, 1.0)


_AS_AVERAGE = "They are scored as average in this respect, and their inputs_known is lower."


@dataclass(slots=True)
class FeatureTally:
    """Counts of one feature over the scored rows."""

    feature: NumericFeature | CategoricalFeature
    rows: int = 0
    missing: int = 0
    unseen: int = 0
    contradicting: int = 0
    """Ruled out by another feature of the customer."""
    unusable: int = 0
    """Not a number, or an impossible one; scored as missing."""
    impossible: int = 0
    beyond: int = 0
    """Possible, but outside the range of the training data."""
    bins: NDArray[np.int64] = field(init=False)
    """Present values by bin, with the bins of the card's statistics."""
    unseen_values: Counter[str] = field(default_factory=Counter)
    currencies: set[str] = field(default_factory=set)
    """The currencies that the values name."""

    def __post_init__(self) -> None:
        self.bins = np.zeros(len(self.feature.statistics.shares), np.int64)

    def add(self, values: FeatureValues) -> None:
        """Add the values of some rows."""
        if isinstance(values, NumericValues):
            self._add_numbers(values)
        else:
            self._add_categories(values)

    def _add_numbers(self, values: NumericValues) -> None:
        statistics = values.feature.statistics
        missing = values.missing
        present = values.values[~missing]
        self.rows += len(missing)
        self.missing += len(missing) - len(present)
        beyond = (present < statistics.min) | (present > statistics.max)
        self.beyond += int(beyond.sum())
        self.impossible += int(values.out_of_range.sum())
        self.unusable += int(values.not_a_number.sum() + values.out_of_range.sum())
        self.currencies |= values.currencies
        positions = np.searchsorted(statistics.edges, present, side="right")
        self.bins += np.bincount(positions, minlength=len(self.bins))

    def _add_categories(self, values: CategoricalValues) -> None:
        counts = np.bincount(values.positions, minlength=len(values.texts))
        if values.contradicting is not None:
            self.contradicting += int(values.contradicting.sum())
        known = values.text_codes >= 0
        self.rows += len(values.positions)
        self.missing += int(counts[np.isnan(values.text_codes)].sum())
        for code, count in zip(values.text_codes[known], counts[known], strict=True):
            self.bins[int(code)] += count
        for position in np.flatnonzero(values.text_codes == UNSEEN_CODE):
            text, count = values.texts[position] or "", int(counts[position])
            self.unseen += count
            if count and (text in self.unseen_values or len(self.unseen_values) < _MAX_UNSEEN_COUNTED):
                self.unseen_values[text] += count

    def with_rows_of(self, other: "FeatureTally") -> "FeatureTally":
        """Return the tally of these rows and of those of another tally of the same feature."""
        both = FeatureTally(
            self.feature,
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            unseen=self.unseen + other.unseen,
            contradicting=self.contradicting + other.contradicting,
            unusable=self.unusable + other.unusable,
            impossible=self.impossible + other.impossible,
            beyond=self.beyond + other.beyond,
            unseen_values=self.unseen_values + other.unseen_values,
            currencies=self.currencies | other.currencies,
        )
        both.bins = self.bins + other.bins
        return both

    @property
    def blank(self) -> int:
        """How many cells are blank, or a word for missing."""
        return self.missing - self.unusable

    def rate(self, count: int) -> float:
        """Return a count as a share of the rows."""
        return round(count / self.rows, 6) if self.rows else 0.0

    @property
    def psi(self) -> float | None:
        """The population stability index against the training data, see `index`; None with too few values."""
        return index(self.bins, self.feature)

    @property
    def loss(self) -> float:
        """The share of rows, from 0 to 1, whose value is missing, never seen or beyond the trained range.

        Missing values count only as far as they exceed the training data's share.
        """
        missing = max(0.0, self.rate(self.missing) - self.feature.statistics.missing_rate)
        strange = self.unseen + self.beyond + self.contradicting
        return min(1.0, missing + self.rate(strange))

    @property
    def unknown(self) -> float:
        """The share of rows whose value is missing or never seen."""
        return self.rate(self.missing + self.unseen)

    @property
    def mixes_currencies(self) -> bool:
        """Whether the amounts are in several currencies, although they are scored as if in one."""
        return len(self.currencies) > 1

    @property
    def undermines_scores(self) -> bool:
        """Whether the feature is required and most rows have no value the model knows."""
        return self.feature.required and self.unknown > MAX_UNKNOWN

    def quality(self) -> FeatureQuality:
        """Return the figures for the report."""
        return FeatureQuality(
            feature=self.feature.name,
            missing_rate=self.rate(self.missing),
            unseen_rate=self.rate(self.unseen),
            out_of_range_rate=self.rate(self.beyond + self.impossible),
            psi=self.psi,
        )


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the report says about the file besides its features."""

    total_rows: int
    rejected_rows: int
    rejected_by: Mapping[str, int]
    """Number of rejected rows by reason, in words."""
    blank_rows: int
    short_rows: int
    """Rows that end before the last column and were scored all the same."""
    duplicate_ids: int
    duplicate_rows: int
    encoding: str
    unreadable_characters: int
    garbled_ids: int = 0
    damaged_ids: int = 0
    """IDs that a spreadsheet has shortened beyond recognition, see `DAMAGED_ID`."""
    already_left: int = 0
    outcome_unknown: int = 0
    """Scored rows whose outcome is neither blank nor known."""
    ignored_outcome: str | None = None
    """The header of a column that looked like the outcome, but whose values mean something else."""


def tallies_for(card: Card) -> dict[str, FeatureTally]:
    """Return an empty tally for each feature of a model."""
    return {feature.name: FeatureTally(feature) for feature in card.features}


def report_quality(
    tallies: Mapping[str, FeatureTally], facts: FileFacts, mapping: ColumnMapping, card: Card
) -> DataQuality:
    """Write the data quality report of a file.

    Args:
        tallies: by feature name, over all scored rows.
        facts: about the rows of the file.
        mapping: which column is which feature.
        card: the card of the model that scored.
    """
    mapped = [tally for name, tally in tallies.items() if name in mapping.features]
    sentences = [
        *_describe_rows(facts),
        *_describe_leavers(facts, mapping, card),
        *_describe_columns(mapping, card),
        *(sentence for tally in mapped for sentence in _describe_feature(tally)),
        *_describe_known_words(mapped),
        *_describe_contradictions(mapped, card),
        *_describe_missing([tally for tally in mapped if not tally.feature.required]),
        *_describe_shifts(mapped),
    ]
    return DataQuality(
        grade=_grade(tallies, facts, card),
        sentences=tuple(sentences),
        features=tuple(tally.quality() for tally in tallies.values()),
    )


def _grade(tallies: Mapping[str, FeatureTally], facts: FileFacts, card: Card) -> QualityGrade:
    """Grade by missing required features, weight on unusual values, rejected rows, PSI and garbled ids."""
    if any(tally.undermines_scores for tally in tallies.values()):
        return QualityGrade.POOR
    weights = {term.feature: term.importance for term in card.terms}
    weight = sum(weights.values()) or 1.0
    loss = sum(weights.get(name, 0.0) * tally.loss for name, tally in tallies.items()) / weight
    rejected = facts.rejected_rows / max(facts.total_rows, 1)
    if loss > FAIR_LOSS or rejected > FAIR_REJECTED:
        return QualityGrade.POOR
    shifted = any((tally.psi or 0.0) > PSI_LARGE or tally.mixes_currencies for tally in tallies.values())
    if loss > GOOD_LOSS or rejected > GOOD_REJECTED or shifted or facts.garbled_ids or facts.damaged_ids:
        return QualityGrade.FAIR
    return QualityGrade.GOOD


def _describe_rows(facts: FileFacts) -> Sequence[str]:
    sentences = []
    if facts.rejected_rows:
        share = facts.rejected_rows / facts.total_rows
        why = "; ".join(f"{reason}: {count:,}" for reason, count in facts.rejected_by.items())
        sentences.append(
            f"{facts.rejected_rows:,} of {facts.total_rows:,} rows ({share:.1%}) "
            f"{'was' if facts.rejected_rows == 1 else 'were'} not scored ({why}). "
            "Fix or remove them in rejected.csv and upload it again."
        )
    if facts.duplicate_ids:
        sentences.append(
            f"Customer IDs that occur more than once: {facts.duplicate_ids:,}, "
            f"in {facts.duplicate_rows:,} rows. Each row was scored separately."
        )
    if facts.short_rows:
        sentences.append(
            f"Rows that end before the last column: {facts.short_rows:,}. "
            "Their missing cells count as missing values."
        )
    if facts.encoding == "windows-1252":
        sentences.append("The file is not UTF-8. It was read as Windows-1252.")
    if facts.unreadable_characters:
        sentences.append(
            f"Characters that could not be read: {facts.unreadable_characters:,}. "
            "They are shown as \N{REPLACEMENT CHARACTER}."
        )
    if facts.garbled_ids:
        verb = "ID looks" if facts.garbled_ids == 1 else "IDs look"
        sentences.append(
            f"{facts.garbled_ids:,} customer {verb} garbled, as if read in another encoding. "
            "Export the file as UTF-8 if they are not right."
        )
    if facts.damaged_ids:
        verb = "ID does" if facts.damaged_ids == 1 else "IDs do"
        sentences.append(
            f"{facts.damaged_ids:,} customer {verb} not say which customer it is: a spreadsheet wrote "
            "1.23E+11 or #### instead. Format the column as text, or as a number without decimals, and "
            "export it again."
        )
    if facts.blank_rows:
        sentences.append(f"Blank rows skipped: {facts.blank_rows:,}.")
    return sentences


def _describe_leavers(facts: FileFacts, mapping: ColumnMapping, card: Card) -> Sequence[str]:
    sentences = []
    header = printable(mapping.outcome.header, _MAX_VALUE_LENGTH) if mapping.outcome else ""
    if facts.already_left:
        verb = "customer has" if facts.already_left == 1 else "customers have"
        sentences.append(
            f"{facts.already_left:,} {verb} already left, as “{header}” says. Such rows are scored and "
            "marked already_left; the summary and the list of whom to call leave them out."
        )
    if mapping.outcome and facts.outcome_unknown:
        sentences.append(
            f"“{header}” does not say in {facts.outcome_unknown:,} rows whether the customer left; "
            "they count as customers."
        )
    if facts.ignored_outcome is not None:
        sentences.append(
            f"Column “{printable(facts.ignored_outcome, _MAX_VALUE_LENGTH)}” was not used to find customers "
            "who left: most of its values do not say whether they did. Write Yes or No there."
        )
    if card.outcome is not None and mapping.outcome_hints:
        named = ", ".join(f"“{printable(header, _MAX_VALUE_LENGTH)}”" for header in mapping.outcome_hints)
        sentences.append(
            f"Who has already left is not read from {named}: if such customers are in the file, they count "
            f"as customers. Add a column {card.outcome.name} with Yes for those who left, or remove their "
            "rows."
        )
    return sentences


def _describe_columns(mapping: ColumnMapping, card: Card) -> Sequence[str]:
    sentences = list(mapping.conflicts)
    absent = [feature.label for feature in card.features if feature.name not in mapping.features]
    if absent:
        implied = any(
            feature.kind == "categorical" and feature.implied is not None
            for feature in card.features
            if feature.name not in mapping.features
        )
        unless = ", unless another column makes them certain" if implied else " for every customer"
        sentences.append(
            f"The file has no column for {', '.join(absent)}. These values count as missing{unless}."
        )
    for column in mapping.columns:
        if column.method == "fuzzy":
            sentences.append(
                f"Column “{column.header}” was read as {column.feature} because the names are similar. "
                "Check that this is right."
            )
        if column.conversion:
            sentences.append(f"Column “{column.header}” was converted from {column.conversion}.")
    return sentences


def _describe_feature(tally: FeatureTally) -> Sequence[str]:
    label = tally.feature.label
    if tally.undermines_scores:
        named = named_unseen_values(tally)
        examples = f" ({', '.join(named)})" if named else ""
        return [
            f"{label} is missing or unknown to the model{examples} in {tally.unknown:.1%} of the rows. "
            "Without it the scores are not reliable."
        ]
    sentences = []
    if tally.feature.required and tally.missing:
        sentences.append(
            f"{label} is missing for {tally.missing:,} of {tally.rows:,} customers "
            f"({tally.rate(tally.missing):.1%}). {_AS_AVERAGE}"
        )
    if tally.unusable:
        sentences.append(
            f"{label} is not a number, or an impossible one, in "
            f"{tally.rate(tally.unusable):.1%} of the rows. "
            "These values count as missing; write plain numbers there."
        )
    if tally.mixes_currencies:
        sentences.append(
            f"{label} has amounts in several currencies ({', '.join(sorted(tally.currencies))}), which are "
            "scored as if they were in one. Convert them to one currency."
        )
    if tally.unseen:
        average = f" {_AS_AVERAGE}" if tally.feature.required else ""
        sentences.append(f"{_describe_unseen_values(tally)}{average}")
    beyond = tally.rate(tally.beyond)
    if isinstance(tally.feature, NumericFeature) and beyond > NOTEWORTHY:
        known = tally.feature.statistics
        sentences.append(
            f"{label} is outside the range of the training data ({known.min:g} to {known.max:g}) "
            f"in {beyond:.1%} of the rows."
        )
    return sentences


def _describe_contradictions(tallies: Sequence[FeatureTally], card: Card) -> Sequence[str]:
    """Say which columns rule each other out, in one sentence for all that contradict the same one."""
    labels: dict[tuple[str, str], list[str]] = {}
    for tally in tallies:
        if isinstance(tally.feature, CategoricalFeature) and tally.feature.implied and tally.contradicting:
            implied = tally.feature.implied
            known = labels.setdefault((implied.feature, implied.category), [])
            known.append(f"{tally.feature.label} ({tally.contradicting:,} rows)")
    return [
        f"Some customers whose {card.feature(name).label} is “{category}” have a value that this rules out: "
        f"{', '.join(of_feature)}. Correct one of the columns; until then their inputs_known is lower."
        for (name, category), of_feature in labels.items()
    ]


def _describe_known_words(tallies: Sequence[FeatureTally]) -> Sequence[str]:
    """Say once which words the model knows, for the columns where most values are none of them."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for tally in tallies:
        if isinstance(tally.feature, CategoricalFeature) and 2 * tally.unseen > tally.rows - tally.missing:
            labels.setdefault(tally.feature.categories, []).append(tally.feature.label)
    return [
        f"For {', '.join(of_words)} the model knows these words: {', '.join(words)}. Replace yours by them."
        for words, of_words in labels.items()
    ]


def _describe_missing(tallies: Sequence[FeatureTally]) -> Sequence[str]:
    """Say which values are missing more often than in the training data, all in one sentence."""
    noteworthy = [
        (tally.feature.label, rate, tally.feature.statistics.missing_rate)
        for tally in tallies
        if (rate := tally.rate(tally.blank)) > tally.feature.statistics.missing_rate + NOTEWORTHY
    ]
    if not noteworthy:
        return ()
    if len(noteworthy) == 1:
        [(label, rate, trained)] = noteworthy
        return (f"{label} is missing in {rate:.1%} of the rows (training data: {trained:.1%}).",)
    listed = ", ".join(f"{label} in {rate:.1%}" for label, rate, _ in noteworthy)
    return (f"Values are missing more often than in the training data: {listed} of the rows.",)


def _describe_shifts(tallies: Sequence[FeatureTally]) -> Sequence[str]:
    """Say which features are distributed unlike the training data, all in one sentence."""
    shifted = [
        f"{tally.feature.label} (PSI {psi:.2f})"
        for tally in tallies
        if (psi := tally.psi or 0.0) > PSI_LARGE and not tally.undermines_scores
    ]
    if not shifted:
        return ()
    verb = "is" if len(shifted) == 1 else "are"
    return (
        f"{', '.join(shifted)} {verb} distributed differently from the training data, so the scores may be "
        "less accurate. PSI, the population stability index, measures how far two distributions differ: 0 is "
        f"not at all, above {PSI_LARGE} is a large shift.",
    )


def _describe_unseen_values(tally: FeatureTally) -> str:
    distinct = len(tally.unseen_values)
    at_least = "at least " if distinct == _MAX_UNSEEN_COUNTED else ""
    noun = "a value" if distinct == 1 else f"{at_least}{distinct:,} values"
    unseen = (
        f"{tally.feature.label} has {noun} the model has never seen, "
        f"in {tally.rate(tally.unseen):.1%} of the rows"
    )
    named = named_unseen_values(tally)
    if not named:
        return f"{unseen}. Check that this is the right column."
    more = f" and {distinct - len(named)} more" if distinct > len(named) else ""
    return f"{unseen}: {', '.join(named)}{more}."


def named_unseen_values(tally: FeatureTally) -> Sequence[str]:
    """Return the most frequent unseen values, if they may be named in the report."""
    distinct = len(tally.unseen_values)
    among_known = distinct <= _MAX_UNSEEN_AMONG_KNOWN and 2 * tally.unseen <= tally.rows - tally.missing
    if distinct > min(_MAX_UNSEEN_CATEGORIES, tally.unseen // _MIN_OCCURRENCES) and not among_known:
        return ()
    # Equally frequent ones are sorted by name, so that the sentence is always the same.
    ranked = sorted(tally.unseen_values.items(), key=lambda item: (-item[1], item[0]))
    return [
        f"“{mask_if_personal(value, _MAX_VALUE_LENGTH)}”"
        for value, count in ranked[:_MAX_UNSEEN_NAMED]
        if count >= _MIN_OCCURRENCES or among_known
    ]
