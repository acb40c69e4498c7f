"""The shipped model and the models it is compared with.

All read the same encoded features: float32 `[rows, features]`, category codes, NaN for missing.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from interpret.glassbox import ExplainableBoostingClassifier
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ml_models.card import NumericSpecification, Specification
from ml_models.training.data import TrainingSet

MAX_BINS = 64
"""Bins per numeric feature. More score no better and fit the noise of seven thousand customers."""

_NEVER_SEEN = "\0"


@dataclass(frozen=True)
class Shape:
    """One term of the additive model: a step function of one feature, in log-odds.

    Numeric: `scores[i]` holds for values in `[cuts[i - 1], cuts[i])`, one more score than cuts; cuts ascend.
    Categorical: `cuts` is empty and `scores[i]` holds for code `i`. A missing value has its own score.
    """

    feature: Specification
    cuts: tuple[float, ...]
    scores: tuple[float, ...]
    missing: float
    unseen: float


class AdditiveModel:
    """An explainable boosting machine (Nori et al. 2019): log-odds = intercept + one term per feature.

    Missing and never seen values contribute nothing: the customer is scored as average in that respect. Left
    to itself, the machine would learn a score for missing from the few rows without a value, but a blank in
    the training data (no bill yet) does not mean the same as a blank in a customer's file.
    """

    def __init__(self, data: TrainingSet, *, seed: int, interactions: int = 0) -> None:
        self.specification = data.specification
        self._machine = ExplainableBoostingClassifier(
            feature_names=[feature.name for feature in data.specification],
            feature_types=[
                "continuous" if isinstance(feature, NumericSpecification) else "nominal"
                for feature in data.specification
            ],
            interactions=interactions,
            max_bins=MAX_BINS,
            max_interaction_bins=MAX_BINS // 2,
            random_state=seed,
            n_jobs=1,  # the folds run in parallel, not the bags
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Missing values detected", category=UserWarning)
            self._machine.fit(self._inputs(data.features), data.churned)
        for scores in self._machine.term_scores_:
            for axis in range(scores.ndim):
                edge: list[Any] = [slice(None)] * scores.ndim
                edge[axis] = [0, -1]  # the bins for missing and for never seen
                scores[tuple(edge)] = 0.0

    @property
    def intercept(self) -> float:
        """Log-odds, to which the contributions are added."""
        return float(self._machine.intercept_[0])

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The terms of a model without interactions, in the order of its features."""
        return tuple(
            _shape(feature, bins[0], scores)
            for feature, bins, scores in zip(
                self.specification, self._machine.bins_, self._machine.term_scores_, strict=True
            )
        )

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each term adds to each row's log-odds: `[rows, terms]`."""
        contributions: NDArray[np.float64] = self._machine.eval_terms(self._inputs(features))
        return contributions

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the churn probability of each row: `[rows]`."""
        probability: NDArray[np.float64] = expit(self.contributions(features).sum(axis=1) + self.intercept)
        return probability

    def _inputs(self, features: NDArray[np.float32]) -> NDArray[np.object_]:
        """Decode categories to their names, which the machine distinguishes them by."""
        inputs = features.astype(np.float64).astype(object)
        for column, feature in enumerate(self.specification):
            if isinstance(feature, NumericSpecification):
                continue
            names = dict(enumerate(feature.categories))
            codes = features[:, column]
            inputs[:, column] = [None if np.isnan(code) else names.get(code, _NEVER_SEEN) for code in codes]
        return inputs


def _shape(feature: Specification, bins: Iterable[Any], scores: NDArray[np.float64]) -> Shape:
    """Extract a term from the machine; its first bin is for missing values, its last for never seen ones."""
    missing, unseen = float(scores[0]), float(scores[-1])
    if isinstance(feature, NumericSpecification):
        return Shape(feature, tuple(map(float, bins)), tuple(map(float, scores[1:-1])), missing, unseen)
    # A category without training rows counts as never seen.
    places: dict[str, int] = dict(bins)
    by_code = tuple(float(scores[places[name]]) if name in places else unseen for name in feature.categories)
    return Shape(feature, (), by_code, missing, unseen)


class LogisticModel:
    """Logistic regression on one-hot categories and standardised numbers: the classical baseline."""

    def __init__(self, data: TrainingSet, *, seed: int) -> None:
        self._pipeline = make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), data.numeric_columns),
                (OneHotEncoder(handle_unknown="ignore"), data.categorical_columns),
            ),
            LogisticRegression(max_iter=5_000, random_state=seed),
        )
        self._pipeline.fit(data.features, data.churned)

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the churn probability of each row: `[rows]`."""
        probability: NDArray[np.float64] = self._pipeline.predict_proba(features)[:, 1]
        return probability


class BoostedTreesModel:
    """LightGBM with small trees and a low learning rate, which suits a data set of this size."""

    def __init__(self, data: TrainingSet, *, seed: int) -> None:
        self._trees = LGBMClassifier(
            n_estimators=300,
            learning_rate=0.03,
            num_leaves=8,
            min_child_samples=30,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            random_state=seed,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbosity=-1,
        )
        self._trees.fit(data.features, data.churned, categorical_feature=data.categorical_columns)

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the churn probability of each row: `[rows]`."""
        return np.asarray(self._trees.booster_.predict(features), dtype=np.float64)
