"""The terms of an additive model, and what they say of one customer: without NumPy or a model runtime.

A term is a table: a value's score is what it adds to the log-odds. The tables are read from the model's own
graph, and a model whose graph says something else is not loaded, so that an explanation is the model's.
"""

import math
import struct
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from ml_models.card import Card

Value = float | str | None
"""A feature's value: a number in the model's unit, a category, or None for missing."""


def as_float32(value: float) -> float:
    """Round a number to the nearest that the model can read, a float32; a greater one is infinite."""
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(rounded)


class _Term(BaseModel):
    """One addend of the model. Its score depends on its feature only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    feature: str
    importance: float
    """Mean absolute score over the training data, in log-odds."""
    missing: float
    """The score of a customer without a value. All scores are in log-odds."""


class NumericTerm(_Term):
    """A step function: `scores[i]` holds for numbers from `edges[i - 1]` up to, but without, `edges[i]`.

    The edges are float32 numbers, and a number is rounded to float32 before it is compared.
    """

    kind: Literal["numeric"] = "numeric"
    edges: tuple[float, ...]
    scores: tuple[float, ...]

    @model_validator(mode="after")
    def _one_more_score_than_edges(self) -> Self:
        if len(self.scores) != len(self.edges) + 1:
            raise ValueError(f"{self.feature}: there must be one score more than edges")
        if not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError(f"{self.feature}: edges must rise")
        if not all(as_float32(edge) == edge for edge in self.edges):
            raise ValueError(f"{self.feature}: an edge is not a float32 number")
        return self

    def score(self, value: Value) -> float:
        """Return what a value adds to the log-odds. Text is no number, and as good as missing."""
        if not isinstance(value, int | float) or math.isnan(value):
            return self.missing
        return self.scores[bisect_right(self.edges, as_float32(value))]


class CategoricalTerm(_Term):
    """A score for each category."""

    kind: Literal["categorical"] = "categorical"
    scores: Mapping[str, float]
    """By category, in the order of the feature's categories."""
    unseen: float
    """The score of a category that the model has never seen."""

    def score(self, value: Value) -> float:
        """Return what a value adds to the log-odds."""
        if value is None or isinstance(value, int | float):
            return self.missing
        return self.scores.get(value, self.unseen)


Term = Annotated[NumericTerm | CategoricalTerm, Field(discriminator="kind")]


class Contribution(NamedTuple):
    """What one feature adds to one customer's log-odds of leaving."""

    feature: str
    effect: float


class Explanation(NamedTuple):
    """Why a customer has their score: probability = sigmoid(intercept + sum of the effects)."""

    probability: float
    intercept: float
    contributions: tuple[Contribution, ...]
    """One for each term, in the order of the card."""


def explain(card: "Card", values: Mapping[str, Value]) -> Explanation:
    """Score one customer from the card alone, as the model does: within 1e-6 in every contribution.

    Args:
        card: the model's card.
        values: the customer's values by feature; a feature that is left out is missing, and so is NaN.
    """
    contributions = tuple(
        Contribution(term.feature, term.score(values.get(term.feature))) for term in card.terms
    )
    log_odds = card.intercept + math.fsum(effect for _, effect in contributions)
    return Explanation(_sigmoid(log_odds), card.intercept, contributions)


def _sigmoid(log_odds: float) -> float:
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)  # exp(-log_odds) could be too large for a float
    return odds / (1 + odds)
