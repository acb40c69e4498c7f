"""Finds the rows that cannot be scored, and says why and how the customer can fix them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.source import SURPLUS, Table
from consumer_worker.scoring.values import FeatureValues, NumericValues
from ml_models.card import NumericFeature, normalise
from ml_models.intake.columns import ColumnMapping, ColumnMatch
from ml_models.intake.disclosure import mask
from ml_models.intake.numbers import MISSING
from retainwise_contracts.results import REJECTED_COLUMNS, RowRejection

_TOTALS = frozenset(
    f"{word}{colon}"
    for word in ("total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt")
    for colon in ("", ":")
)
"""Words in place of an id in a row of totals, which spreadsheets put below a table."""


_TOTAL_OF_GROUP = (
    r"(?:^|[ _-])(?:sub)?totals?:?$|^(?:sub)?(?:totale?|totaal|summe|sum) |[ -](?:summe|ergebnis|resultado)$"
    r"|^gesamt(?:ergebnis|summe)$|^totale?$|^totaal$"
)
"""`North Total`, `Total Nord`, `Nord Ergebnis`: rows of subtotals, if they have no customer's categories."""

_DATE = (
    r"^(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[-/.]\d{4}"
    r"|\d{1,2}(?:\.|st|nd|rd|th)?[ -]\pL{3,12}\.?,?[ -]\d{2,4}|\pL{3,12}\.? (?:\d{1,2},? )?\d{4})"
    r"(?:[T ,].{0,40})?$"
)
"""Dates as people and programs write them, with or without a time."""

_OF_VALUES = (RowRejection.NOT_A_NUMBER, RowRejection.OUT_OF_RANGE, RowRejection.MISSING_VALUE)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rows are rejected."""

    code: RowRejection
    column: ColumnMatch | None
    """The column at fault; None if it is the row as a whole."""
    hint: str
    """How to fix it, as a sentence."""
    words: str = ""
    """What is wrong, where it can be said more exactly than by the code."""

    @property
    def reason(self) -> str:
        """The code and the column in words: `out of range in “tenure”`."""
        words = self.words or self.code.value.replace("_", " ")
        return f"{words} in “{self.column.header}”" if self.column else words


_HEADER_CAUSE = Cause(
    RowRejection.MISSING_ID, None, "This row repeats the header. Remove it.", words="header again"
)
_TOTALS_CAUSE = Cause(
    RowRejection.MISSING_ID,
    None,
    "This is a row of totals, not a customer. Remove it.",
    words="row of totals",
)


@dataclass(slots=True)
class Rejections:
    """The rejected rows of a table. A row with several faults is rejected for the first one found."""

    causes: list[Cause] = field(default_factory=list)
    cause_of_row: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    """`[rows]`: 0 if the row can be scored, else the position of its cause in `causes` plus one."""

    def reject(self, rows: NDArray[np.bool_], cause: Cause) -> None:
        """Reject these rows, unless they are rejected already; `rows` is bool `[rows]`."""
        rows = rows & (self.cause_of_row == 0)
        if rows.any():
            self.causes.append(cause)
            self.cause_of_row[rows] = len(self.causes)

    @property
    def scorable(self) -> NDArray[np.bool_]:
        """Bool `[rows]`: which rows can be scored."""
        return np.equal(self.cause_of_row, 0)

    @property
    def of_values(self) -> NDArray[np.bool_]:
        """Bool `[rows]`: which rows are rejected for the values of required columns."""
        is_value = np.array([False, *(cause.code in _OF_VALUES for cause in self.causes)])
        return is_value[self.cause_of_row]

    def counts(self) -> Mapping[Cause, int]:
        """Count the rejected rows by cause."""
        counts = np.bincount(self.cause_of_row, minlength=len(self.causes) + 1)
        return {cause: int(count) for cause, count in zip(self.causes, counts[1:], strict=True)}


def find_rejections(
    table: Table, ids: pl.Series, features: Sequence[FeatureValues], mapping: ColumnMapping
) -> Rejections:
    """Find the rows that cannot be scored.

    Args:
        table: the rows.
        ids: the customer ids of the rows, without surrounding spaces.
        features: the features of the rows.
        mapping: which column is which feature.
    """
    rejections = Rejections(cause_of_row=np.zeros(table.frame.height, np.int16))
    # First: the other hints would ask to fill in a row that is not a customer.
    lower = ids.str.to_lowercase()
    rejections.reject(
        lower.is_in(list(_TOTALS)).to_numpy(),
        _TOTALS_CAUSE,
    )
    rejections.reject(_repeats_header(lower, mapping), _HEADER_CAUSE)
    _reject_subtotals(rejections, lower, features)
    _reject_wrong_cell_counts(rejections, table, mapping, features)
    rejections.reject(
        lower.is_in(list(MISSING)).to_numpy(),
        Cause(
            RowRejection.MISSING_ID,
            mapping.customer_id,
            "Fill in the customer ID, or remove the row if it is not a customer.",
        ),
    )
    required = [values for values in features if values.feature.required]
    for values in required:
        if isinstance(values, NumericValues):
            column = mapping.features[values.feature.name]
            _reject_dates(rejections, values, table.frame[str(column.position)], column)
            rejections.reject(
                values.not_a_number,
                Cause(RowRejection.NOT_A_NUMBER, column, _number_hint(values.feature)),
            )
            rejections.reject(
                values.out_of_range,
                Cause(RowRejection.OUT_OF_RANGE, column, _range_hint(values.feature, column)),
            )
    if required:
        names = ", ".join(values.feature.label for values in required)
        rejections.reject(
            np.logical_and.reduce([values.missing for values in required]),
            Cause(RowRejection.MISSING_VALUE, None, f"Fill in at least one of: {names}."),
        )
    return rejections


def _repeats_header(lower: pl.Series, mapping: ColumnMapping) -> NDArray[np.bool_]:
    # A second file with a byte order mark of its own may have been appended.
    header = mapping.customer_id.header.lower()
    return lower.is_in([header, f"\ufeff{header}"]).to_numpy()


def find_other_header(
    table: Table, rejections: Rejections, row_numbers: pl.Series, mapping: ColumnMapping
) -> int | None:
    """Return the number of the first row that is another header, of other columns or in another order."""
    if _HEADER_CAUSE not in rejections.causes:
        return None
    repeated = rejections.cause_of_row == rejections.causes.index(_HEADER_CAUSE) + 1
    for row in np.flatnonzero(repeated):
        for column in mapping.features.values():
            cell = normalise(table.frame[str(column.position)][int(row)] or "")
            if cell and cell != normalise(column.header):
                return int(row_numbers[int(row)])
    return None


def _reject_subtotals(rejections: Rejections, lower: pl.Series, features: Sequence[FeatureValues]) -> None:
    categories = [
        values for values in features if values.feature.required and not isinstance(values, NumericValues)
    ]
    if not categories:
        return
    has_none = np.logical_and.reduce([values.missing for values in categories])
    if has_none.any():
        named = lower.filter(pl.Series(has_none)).str.contains(_TOTAL_OF_GROUP)
        has_none[has_none] = named.fill_null(value=False).to_numpy()
        rejections.reject(has_none, _TOTALS_CAUSE)


def _reject_dates(
    rejections: Rejections, values: NumericValues, texts: pl.Series, column: ColumnMatch
) -> None:
    if not values.not_a_number.any():
        return
    dates = texts.fill_null("").str.strip_chars().str.contains(_DATE).to_numpy()
    unit = _unit_word(values.feature)
    of_unit = f" of {unit}" if unit else ""
    until = f", for {unit} those from the date until today" if unit == "months" else ""
    rejections.reject(
        values.not_a_number & dates,
        Cause(
            RowRejection.NOT_A_NUMBER,
            column,
            f"Convert the date to a number{of_unit}{until}.",
            words="a date, not a number,",
        ),
    )


def _reject_wrong_cell_counts(
    rejections: Rejections, table: Table, mapping: ColumnMapping, features: Sequence[FeatureValues]
) -> None:
    frame = table.frame
    rejections.reject(
        frame[SURPLUS].is_not_null().to_numpy(),
        Cause(
            RowRejection.WRONG_CELL_COUNT,
            None,
            "The row has more cells than the header; the extra cells were joined to the last one. "
            "Put quotes around cells that contain the delimiter.",
        ),
    )
    required = (mapping.features[values.feature.name] for values in features if values.feature.required)
    for column in (mapping.customer_id, *required):
        # Rows that end after the required columns are scored: spreadsheets omit empty cells at the end.
        rejections.reject(
            frame[str(column.position)].is_null().to_numpy(),
            Cause(
                RowRejection.WRONG_CELL_COUNT,
                column,
                "The row ends before this column. Add the missing cells, or remove the row if it is not a "
                "customer.",
            ),
        )


def _number_hint(feature: NumericFeature) -> str:
    unit = _unit_word(feature)
    return f"Enter a plain number of {unit}." if unit else "Enter a plain number."


def _range_hint(feature: NumericFeature, column: ColumnMatch) -> str:
    low, high = (f"{bound:,g}" for bound in (feature.valid_min, feature.valid_max))
    unit = _unit_word(feature)
    in_unit = f" {unit}" if unit else ""
    after = f" after conversion from {column.conversion}" if column.conversion else ""
    return f"Enter a value from {low} to {high}{in_unit}{after}."


def _unit_word(feature: NumericFeature) -> str | None:
    """Return the word for a feature's unit; None for amounts, whose currency is unknown."""
    return None if feature.unit == "currency" else feature.unit


def rejected_rows(
    table: Table, rejections: Rejections, row_numbers: pl.Series, columns: Sequence[int], delimiter: str
) -> pl.DataFrame:
    """Return the rejected rows as they were uploaded, and why: the columns of `rejected.csv`.

    Cells beyond the header's width are joined to the last cell, so that nothing is lost.

    Args:
        table: the rows.
        rejections: which of the rows are rejected, and why.
        row_numbers: the numbers of the rows in the file.
        columns: positions of the columns to return.
        delimiter: the delimiter between the joined cells.
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
        pl.when(pl.col(SURPLUS).is_not_null()).then(with_surplus).otherwise(pl.col(last)).alias(last),
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
