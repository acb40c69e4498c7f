"""How far the scores of a file can be trusted, given the data it came from.

Tallies are added up chunk by chunk, of the scored rows; at the end they become rates, a grade and sentences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumer_worker.scoring.disclosure import tellable
from consumer_worker.scoring.values import CategoricalValues, FeatureValues, NumericValues
from ml_models.card import UNSEEN_CODE, Card, CategoricalFeature, NumericFeature
from ml_models.intake.columns import ColumnMapping
from retainwise_contracts.results import DataQuality, FeatureQuality, QualityGrade

PSI_LARGE = 0.25
"""Above it a shift is customarily called large (Siddiqi, Credit Risk Scorecards, 2006)."""

PSI_FEWEST_ROWS = 100
"""With fewer rows the index measures chance: its expectation without any shift is about bins / rows."""

_PSI_FLOOR = 1e-4
"""Stands for a share of 0, whose logarithm would be infinite."""

GOOD_LOSS = 0.05
FAIR_LOSS = 0.25
"""Up to which share of the model's weight may rest on values that are not what it was trained on."""

GOOD_REJECTED = 0.05
FAIR_REJECTED = 0.20
"""Up to which share of the rows may be rejected."""

MOST_UNKNOWN = 0.5
"""Up to which share of the rows may lack a required feature: with more, most scores are made without it."""

NOTEWORTHY = 0.01
"""A rate that differs by less from the training data's is not worth a sentence."""

_MOST_UNSEEN_KEPT = 1_000
_MOST_UNSEEN_CATEGORIES = 20
_FEW_UNSEEN = 3
_FEWEST_TIMES = 2
"""Categories come again, or are few among known ones. A column whose unknown values are many, or most of it
and each its own, holds something else, perhaps names: none of them is repeated in the report."""
_MOST_UNSEEN_TOLD = 5
_LONGEST_VALUE_TOLD = 40


@dataclass(slots=True)
class FeatureTally:
    """What was seen of one feature."""

    feature: NumericFeature | CategoricalFeature
    rows: int = 0
    missing: int = 0
    unseen: int = 0
    unusable: int = 0
    """No number, or an impossible one. These are scored as missing."""
    impossible: int = 0
    beyond: int = 0
    """Possible, and outside of all that the training data holds."""
    bins: NDArray[np.int64] = field(init=False)
    """Present values by bin, as in the card's statistics."""
    unseen_values: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.bins = np.zeros(len(self.feature.statistics.shares), np.int64)

    def add(self, values: FeatureValues) -> None:
        """Add some rows' values."""
        codes = values.codes
        self.rows += len(codes)
        self.missing += int(np.isnan(codes).sum())
        if isinstance(values, NumericValues):
            self._add_numbers(values)
        else:
            self._add_categories(values, codes)

    def _add_numbers(self, values: NumericValues) -> None:
        statistics = values.feature.statistics
        present = values.values[~values.missing]
        beyond = (present < statistics.min) | (present > statistics.max)
        self.beyond += int(beyond.sum())
        self.impossible += int(values.out_of_range.sum())
        self.unusable += int(values.not_a_number.sum() + values.out_of_range.sum())
        positions = np.searchsorted(statistics.edges, present, side="right")
        self.bins += np.bincount(positions, minlength=len(self.bins))

    def _add_categories(self, values: CategoricalValues, codes: NDArray[np.float32]) -> None:
        known = codes[codes >= 0].astype(np.intp)
        self.bins += np.bincount(known, minlength=len(self.bins))
        unseen = np.flatnonzero(codes == UNSEEN_CODE)
        self.unseen += len(unseen)
        if len(unseen):
            texts, positions = values.distinct(unseen)
            for text, count in zip(texts, np.bincount(positions), strict=True):
                if text in self.unseen_values or len(self.unseen_values) < _MOST_UNSEEN_KEPT:
                    self.unseen_values[text or ""] += int(count)

    def rate(self, count: int) -> float:
        """Return a count as a share of the rows."""
        return round(count / self.rows, 6) if self.rows else 0.0

    @property
    def psi(self) -> float | None:
        """The population stability index against the training data; None with too few values to tell."""
        present = int(self.bins.sum())
        if present < PSI_FEWEST_ROWS:
            return None
        expected = np.maximum(np.asarray(self.feature.statistics.shares), _PSI_FLOOR)
        actual = np.maximum(self.bins / present, _PSI_FLOOR)
        return round(float(((actual - expected) * np.log(actual / expected)).sum()), 6)

    @property
    def loss(self) -> float:
        """The share of rows whose value is not what the model was trained on, from 0 to 1."""
        missing = max(0.0, self.rate(self.missing) - self.feature.statistics.missing_rate)
        return min(1.0, missing + self.rate(self.unseen) + self.rate(self.beyond))

    @property
    def unknown(self) -> float:
        """The share of rows without a value the model knows."""
        return self.rate(self.missing + self.unseen)

    @property
    def undermines_scores(self) -> bool:
        """Whether most rows lack what no score is honest without."""
        return self.feature.required and self.unknown > MOST_UNKNOWN

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
    """What is worth telling of the file beside its features."""

    total_rows: int
    rejected_rows: int
    rejected_by: Mapping[str, int]
    """Rejected rows by what was wrong, in words."""
    blank_rows: int
    short_rows: int
    """Scored although they end before the last column."""
    duplicate_ids: int
    duplicate_rows: int
    encoding: str
    unreadable_characters: int


def tallies_for(card: Card) -> dict[str, FeatureTally]:
    """Return an empty tally for each feature of a model."""
    return {feature.name: FeatureTally(feature) for feature in card.features}


def report_quality(
    tallies: Mapping[str, FeatureTally], facts: FileFacts, mapping: ColumnMapping, card: Card
) -> DataQuality:
    """Write the data quality report of a file."""
    sentences = [*_of_the_rows(facts), *_of_the_columns(mapping, card)]
    for name, tally in tallies.items():
        if name in mapping.features:
            sentences += _of_a_feature(tally)
    return DataQuality(
        grade=_grade(tallies, facts, card),
        sentences=tuple(sentences),
        features=tuple(tally.quality() for tally in tallies.values()),
    )


def _grade(tallies: Mapping[str, FeatureTally], facts: FileFacts, card: Card) -> QualityGrade:
    """Grade by what most rows lack, the share of the model's weight on good values, and the rejected rows."""
    if any(tally.undermines_scores for tally in tallies.values()):
        return QualityGrade.POOR
    weights = {term.features[0]: term.importance for term in card.terms}
    weight = sum(weights.values()) or 1.0
    loss = sum(weights.get(name, 0.0) * tally.loss for name, tally in tallies.items()) / weight
    rejected = facts.rejected_rows / max(facts.total_rows, 1)
    if loss > FAIR_LOSS or rejected > FAIR_REJECTED:
        return QualityGrade.POOR
    shifted = any((tally.psi or 0.0) > PSI_LARGE for tally in tallies.values())
    if loss > GOOD_LOSS or rejected > GOOD_REJECTED or shifted:
        return QualityGrade.FAIR
    return QualityGrade.GOOD


def _of_the_rows(facts: FileFacts) -> Sequence[str]:
    sentences = []
    if facts.rejected_rows:
        share = facts.rejected_rows / facts.total_rows
        why = "; ".join(f"{reason}: {count:,}" for reason, count in facts.rejected_by.items())
        sentences.append(
            f"{facts.rejected_rows:,} of {facts.total_rows:,} rows ({share:.1%}) were not scored ({why}). "
            "rejected.csv holds them, to mend and send again."
        )
    if facts.duplicate_ids:
        sentences.append(
            f"Customer ids that occur more than once: {facts.duplicate_ids:,}, "
            f"in {facts.duplicate_rows:,} rows; each row was scored by itself."
        )
    if facts.short_rows:
        sentences.append(
            f"Rows that end before the last column: {facts.short_rows:,}; what they lack counts as missing."
        )
    if facts.encoding == "windows-1252":
        sentences.append("The file is not UTF-8; it was read as Windows-1252.")
    if facts.unreadable_characters:
        sentences.append(
            f"Characters that could not be read: {facts.unreadable_characters:,}; "
            "they stand as \N{REPLACEMENT CHARACTER}."
        )
    if facts.blank_rows:
        sentences.append(f"Blank rows passed over: {facts.blank_rows:,}; they have no row number.")
    return sentences


def _of_the_columns(mapping: ColumnMapping, card: Card) -> Sequence[str]:
    sentences = list(mapping.conflicts)
    absent = [feature.label for feature in card.features if feature.name not in mapping.features]
    if absent:
        sentences.append(
            f"The file has no column for {', '.join(absent)}: missing for every customer, never guessed."
        )
    for column in mapping.columns:
        if column.method == "fuzzy":
            sentences.append(
                f"Column “{column.header}” was taken for {column.feature} because their names are alike. "
                "Check that it is."
            )
        if column.conversion:
            sentences.append(f"Column “{column.header}” was converted from {column.conversion}.")
    return sentences


def _of_a_feature(tally: FeatureTally) -> Sequence[str]:
    label = tally.feature.label
    if tally.undermines_scores:
        told = _told_values(tally)
        such_as = f" ({', '.join(told)})" if told else ""
        return [
            f"{label} is missing or unknown to the model{such_as} in {tally.unknown:.1%} of the rows, "
            "and without it the scores say little."
        ]
    statistics = tally.feature.statistics
    sentences = []
    missing = tally.rate(tally.missing)
    if missing > statistics.missing_rate + NOTEWORTHY:
        sentences.append(
            f"{label} is missing in {missing:.1%} of the rows "
            f"(in the training data in {statistics.missing_rate:.1%})."
        )
    if tally.unusable:
        sentences.append(
            f"Rows whose {label} is no number or an impossible one: {tally.unusable:,}; "
            "it counts as missing there."
        )
    if tally.unseen:
        sentences.append(_of_unseen_values(tally))
    beyond = tally.rate(tally.beyond)
    if isinstance(tally.feature, NumericFeature) and beyond > NOTEWORTHY:
        known = tally.feature.statistics
        sentences.append(
            f"{label} lies outside of {known.min:g} to {known.max:g}, all the model has seen, "
            f"in {beyond:.1%} of the rows."
        )
    if (tally.psi or 0.0) > PSI_LARGE:
        sentences.append(
            f"{label} is spread otherwise than in the training data (PSI {tally.psi:.2f}, large from "
            f"{PSI_LARGE}): the scores may be less exact."
        )
    return sentences


def _of_unseen_values(tally: FeatureTally) -> str:
    different = len(tally.unseen_values)
    at_least = "at least " if different == _MOST_UNSEEN_KEPT else ""
    noun = "a value" if different == 1 else f"{at_least}{different:,} values"
    holds = (
        f"{tally.feature.label} holds {noun} the model has never seen, "
        f"in {tally.rate(tally.unseen):.1%} of the rows"
    )
    told = _told_values(tally)
    if not told:
        return f"{holds}. Check that it is the right column."
    more = f" and {different - len(told)} more" if different > len(told) else ""
    return f"{holds}: {', '.join(told)}{more}."


def _told_values(tally: FeatureTally) -> Sequence[str]:
    """Return the values never seen that may be told, the most frequent of them."""
    different = len(tally.unseen_values)
    among_known = different <= _FEW_UNSEEN and 2 * tally.unseen <= tally.rows - tally.missing
    if different > min(_MOST_UNSEEN_CATEGORIES, tally.unseen // _FEWEST_TIMES) and not among_known:
        return ()
    # Of equally frequent ones by name, so that the sentence is always the same.
    ranked = sorted(tally.unseen_values.items(), key=lambda item: (-item[1], item[0]))
    return [
        f"“{tellable(value, _LONGEST_VALUE_TOLD)}”"
        for value, count in ranked[:_MOST_UNSEEN_TOLD]
        if count >= _FEWEST_TIMES or among_known
    ]
