"""What is said of one customer in words: the sentence of each reason, and what could be done."""

import math
from collections.abc import Iterable, Sequence

from ml_models.card import Card, CategoricalFeature, NumericFeature
from ml_models.terms import Contribution, Value

_AS_AVERAGE = "scored as average in this respect"


def is_unknown(feature: NumericFeature | CategoricalFeature, value: Value) -> bool:
    """Return whether the model knows nothing of a value: it is missing, or a category never seen."""
    if isinstance(feature, CategoricalFeature):
        return value not in feature.categories
    return not isinstance(value, int | float) or math.isnan(value)


def sentence(feature: NumericFeature | CategoricalFeature, value: Value, effect: float) -> str:
    """Say what a value did to one customer's risk: `Tenure of 2 months raises the risk`.

    Args:
        feature: the feature.
        value: of the feature's kind; a category never seen is its text.
        effect: its contribution, in log-odds.
    """
    if feature.required and is_unknown(feature, value):
        return average_sentence(feature, value)
    return feature.reason(value, effect)  # type: ignore[arg-type]  # the value is of the feature's kind


def average_sentence(feature: NumericFeature | CategoricalFeature, value: Value) -> str:
    """Say that a required value is unknown: `Unknown tenure: scored as average in this respect`."""
    return f"{feature.wording.subject(value)}: {_AS_AVERAGE}"  # type: ignore[arg-type]  # as above


def suggested_actions(card: Card, contributions: Iterable[Contribution]) -> Sequence[str]:
    """Return what could be done for a customer: for each feature that raises the risk, the greatest first."""
    raising = sorted(
        (contribution for contribution in contributions if contribution.effect > 0),
        key=lambda contribution: -contribution.effect,
    )
    return [card.actions[feature] for feature, _ in raising if feature in card.actions]
