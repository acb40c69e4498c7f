"""Why a customer has their score: the features with the largest effects, in figures and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.disclosure import printable
from consumer_worker.scoring.values import FeatureValues
from ml_models.card import Card
from retainwise_contracts.results import Reason

_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of some rows, the largest effect first. All arrays are `[reasons, rows]`."""

    features: Sequence[str]
    """By term."""
    terms: NDArray[np.intp]
    effects: NDArray[np.float32]
    """In log-odds; 0 where the customer has no such reason."""
    words: NDArray[np.intp]
    """Position in `values` and `texts`."""
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
            is_reason = pl.Series(effects != 0)
            name = f"reason_{rank + 1}"
            words = self.words[rank]
            every = {
                name: features.gather(self.terms[rank]),
                f"{name}_effect": pl.Series(effects.astype(np.float64)),
                f"{name}_value": values.gather(words),
                f"{name}_text": texts.gather(words),
            }
            if not is_reason.all():
                every = {column: series.set(~is_reason, None) for column, series in every.items()}
            columns |= every
        return columns

    def of_row(self, row: int) -> tuple[Reason, ...]:
        """Return one row's reasons, fit for the summary."""
        return tuple(
            Reason(
                feature=self.features[self.terms[rank, row]],
                effect=round(float(self.effects[rank, row]), 6),
                value=_shown(self.values[self.words[rank, row]]),
                text=printable(self.texts[self.words[rank, row]], _LONGEST_TEXT),
            )
            for rank in range(len(self.terms))
            if self.effects[rank, row] != 0
        )


def find_reasons(
    contributions: NDArray[np.float32], values: Mapping[str, FeatureValues], card: Card, count: int
) -> Reasons:
    """Find the `count` largest effects of each row, and word them as the card does.

    Args:
        contributions: `[rows, terms]` in log-odds.
        values: of the features, by name.
        card: of the model that scored.
        count: reasons per row; fewer where the model has fewer terms.
    """
    count = min(count, len(card.terms))
    rows = np.arange(len(contributions))
    terms = np.empty((count, len(rows)), np.intp)
    left = np.abs(contributions)
    for rank in range(count):
        terms[rank] = left.argmax(axis=1)  # of equals the first term, so that the order is always the same
        left[rows, terms[rank]] = -1.0
    effects = contributions[rows, terms]
    words = np.zeros_like(terms)
    texts: list[str] = []
    read_as: list[str | None] = []
    for position, term in enumerate(card.terms):
        feature = values[term.features[0]]
        ranks, used = np.nonzero(terms == position)
        if not len(used):
            continue
        different, own = feature.distinct(used)
        words[ranks, used] = len(texts) + 2 * own + (effects[ranks, used] > 0)
        for value in different:
            read_as += [_written(value)] * 2
            # Every value has a phrase for either direction, although few occur in both.
            texts += [feature.feature.reason(value, -1.0), feature.feature.reason(value, 1.0)]  # type: ignore[arg-type]  # the value is of the feature's kind
    return Reasons([term.features[0] for term in card.terms], terms, effects, words, read_as, texts)


def _shown(value: str | None) -> str | None:
    return None if value is None else printable(value, _LONGEST_TEXT)


def _written(value: float | str | None) -> str | None:
    return f"{value:.10g}" if isinstance(value, float) else value
