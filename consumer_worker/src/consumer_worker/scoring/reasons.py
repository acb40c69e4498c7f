"""Why a customer has their score: the features with the largest effects, as numbers and as text.

A required value that is missing or unknown has no effect, so it would never be a reason. It takes the place
of the weakest reasons: the customer is not shown as average without saying so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.values import FeatureValues
from ml_models.card import LOWERS, RAISES, Card
from ml_models.intake.disclosure import printable
from ml_models.sentences import average_sentence
from retainwise_contracts.results import Reason

_MAX_TEXT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of some rows, the largest effect first. All arrays are `[reasons, rows]`."""

    features: Sequence[str]
    """Name of the feature of each term."""
    terms: NDArray[np.intp]
    effects: NDArray[np.float32]
    """In log-odds; 0 where the customer has no reason of this rank, or a required value is unknown."""
    is_reason: NDArray[np.bool_]
    """Whether the customer has a reason of this rank."""
    words: NDArray[np.intp]
    """Position of the reason in `values` and `texts`."""
    values: Sequence[str | None]
    texts: Sequence[str]

    def columns(self) -> Mapping[str, pl.Series]:
        """Return the reasons as columns of the result files."""
        features = pl.Series(self.features, dtype=pl.String)
        values = pl.Series(self.values, dtype=pl.String)
        texts = pl.Series(self.texts, dtype=pl.String)
        columns: dict[str, pl.Series] = {}
        for rank in range(len(self.terms)):
            effects = self.effects[rank]
            is_reason = pl.Series(self.is_reason[rank])
            name = f"reason_{rank + 1}"
            words = self.words[rank]
            every = {
                name: features[self.terms[rank]],
                f"{name}_effect": pl.Series(effects.astype(np.float64)),
                f"{name}_value": values[words],
                f"{name}_text": texts[words],
            }
            if not is_reason.all():
                every = {column: series.set(~is_reason, None) for column, series in every.items()}
            columns |= every
        return columns

    def of_row(self, row: int) -> tuple[Reason, ...]:
        """Return the reasons of one row, in printable form for the summary."""
        return tuple(
            Reason(
                feature=self.features[self.terms[rank, row]],
                effect=round(float(self.effects[rank, row]), 6),
                value=_shown(self.values[self.words[rank, row]]),
                text=printable(self.texts[self.words[rank, row]], _MAX_TEXT_LENGTH),
            )
            for rank in range(len(self.terms))
            if self.is_reason[rank, row]
        )


def find_reasons(
    contributions: NDArray[np.float32], values: Mapping[str, FeatureValues], card: Card, count: int
) -> Reasons:
    """Find the `count` largest effects of each row, with the card's wording.

    Args:
        contributions: float32 `[rows, terms]`, in log-odds.
        values: the features of the rows, by name.
        card: the card of the model that scored.
        count: reasons per row; fewer where the model has fewer terms.
    """
    count = min(count, len(card.terms))
    rows = np.arange(len(contributions))
    terms = np.empty((count, len(rows)), np.intp)
    left = np.abs(contributions)
    unknown = {
        position: unknown_rows
        for position, term in enumerate(card.terms)
        if (of_term := values[term.feature]).feature.required and (unknown_rows := of_term.unknown).any()
    }
    for position, unknown_rows in unknown.items():
        left[unknown_rows, position] = -1.0
    for rank in range(count):
        terms[rank] = left.argmax(axis=1)  # the first of equal ones, so that the order is always the same
        left[rows, terms[rank]] = -1.0
    _put_last(terms, unknown)
    effects = contributions[rows, terms]
    is_reason = effects != 0
    words = np.zeros_like(terms)
    texts: list[str] = []
    read_as: list[str | None] = []
    for position, term in enumerate(card.terms):
        of_term = values[term.feature]
        ranks, used = np.nonzero(terms == position)
        if not len(used):
            continue
        distinct, own = of_term.distinct(used)
        words[ranks, used] = len(texts) + 2 * own + (effects[ranks, used] > 0)
        for value in distinct:
            read_as += [_written(value)] * 2
            # Every value gets a text for both directions, although few values occur with both.
            subject = of_term.feature.wording.subject(value)  # type: ignore[arg-type]  # the value is of the feature's kind
            texts += [f"{subject} {LOWERS}", f"{subject} {RAISES}"]
        if position in unknown:
            ranks, used = ranks[unknown[position][used]], used[unknown[position][used]]
            if not len(used):
                continue
            distinct, own = of_term.distinct(used)
            effects[ranks, used] = 0.0
            is_reason[ranks, used] = True
            words[ranks, used] = len(texts) + own
            for value in distinct:
                read_as.append(_written(value))
                texts.append(average_sentence(of_term.feature, value))
    features = [term.feature for term in card.terms]
    return Reasons(features, terms, effects, is_reason, words, read_as, texts)


def _put_last(terms: NDArray[np.intp], unknown: Mapping[int, NDArray[np.bool_]]) -> None:
    """Put the terms whose required values are unknown on the last ranks, but never on the first one.

    Args:
        terms: `[reasons, rows]`, changed in place.
        unknown: by position of the term, the rows concerned: bool `[rows]`.
    """
    taken = np.zeros(terms.shape[1], np.intp)
    for position, unknown_rows in reversed(list(unknown.items())):
        rows = np.flatnonzero(unknown_rows & (taken < len(terms) - 1))
        taken[rows] += 1
        terms[len(terms) - taken[rows], rows] = position


def _shown(value: str | None) -> str | None:
    return None if value is None else printable(value, _MAX_TEXT_LENGTH)


def _written(value: float | str | None) -> str | None:
    return f"{value:.10g}" if isinstance(value, float) else value
