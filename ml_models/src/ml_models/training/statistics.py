"""Statistics of the features in the training data, which customers' files are compared with."""

import numpy as np
from numpy.typing import NDArray

from ml_models.card import (
    CategoricalFeature,
    CategoricalStatistics,
    NumericFeature,
    NumericSpecification,
    NumericStatistics,
    Specification,
)

BINS = 10


def describe(
    specification: Specification, values: NDArray[np.float32], *, required: bool
) -> NumericFeature | CategoricalFeature:
    """Build a feature from its specification and its training statistics.

    Args:
        specification: what was known before the training.
        values: the encoded training values, float32 `[rows]`, NaN for missing.
        required: whether a file without the column is refused.
    """
    present = values[~np.isnan(values)].astype(np.float64)
    missing_rate = _rounded(1 - len(present) / len(values))
    if isinstance(specification, NumericSpecification):
        edges = _edges(present)
        return NumericFeature(
            **dict(specification),
            required=required,
            statistics=NumericStatistics(
                missing_rate=missing_rate,
                min=_rounded(present.min()),
                max=_rounded(present.max()),
                mean=_rounded(present.mean()),
                edges=edges,
                shares=_shares(np.searchsorted(edges, present, side="right"), len(edges) + 1),
            ),
        )
    return CategoricalFeature(
        **dict(specification),
        required=required,
        statistics=CategoricalStatistics(
            missing_rate=missing_rate,
            shares=_shares(present.astype(np.int64), len(specification.categories)),
        ),
    )


def _edges(present: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the edges of bins of about equal size, each half-way between two values that occur.

    So no value is on an edge, where float32 and float64 could put it into different bins.
    """
    occurring = np.unique(present)
    places = np.searchsorted(occurring, np.quantile(present, np.arange(1, BINS) / BINS, method="lower"))
    return tuple(
        _rounded((occurring[place - 1] + occurring[place]) / 2) for place in np.unique(places) if place > 0
    )


def _shares(bins: NDArray[np.int64], count: int) -> tuple[float, ...]:
    return tuple(_rounded(share) for share in np.bincount(bins, minlength=count) / len(bins))


def _rounded(value: float) -> float:
    return round(float(value), 6)
