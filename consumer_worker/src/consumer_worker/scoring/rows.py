"""Which rows cannot be scored, and why: said so that the customer can mend them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.disclosure import mask
from consumer_worker.scoring.source import SURPLUS, Table
from consumer_worker.scoring.values import FeatureValues, NumericValues, are_missing
from ml_models.card import NumericFeature
from ml_models.intake.columns import ColumnMapping, MappedColumn
from retainwise_contracts.results import REJECTED_COLUMNS, RowRejection

_TOTALS = frozenset({"total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt"})
"""What stands for the id in a row of totals, which spreadsheets put below a table."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rows are rejected."""

    code: RowRejection
    column: MappedColumn | None
    """The column at fault, None if it is the row as a whole."""
    hint: str

    @property
    def reason(self) -> str:
        """The code and the column in words: `out of range in “tenure”`."""
        words = self.code.value.replace("_", " ")
        return f"{words} in “{self.column.header}”" if self.column else words


@dataclass(slots=True)
class Rejections:
    """The rows of a table that are rejected; a row with several faults is rejected for the first."""

    causes: list[Cause] = field(default_factory=list)
    cause_of_row: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    """`[rows]`: 0 where the row can be scored, else the position of its cause plus one."""

    def reject(self, rows: NDArray[np.bool_], cause: Cause) -> None:
        """Reject these rows, as far as they are not rejected yet."""
        rows = rows & (self.cause_of_row == 0)
        if rows.any():
            self.causes.append(cause)
            self.cause_of_row[rows] = len(self.causes)

    @property
    def scorable(self) -> NDArray[np.bool_]:
        """`[rows]`: which rows can be scored."""
        return np.equal(self.cause_of_row, 0)

    def counts(self) -> Mapping[Cause, int]:
        """Count the rejected rows by cause."""
        counts = np.bincount(self.cause_of_row, minlength=len(self.causes) + 1)
        return {cause: int(count) for cause, count in zip(self.causes, counts[1:], strict=True)}


def find_rejections(
    table: Table, ids: pl.Series, values: Sequence[FeatureValues], mapping: ColumnMapping
) -> Rejections:
    """Find the rows that cannot be scored.

    Args:
        table: the rows.
        ids: their customers' ids.
        values: their features.
        mapping: which column is which feature.
    """
    rejections = Rejections(cause_of_row=np.zeros(table.frame.height, np.int16))
    # First, because whatever else such a row lacks is not to be filled in.
    rejections.reject(
        _are_totals(ids),
        Cause(RowRejection.MISSING_ID, None, "This is a row of totals, not a customer: remove it."),
    )
    _reject_ragged(rejections, table, mapping, values)
    rejections.reject(
        are_missing(ids),
        Cause(RowRejection.MISSING_ID, mapping.customer_id, "Fill in the customer's id."),
    )
    required = [feature for feature in values if feature.feature.required]
    for feature in required:
        if isinstance(feature, NumericValues):
            column = mapping.features[feature.feature.name]
            rejections.reject(
                feature.not_a_number,
                Cause(RowRejection.NOT_A_NUMBER, column, _plain_number(feature.feature)),
            )
            rejections.reject(
                feature.out_of_range,
                Cause(RowRejection.OUT_OF_RANGE, column, _possible(feature.feature, column)),
            )
    if required:
        names = ", ".join(feature.feature.label for feature in required)
        rejections.reject(
            np.logical_and.reduce([feature.missing for feature in required]),
            Cause(RowRejection.MISSING_VALUE, None, f"Fill in at least one of: {names}."),
        )
    return rejections


def _are_totals(ids: pl.Series) -> NDArray[np.bool_]:
    """Tell of each id whether it is a word for a sum, as in `Total` or `SUM:`."""
    return ids.str.to_lowercase().str.strip_suffix(":").is_in(list(_TOTALS)).to_numpy()


def _reject_ragged(
    rejections: Rejections, table: Table, mapping: ColumnMapping, values: Sequence[FeatureValues]
) -> None:
    frame = table.frame
    rejections.reject(
        (frame[SURPLUS].fill_null("") != "").to_numpy(),
        Cause(
            RowRejection.WRONG_CELL_COUNT,
            None,
            "The row has more cells than the header, the rest is kept in the last one: "
            "put quotes around a cell that holds the delimiter.",
        ),
    )
    needed = [mapping.customer_id, *(mapping.features[v.feature.name] for v in values if v.feature.required)]
    for column in needed:
        # Rows that end after all that is required are scored: spreadsheets leave out empty cells at the end.
        rejections.reject(
            frame[str(column.position)].is_null().to_numpy(),
            Cause(RowRejection.WRONG_CELL_COUNT, column, "The row ends before this column: complete it."),
        )


def _plain_number(feature: NumericFeature) -> str:
    unit = _unit_word(feature)
    return f"Write a plain number of {unit}." if unit else "Write a plain number."


def _possible(feature: NumericFeature, column: MappedColumn) -> str:
    low, high = (f"{bound:,g}" for bound in (feature.valid_min, feature.valid_max))
    unit = _unit_word(feature)
    in_unit = f" {unit}" if unit else ""
    after = f" after the conversion from {column.conversion}" if column.conversion else ""
    return f"Possible are {low} to {high}{in_unit}{after}."


def _unit_word(feature: NumericFeature) -> str | None:
    """Return the word for a feature's unit; which currency an amount is in, nobody has told us."""
    return None if feature.unit == "currency" else feature.unit


def rejected_rows(
    table: Table, rejections: Rejections, row_numbers: pl.Series, columns: Sequence[int], delimiter: str
) -> pl.DataFrame:
    """Return the rejected rows as they were, and why: the columns of `rejected.csv`.

    What a row has beyond the header's width is put behind its last cell, so that nothing is lost.

    Args:
        table: the rows.
        rejections: which of them, and why.
        row_numbers: their numbers in the file.
        columns: positions of the columns to return.
        delimiter: what separates the cells beyond the header's width.
    """
    rejected = pl.Series(~rejections.scorable)
    frame = table.frame.filter(rejected)
    cause_of_row = rejections.cause_of_row[rejected.to_numpy()] - 1
    values = np.full(len(cause_of_row), None, np.object_)
    for position, cause in enumerate(rejections.causes):
        if cause.column is not None:
            rows = cause_of_row == position
            cells = frame[str(cause.column.position)].filter(pl.Series(rows))
            values[rows] = [mask(cell or "") for cell in cells]
    last = str(columns[-1])
    with_surplus = pl.concat_str([last, SURPLUS], separator=delimiter, ignore_nulls=True)
    original = frame.select(
        *(str(position) for position in columns[:-1]),
        pl.when(pl.col(SURPLUS).fill_null("") != "").then(with_surplus).otherwise(pl.col(last)).alias(last),
    )
    causes = pl.DataFrame(
        {
            "code": [cause.code.value for cause in rejections.causes],
            "column": [cause.column.header if cause.column else None for cause in rejections.causes],
            "hint": [cause.hint for cause in rejections.causes],
        },
        schema=dict.fromkeys(("code", "column", "hint"), pl.String),
    )[cause_of_row.astype(np.int64)]
    masked = pl.Series(values.tolist(), dtype=pl.String)
    why = (row_numbers.filter(rejected), causes["code"], causes["column"], masked, causes["hint"])
    return original.with_columns(
        series.alias(column.name) for series, column in zip(why, REJECTED_COLUMNS, strict=True)
    )
