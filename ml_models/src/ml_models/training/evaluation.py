"""Repeated stratified cross-validation: every candidate on the same folds, out-of-fold predictions only."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from ml_models.card import Estimate, Metrics, Specification
from ml_models.telco_churn import FAMILY_STATUS, GENDER_AND_AGE, SPECIFICATION, TOTAL_CHARGES
from ml_models.training.data import TrainingSet
from ml_models.training.errors import DataNotUsable
from ml_models.training.models import AdditiveModel, BoostedTreesModel, LogisticModel

CALIBRATION_BINS = 10

Probabilities = NDArray[np.float64]


class Model(Protocol):
    """A trained classifier."""

    def probability(self, features: NDArray[np.float32]) -> Probabilities:
        """Return the churn probability of each row: `[rows]`."""


class Fit(Protocol):
    """Trains a classifier."""

    def __call__(self, data: TrainingSet, *, seed: int) -> Model:
        """Train on all rows and features of the data."""


@dataclass(frozen=True)
class Candidate:
    """A kind of model and the features it reads."""

    name: str
    fit: Fit
    specification: tuple[Specification, ...]


SHIPPED = Candidate("Explainable boosting machine (shipped)", AdditiveModel, SPECIFICATION)
WITH_GENDER_AND_AGE = Candidate(
    "… with gender and SeniorCitizen", AdditiveModel, (*SPECIFICATION, *GENDER_AND_AGE)
)
WITH_FAMILY_STATUS = Candidate(
    "… with Partner and Dependents", AdditiveModel, (*SPECIFICATION, *FAMILY_STATUS)
)
WITH_TOTAL_CHARGES = Candidate("… with TotalCharges", AdditiveModel, (*SPECIFICATION, TOTAL_CHARGES))
WITH_INTERACTIONS = Candidate(
    "… with ten interactions", partial(AdditiveModel, interactions=10), SPECIFICATION
)
LOGISTIC = Candidate("Logistic regression", LogisticModel, SPECIFICATION)
BOOSTED_TREES = Candidate("LightGBM", BoostedTreesModel, SPECIFICATION)
ALTERNATIVES = (
    WITH_GENDER_AND_AGE,
    WITH_FAMILY_STATUS,
    WITH_TOTAL_CHARGES,
    WITH_INTERACTIONS,
    LOGISTIC,
    BOOSTED_TREES,
)


@dataclass(frozen=True)
class Folds:
    """Which fold each row is tested in: int `[repeats, rows]`."""

    assignment: NDArray[np.int64]
    count: int

    @classmethod
    def draw(cls, churned: NDArray[np.int8], *, count: int, repeats: int, seed: int) -> "Folds":
        """Divide the rows into folds with the same churn rate, differently for each repeat.

        Raises:
            DataNotUsable: there are more folds than customers who left, or than customers who stayed.
        """
        rarest = int(np.bincount(churned, minlength=2).min())
        if rarest < count:
            raise DataNotUsable(
                f"{count} folds need at least {count} customers who left and who stayed, not {rarest}"
            )
        assignment = np.empty((repeats, len(churned)), dtype=np.int64)
        for repeat in range(repeats):
            splitter = StratifiedKFold(count, shuffle=True, random_state=seed + repeat)
            for fold, (_, tested) in enumerate(splitter.split(churned, churned)):
                assignment[repeat, tested] = fold
        return cls(assignment, count)

    @property
    def tested(self) -> list[tuple[int, NDArray[np.bool_]]]:
        """For each fold of each repeat: the repeat, and the rows the fold tests, bool `[rows]`."""
        return [
            (repeat, folds == fold)
            for repeat, folds in enumerate(self.assignment)
            for fold in range(self.count)
        ]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of each row by models that were not trained on it: `[repeats, rows]`.

    `without` has the same predictions by feature, as if a customer's file lacked that feature.
    """

    probability: Probabilities
    without: Mapping[str, Probabilities]


def cross_validate(
    data: TrainingSet,
    candidates: Sequence[Candidate],
    folds: Folds,
    *,
    seed: int,
    on_progress: Callable[[], None],
) -> Mapping[str, OutOfFold]:
    """Predict every row with models that were not trained on it, in one process per core.

    Returns:
        The out-of-fold predictions by the candidate's name.
    """
    predictions = {
        candidate.name: OutOfFold(
            np.empty(folds.assignment.shape),
            {feature.name: np.empty(folds.assignment.shape) for feature in candidate.specification},
        )
        for candidate in candidates
    }
    # Spawned, not forked: the libraries' threads do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        running = {
            processes.submit(_predict_fold, candidate, data.select(candidate.specification), tested, seed): (
                predictions[candidate.name],
                repeat,
                tested,
            )
            for repeat, tested in folds.tested
            for candidate in candidates
        }
        for fold in as_completed(running):
            candidate_predictions, repeat, tested = running[fold]
            complete, *without = fold.result()
            candidate_predictions.probability[repeat, tested] = complete
            for probability, prediction in zip(candidate_predictions.without.values(), without, strict=True):
                probability[repeat, tested] = prediction
            on_progress()
    return predictions


def _predict_fold(
    candidate: Candidate, data: TrainingSet, tested: NDArray[np.bool_], seed: int
) -> list[Probabilities]:
    """Train on the other folds and predict this one: once complete, then without each of the features."""
    model = candidate.fit(data.only(~tested), seed=seed)
    predictions = [model.probability(data.features[tested])]
    for column in range(len(candidate.specification)):
        features = data.features[tested]
        features[:, column] = np.nan
        predictions.append(model.probability(features))
    return predictions


def by_fold(
    metric: Callable[[NDArray[np.int8], Probabilities], float],
    churned: NDArray[np.int8],
    probability: Probabilities,
    folds: Folds,
) -> NDArray[np.float64]:
    """Compute a metric in each fold of each repeat: `[repeats * folds]`."""
    return np.array([metric(churned[tested], probability[repeat, tested]) for repeat, tested in folds.tested])


def measure(churned: NDArray[np.int8], probability: Probabilities, folds: Folds) -> Metrics:
    """Compute the metrics of predictions `[repeats, rows]`.

    The spread is over all folds. The calibration error is taken over all rows of a repeat, whose bins are
    large enough to keep the noise small, and its spread is over the repeats.
    """
    return Metrics(
        roc_auc=estimate(by_fold(roc_auc_score, churned, probability, folds)),
        pr_auc=estimate(by_fold(average_precision_score, churned, probability, folds)),
        log_loss=estimate(by_fold(log_loss, churned, probability, folds)),
        brier=estimate(by_fold(brier_score_loss, churned, probability, folds)),
        calibration_error=estimate(
            np.array([calibration_error(churned, of_repeat) for of_repeat in probability])
        ),
    )


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Summarise repeated measurements by mean and standard deviation, to six digits."""
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return Estimate(mean=round(float(values.mean()), 6), std=round(float(spread), 6))


@dataclass(frozen=True)
class ReliabilityBin:
    """Customers with similar predictions: mean predicted probability and observed churn rate."""

    rows: int
    predicted: float
    observed: float


def reliability(churned: NDArray[np.int8], probability: Probabilities) -> list[ReliabilityBin]:
    """Sort customers by prediction into bins of equal size, and compare mean prediction and churn rate."""
    bins = np.array_split(np.argsort(probability, kind="stable"), CALIBRATION_BINS)
    return [
        ReliabilityBin(len(rows), float(probability[rows].mean()), float(churned[rows].mean()))
        for rows in bins
        if len(rows)
    ]


def calibration_error(churned: NDArray[np.int8], probability: Probabilities) -> float:
    """Return the expected calibration error (Naeini et al. 2015) over bins of equal size."""
    bins = reliability(churned, probability)
    return sum(each.rows * abs(each.predicted - each.observed) for each in bins) / len(churned)
