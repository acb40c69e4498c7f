"""The training data: a CSV file in the form of the public Telco Customer Churn sample."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_models.card import UNSEEN_CODE, NumericSpecification, Specification
from ml_models.telco_churn import LABEL, NEGATIVE, POSITIVE
from ml_models.training.errors import DataNotUsable


@dataclass(frozen=True)
class TrainingSet:
    """Encoded customers and whether they left, from a file with this SHA-256.

    `features` is float32 `[rows, specification]` as the model reads it: numbers, category codes, NaN for
    missing. `churned` is int8 `[rows]`, 1 for a customer who left.
    """

    specification: tuple[Specification, ...]
    features: NDArray[np.float32]
    churned: NDArray[np.int8]
    sha256: str

    def select(self, specification: Sequence[Specification]) -> Self:
        """Keep these features only, in this order."""
        names = [feature.name for feature in self.specification]
        columns = [names.index(feature.name) for feature in specification]
        return replace(self, specification=tuple(specification), features=self.features[:, columns])

    def only(self, rows: NDArray[np.bool_]) -> Self:
        """Keep the rows that are marked."""
        return replace(self, features=self.features[rows], churned=self.churned[rows])

    @property
    def numeric_columns(self) -> list[int]:
        """Positions of the numeric features."""
        return [
            column
            for column, feature in enumerate(self.specification)
            if isinstance(feature, NumericSpecification)
        ]

    @property
    def categorical_columns(self) -> list[int]:
        """Positions of the categorical features."""
        return sorted(set(range(len(self.specification))) - set(self.numeric_columns))


def read_training_set(path: Path, specification: Sequence[Specification]) -> TrainingSet:
    """Read a training file and encode the named features.

    Raises:
        DataNotUsable: the file cannot be read, a column is missing, or a value does not match its
            specification: the training accepts no value that it does not understand.
    """
    try:
        content = path.read_bytes()
        table = pl.read_csv(BytesIO(content), infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataNotUsable(f"{path.name} could not be read as CSV: {error}") from error
    missing = {feature.name for feature in specification} | {LABEL}
    missing -= set(table.columns)
    if missing:
        raise DataNotUsable(f"{path.name} lacks the columns {', '.join(sorted(missing))}")
    table = table.with_columns(pl.all().str.strip_chars().replace("", None))
    return TrainingSet(
        tuple(specification),
        np.column_stack([_encode(table[feature.name], feature) for feature in specification]),
        _labels(table[LABEL]),
        hashlib.sha256(content).hexdigest(),
    )


def _encode(column: pl.Series, feature: Specification) -> NDArray[np.float32]:
    if isinstance(feature, NumericSpecification):
        encoded = column.cast(pl.Float64, strict=False)
        valid = encoded.is_between(feature.valid_min, feature.valid_max)
    else:
        codes: dict[str, float] = {}
        for text in column.drop_nulls().unique():
            category = feature.category(text)
            codes[text] = UNSEEN_CODE if category is None else float(feature.categories.index(category))
        encoded = column.replace_strict(codes, return_dtype=pl.Float64)
        valid = encoded >= 0
    invalid = column.filter(column.is_not_null() & ~valid.fill_null(value=False))
    if len(invalid):
        raise DataNotUsable(f"{feature.name} has {len(invalid)} invalid values, the first is {invalid[0]!r}")
    return encoded.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _labels(column: pl.Series) -> NDArray[np.int8]:
    invalid = column.filter(~column.is_in([NEGATIVE, POSITIVE]).fill_null(value=False))
    if len(invalid):
        raise DataNotUsable(f"{LABEL} must be {NEGATIVE} or {POSITIVE}, found {invalid[0]!r}")
    if column.n_unique() != 2:
        raise DataNotUsable(f"{LABEL} must have both values, {NEGATIVE} and {POSITIVE}")
    return (column == POSITIVE).cast(pl.Int8).to_numpy()
