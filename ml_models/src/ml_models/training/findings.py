"""What the cross-validation finds besides the metrics: the worth of each column, and results by group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ml_models.card import Estimate
from ml_models.telco_churn import PROTECTED, TOTAL_CHARGES
from ml_models.training.data import TrainingSet
from ml_models.training.errors import ProtectedAttributesMatter
from ml_models.training.evaluation import (
    SHIPPED,
    WITH_FAMILY_STATUS,
    WITH_GENDER_AND_AGE,
    WITH_TOTAL_CHARGES,
    Folds,
    OutOfFold,
    Probabilities,
    by_fold,
    estimate,
)

PROTECTED_LIMIT = 0.005
"""Gain in ROC-AUC from protected attributes above which the training stops, for a person to decide."""

REQUIRED_LIMIT = 0.005
"""Loss of ROC-AUC without a column above which the column is required."""


@dataclass(frozen=True)
class Absence:
    """How the scores of a file change if it lacks one column."""

    roc_auc: Estimate
    """Change of ROC-AUC, fold by fold."""
    mean_probability: float
    """Change of the mean predicted probability."""


@dataclass(frozen=True)
class Group:
    """The model's results for customers who share a protected attribute that it does not read."""

    attribute: str
    category: str
    rows: int
    observed: float
    predicted: float
    roc_auc: float


@dataclass(frozen=True)
class Findings:
    """The findings for the model card."""

    gains: Mapping[str, Estimate]
    """By alternative: its ROC-AUC minus the shipped model's, fold by fold."""
    absences: Mapping[str, Absence]
    """By feature of the shipped model."""
    total_charges_absence: Absence
    """For the model that reads TotalCharges, on a file without it."""
    groups: tuple[Group, ...]
    greatest_difference: float
    """Between the trained model and the exported graph."""

    @property
    def required(self) -> frozenset[str]:
        """The features whose absence costs more than `REQUIRED_LIMIT`."""
        return frozenset(
            feature for feature, absence in self.absences.items() if -absence.roc_auc.mean > REQUIRED_LIMIT
        )

    def require_protected_unneeded(self) -> None:
        """Check that the model is not much worse for not reading the protected attributes.

        Raises:
            ProtectedAttributesMatter: it would gain more than `PROTECTED_LIMIT` by reading them.
        """
        for candidate in (WITH_GENDER_AND_AGE, WITH_FAMILY_STATUS):
            gain = self.gains[candidate.name].mean
            if gain > PROTECTED_LIMIT:
                raise ProtectedAttributesMatter(
                    f"the model {candidate.name} gains {gain:+.4f} ROC-AUC, more than {PROTECTED_LIMIT}: "
                    "decide whether to read them, and record the decision in telco_churn.py"
                )


def gather(
    data: TrainingSet, folds: Folds, predictions: Mapping[str, OutOfFold], *, greatest_difference: float
) -> Findings:
    """Derive the findings from out-of-fold predictions.

    Args:
        data: all columns, including those the model does not read.
        folds: of the cross-validation.
        predictions: out of fold, by candidate.
        greatest_difference: between the trained model and the exported graph.
    """

    def gain(probability: Probabilities, over: Probabilities) -> Estimate:
        return estimate(
            by_fold(roc_auc_score, data.churned, probability, folds)
            - by_fold(roc_auc_score, data.churned, over, folds)
        )

    def absence(of: OutOfFold, feature: str) -> Absence:
        without = of.without[feature]
        return Absence(gain(without, of.probability), float((without - of.probability).mean()))

    shipped = predictions[SHIPPED.name]
    return Findings(
        gains={
            name: gain(candidate.probability, shipped.probability)
            for name, candidate in predictions.items()
            if name != SHIPPED.name
        },
        absences={feature: absence(shipped, feature) for feature in shipped.without},
        total_charges_absence=absence(predictions[WITH_TOTAL_CHARGES.name], TOTAL_CHARGES.name),
        groups=tuple(_groups(data, shipped.probability.mean(axis=0))),
        greatest_difference=greatest_difference,
    )


def _groups(data: TrainingSet, probability: NDArray[np.float64]) -> list[Group]:
    groups = []
    for attribute in PROTECTED:
        values = data.select([attribute]).features[:, 0]
        for code, category in enumerate(attribute.categories):
            rows = values == code
            groups.append(
                Group(
                    attribute.name,
                    category,
                    int(rows.sum()),
                    float(data.churned[rows].mean()),
                    float(probability[rows].mean()),
                    float(roc_auc_score(data.churned[rows], probability[rows])),
                )
            )
    return groups
