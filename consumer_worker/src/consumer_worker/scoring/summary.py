"""The summary of a scored file, added up chunk by chunk.

Customers who have already left are counted, and are part of nothing else: nobody calls them.
"""

import heapq

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.reasons import Reasons
from ml_models.card import Card
from ml_models.intake.columns import ColumnMapping
from ml_models.intake.disclosure import printable
from ml_models.runtime import Scores
from retainwise_contracts.results import (
    HIGH_FROM,
    HISTOGRAM_BINS,
    MEDIUM_FROM,
    CustomerAtRisk,
    Driver,
    MappedColumn,
    RiskDistribution,
    RiskLevel,
    risk_level,
)

MAX_AT_RISK = 5
_MAX_TEXT_LENGTH = 200
_MAX_UNUSED_LISTED = 100
LEVELS = pl.Series([RiskLevel.LOW.value, RiskLevel.MEDIUM.value, RiskLevel.HIGH.value])


def risk_positions(probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the position of each probability's risk level in `LEVELS`: `[rows]`."""
    return np.searchsorted([MEDIUM_FROM, HIGH_FROM], probability, side="right")


class SummaryTally:
    """The running totals behind the summary of a file."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.rows = 0
        self.already_left = 0
        self._probability = 0.0
        self._levels = np.zeros(len(LEVELS), np.int64)
        self._bins = np.zeros(HISTOGRAM_BINS, np.int64)
        self._effect = np.zeros(len(card.terms))
        self._absolute_effect = np.zeros(len(card.terms))
        self._at_risk: list[CustomerAtRisk] = []

    def add(
        self,
        scores: Scores,
        probability: NDArray[np.float64],
        row_numbers: pl.Series,
        ids: pl.Series,
        reasons: Reasons,
        inputs_known: NDArray[np.float64],
        left: NDArray[np.bool_],
    ) -> None:
        """Add some scored rows. All arrays are `[rows]`; `left` marks the customers who have already left."""
        self.rows += len(probability)
        at = np.arange(len(probability))
        contributions = scores.contributions
        if left.any():
            self.already_left += int(left.sum())
            at = np.flatnonzero(~left)
            contributions, probability = contributions[at], probability[at]
        self._probability += float(probability.sum())
        self._levels += np.bincount(risk_positions(probability), minlength=len(LEVELS))
        bins = np.minimum((probability * HISTOGRAM_BINS).astype(np.intp), HISTOGRAM_BINS - 1)
        self._bins += np.bincount(bins, minlength=HISTOGRAM_BINS)
        self._effect += contributions.sum(axis=0, dtype=np.float64)
        self._absolute_effect += np.abs(contributions).sum(axis=0, dtype=np.float64)
        self._add_at_risk(at, probability, row_numbers, ids, reasons, inputs_known)

    def _add_at_risk(
        self,
        at: NDArray[np.intp],
        probability: NDArray[np.float64],
        row_numbers: pl.Series,
        ids: pl.Series,
        reasons: Reasons,
        inputs_known: NDArray[np.float64],
    ) -> None:
        """Add the rows of highest risk; `at` has the position of each probability's row."""
        count = min(MAX_AT_RISK, len(probability))
        if not count:
            return
        lowest = np.partition(probability, -count)[-count]
        # Of rows with equal probability the first ones, as many as may be needed.
        above = np.flatnonzero(probability > lowest)
        rows = np.concatenate([above, np.flatnonzero(probability == lowest)[:count]])
        customers = [
            CustomerAtRisk(
                row_number=row_numbers[int(at[row])],
                customer_id=printable(ids[int(at[row])], _MAX_TEXT_LENGTH),
                churn_probability=round(float(probability[row]), 6),
                risk_level=risk_level(float(probability[row])),
                inputs_known=round(float(inputs_known[at[row]]), 6),
                reasons=reasons.of_row(int(at[row])),
            )
            for row in rows
        ]
        self._at_risk = heapq.nsmallest(
            MAX_AT_RISK,
            self._at_risk + customers,
            key=lambda customer: (-customer.churn_probability, customer.row_number),
        )

    @property
    def _remaining(self) -> int:
        """Number of customers who have not left; 1 instead of 0, to divide by."""
        return max(self.rows - self.already_left, 1)

    @property
    def mean_probability(self) -> float:
        """The mean probability of those who have not left, 0 if there are none."""
        return round(self._probability / self._remaining, 6)

    @property
    def expected_churners(self) -> float:
        """The sum of the probabilities of those who have not left."""
        return round(self._probability, 3)

    @property
    def risk_distribution(self) -> RiskDistribution:
        """Number of customers who have not left, by risk level."""
        low, medium, high = self._levels.tolist()
        return RiskDistribution(low=low, medium=medium, high=high)

    @property
    def histogram(self) -> tuple[int, ...]:
        """Number of customers who have not left, by probability, in equally wide bins."""
        return tuple(self._bins.tolist())

    @property
    def highest_risk(self) -> tuple[CustomerAtRisk, ...]:
        """The customers most likely to leave, highest probability first; at most `MAX_AT_RISK`."""
        return tuple(self._at_risk)

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """The features by their mean absolute effect over the whole file (log-odds), largest first."""
        rows = self._remaining
        drivers = [
            Driver(
                feature=term.feature,
                label=self._card.feature(term.feature).label,
                mean_absolute_effect=round(float(absolute) / rows, 6),
                mean_effect=round(float(effect) / rows, 6) + 0.0,  # no -0.0
            )
            for term, absolute, effect in zip(
                self._card.terms, self._absolute_effect, self._effect, strict=True
            )
        ]
        return tuple(sorted(drivers, key=lambda driver: -driver.mean_absolute_effect))


def unused_columns(mapping: ColumnMapping) -> tuple[str, ...]:
    """Return the headers that were not used: the first ones, and how many more there are."""
    listed = tuple(printable(header, _MAX_TEXT_LENGTH) for header in mapping.unused[:_MAX_UNUSED_LISTED])
    more = len(mapping.unused) - len(listed)
    return (*listed, f"… and {more} more") if more else listed


def mapped_columns(mapping: ColumnMapping) -> tuple[MappedColumn, ...]:
    """Return the mapping in the form of the contracts."""
    return tuple(
        MappedColumn(
            feature=column.feature,
            header=printable(column.header, _MAX_TEXT_LENGTH),
            method=column.method,
            confidence=column.confidence,
            conversion=column.conversion,
        )
        for column in (*mapping.columns, mapping.outcome, mapping.customer_value)
        if column is not None
    )
