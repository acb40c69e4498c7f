"""Writes the scores as Parquet, and the worklist: at the end, from parts on disk.

So row groups do not depend on the chunks, and memory does not grow with the file. A feature's values are
stored as the model's categories, which takes a byte and no comparing of texts; as text if there are others.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from ml_models.card import CategoricalFeature, NumericFeature
from retainwise_contracts.prediction_requested import CUSTOMER_VALUE
from retainwise_contracts.results import (
    VALUE_AT_RISK,
    FeatureKind,
    QualityGrade,
    ResultColumn,
    ResultFileName,
    score_columns,
    value_column,
    value_columns,
    worklist_columns,
)

SCORES_PARQUET: ResultFileName = "scores.parquet"
WORKLIST_PARQUET: ResultFileName = "worklist.parquet"

DATA_QUALITY = "data_quality"
"""The column of the file's grade, which is known only after all rows are scored."""

_ROW_GROUP_ROWS = 65_536
_COMPRESSION_LEVEL = 1
"""Of zstd. The usual 3 takes a sixth more time for files a sixteenth smaller."""

_TYPES: Mapping[str, type[pl.DataType]] = {
    "int64": pl.Int64,
    "float64": pl.Float64,
    "string": pl.String,
    "boolean": pl.Boolean,
}


def score_frame(
    columns: Mapping[str, pl.Series], reasons: int, features: Sequence[NumericFeature | CategoricalFeature]
) -> pl.DataFrame:
    """Put the columns of `scores.parquet` into the order and types of the contracts, but for `DATA_QUALITY`.

    The values of a categorical feature keep their type, categories or text.
    """
    return pl.DataFrame(
        [
            _typed(columns[column.name], column)
            for column in (*score_columns(reasons), *value_columns(_kinds(features)))
            if column.name in columns
        ]
    )


def _kinds(features: Sequence[NumericFeature | CategoricalFeature]) -> list[tuple[str, FeatureKind]]:
    return [(feature.name, feature.kind) for feature in features]


def _typed(series: pl.Series, column: ResultColumn) -> pl.Series:
    typed = series if series.dtype == pl.Enum else series.cast(_TYPES[column.type])
    return typed.alias(column.name)


def text_values(
    frame: pl.DataFrame, features: Sequence[NumericFeature | CategoricalFeature]
) -> Sequence[str]:
    """Return the columns of values in which a scored frame has texts that are not the model's categories."""
    schema = frame.schema  # Polars builds it again at each access
    columns = (value_column(feature.name) for feature in features)
    return [name for name in columns if schema[name] == pl.String]


class ParquetWriter:
    """Writes `scores.parquet` and `worklist.parquet`."""

    def __init__(
        self,
        folder: Path,
        parts: Path,
        *,
        reasons: int,
        features: Sequence[NumericFeature | CategoricalFeature],
    ) -> None:
        """Begin with no rows.

        Args:
            folder: where the files are written.
            parts: an empty folder for the time being.
            reasons: number of reasons per customer.
            features: the model's features.
        """
        self._folder = folder
        self._parts = parts
        self._features = features
        self._columns = (*score_columns(reasons), *value_columns(_kinds(features)))
        self._worklist_columns = [column.name for column in worklist_columns(reasons, _kinds(features))]
        self._categories = {
            value_column(feature.name): pl.Enum(feature.categories)
            for feature in features
            if feature.kind == "categorical"
        }
        """By column, its type as long as all values are the model's categories."""
        self._only: pl.DataFrame | None = None
        """The first rows, until there are more: most files are read at once, and need no parts."""
        self._rows: list[int] = []
        """Of each part."""
        self.part_bytes = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Add scored rows, as `score_frame` returns them."""
        for name in text_values(frame, self._features):
            self._categories.pop(name, None)
        if self._only is not None:
            self._write_part(0, self._only)
            self._only = None
        if self._rows:
            self._write_part(len(self._rows), frame)
        else:
            self._only = frame
        self._rows.append(frame.height)

    def _part(self, number: int) -> Path:
        return self._parts / f"{number:06}.arrow"

    def _listed(self, number: int) -> Path:
        return self._parts / f"{number:06}-listed.arrow"

    def _write_part(self, number: int, frame: pl.DataFrame) -> None:
        frame.write_ipc(self._part(number), compression="uncompressed")
        self.part_bytes += self._part(number).stat().st_size

    def finish(self, grade: QualityGrade, worklist: NDArray[np.int64]) -> None:
        """Write both files.

        Args:
            grade: the file's grade.
            worklist: positions of the rows of the worklist among all scored rows, in rising order.
        """
        scores = self._folder / SCORES_PARQUET
        if self._only is not None:
            whole = self._graded(self._only, grade)
            whole.write_parquet(scores, row_group_size=_ROW_GROUP_ROWS, compression_level=_COMPRESSION_LEVEL)
            self._write_worklist(whole[worklist])
            return
        read = partial(self._read_parts, grade, worklist)
        source = register_io_source(read, schema=self._schema)
        source.sink_parquet(scores, row_group_size=_ROW_GROUP_ROWS, compression_level=_COMPRESSION_LEVEL)
        self._write_worklist(pl.concat(pl.read_ipc(self._listed(part)) for part in range(len(self._rows))))

    @property
    def _schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        return {
            column.name: self._categories.get(column.name, _TYPES[column.type]) for column in self._columns
        }

    def _graded(self, frame: pl.DataFrame, grade: QualityGrade) -> pl.DataFrame:
        return frame.select(
            pl.lit(grade.value).alias(name) if name == DATA_QUALITY else pl.col(name).cast(kind)
            for name, kind in self._schema.items()
        )

    def _read_parts(
        self, grade: QualityGrade, worklist: NDArray[np.int64], *_: object
    ) -> Iterator[pl.DataFrame]:
        """Yield the scores part by part; from one lazy frame, Polars would read all parts at once.

        The rows of the worklist, at these positions, go to files of their own: in memory, they would keep the
        texts of all other rows of their part too.
        """
        first = 0
        for number, rows in enumerate(self._rows):
            frame = self._graded(pl.read_ipc(self._part(number)), grade)
            begin, end = np.searchsorted(worklist, [first, first + rows])
            listed = frame[worklist[begin:end] - first]
            listed.write_ipc(self._listed(number), compression="uncompressed")
            first += rows
            yield frame

    def _write_worklist(self, rows: pl.DataFrame) -> None:
        """Write the rows of the worklist in its order; of equal probabilities, the first row comes first."""
        at_risk = pl.col("churn_probability") * pl.col(CUSTOMER_VALUE)
        (
            rows.sort("churn_probability", descending=True, maintain_order=True)
            .with_columns(at_risk.alias(VALUE_AT_RISK))
            .select(self._worklist_columns)
            .write_parquet(
                self._folder / WORKLIST_PARQUET,
                row_group_size=_ROW_GROUP_ROWS,
                compression_level=_COMPRESSION_LEVEL,
            )
        )
