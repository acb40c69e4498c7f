"""Reads result files with Polars: the only module of the API that does.

Its functions run in a thread and take as much memory as the rows that they return, not as the file: what a
filter needs is read first, and the whole rows only of those that it lets through.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from retainwise_contracts.formulas import BEGINS_A_CELL, DANGEROUS, DANGEROUS_THERE, HARMLESS
from retainwise_contracts.prediction_requested import CUSTOMER_VALUE
from retainwise_contracts.results import REJECTED_COLUMNS, VALUE_AT_RISK, value_column

Order = Literal["risk", "value", "file"]
Row = dict[str, Any]

MAX_CELL_CHARACTERS = 1_000
"""Of a rejected row's cell that is shown; the file has all of it."""

MAX_GROUPS = 1_000

_AT = "at"
"""The position of a row in its file, from 0."""

_HEADER_BYTES = 2 << 20
"""More than the longest header."""

_CODE, _COLUMN, _VALUE, _HINT = "rejected_code", "rejected_column", "rejected_value", "rejected_hint"


@dataclass(frozen=True)
class RowFilter:
    """Which rows are wanted: those for which all that is given holds."""

    risk: Sequence[str] = ()
    min_probability: float | None = None
    reason: str | None = None
    customer_id: str | None = None


@dataclass(frozen=True)
class Found:
    """Some rows of a result, by column. A column that the file does not have is missing."""

    rows: Sequence[Row]
    reasons: int
    """How many each may have."""
    next_start: int | None
    """Where the next rows begin; None if there are no more."""


@dataclass(frozen=True)
class Exported:
    """A piece of an export."""

    text: bytes
    rows: int
    next_start: int | None


@dataclass(frozen=True)
class Rejected:
    """Rejected rows: all of them by cause, and some of them with their cells."""

    columns: Sequence[str]
    groups: Sequence[Row]
    items: Sequence[Row]
    next_start: int | None


def find_rows(path: Path, wanted: RowFilter, order: Order, *, start: int, at_most: int) -> Found:
    """Return some of the rows that are wanted, without the values of their features.

    Args:
        path: `scores.parquet` for the order of the file, `worklist.parquet` for the others.
        wanted: which rows.
        order: of the rows.
        start: where the rows begin, 0 or the `next_start` of those before.
        at_most: how many rows.
    """
    file = _ScoreFile(path)
    positions, next_start = file.find(wanted, order, start, at_most)
    return Found(file.read(positions, file.shown).to_dicts(), file.reasons, next_start)


def read_row(path: Path, row_number: int) -> Found:
    """Return the one row of this number, with the values of its features, or none."""
    file = _ScoreFile(path)
    row = file.scan.filter(pl.col("row_number") == row_number).head(1)
    return Found(
        row.with_columns(file.value_at_risk).collect(engine="streaming").to_dicts(), file.reasons, None
    )


def values_of(row: Row, features: Sequence[str]) -> dict[str, float | str | None] | None:
    """Return the values of a row's features; None if the file does not have them."""
    columns = {feature: value_column(feature) for feature in features}
    if not row.keys() >= set(columns.values()):
        return None
    return {feature: row[column] for feature, column in columns.items()}


def export_rows(
    path: Path, wanted: RowFilter, order: Order, actions: Mapping[str, str], *, start: int, at_most: int
) -> Exported:
    """Return some of the wanted rows as CSV, with a header if they are the first.

    Args:
        path: as for `find_rows`.
        wanted: which rows.
        order: of the rows.
        actions: by feature, what could be done for a customer whose risk it raises.
        start: where the rows begin, 0 or the `next_start` of those before.
        at_most: how many rows.
    """
    file = _ScoreFile(path)
    positions, next_start = file.find(wanted, order, start, at_most)
    ranks = range(1, file.reasons + 1)
    suggested = [
        pl.when(pl.col(f"reason_{rank}_effect") > 0).then(
            pl.col(f"reason_{rank}").replace_strict(actions, default=None, return_dtype=pl.String)
        )
        for rank in ranks
    ]
    texts = [pl.col(f"reason_{rank}_text") for rank in ranks]
    # A file without reasons, or without values, has empty columns.
    reasons = _escape(pl.concat_str(texts, separator="; ", ignore_nulls=True)) if texts else pl.lit(None)
    at_risk = pl.col(VALUE_AT_RISK).round(2) if VALUE_AT_RISK in file.shown else pl.lit(None)
    written = file.read(positions, file.shown).select(
        _escape(pl.col("customer_id")),
        pl.col("churn_probability").round(6),
        "risk_level",
        at_risk.alias(VALUE_AT_RISK),
        reasons.alias("reasons"),
        (pl.coalesce(suggested) if suggested else pl.lit(None)).alias("suggested_action"),
    )
    text = written.write_csv(include_header=start == 0, line_terminator="\r\n", float_scientific=False)
    return Exported(text.encode(), written.height, next_start)


def read_rejected(
    path: Path, delimiter: str, code: str | None, column: str | None, *, start: int, at_most: int
) -> Rejected:
    """Return the causes of all rejected rows, and some of the rows, each cell as it was uploaded.

    Args:
        path: `rejected.csv`.
        delimiter: of the file.
        code: only rows that were rejected for this.
        column: only rows that were rejected for this column.
        start: where the rows begin, 0 or the `next_start` of those before.
        at_most: how many rows.
    """
    headers = _read_header(path, delimiter)
    own = [added.name for added in REJECTED_COLUMNS]
    originals = _distinct(headers[: -len(own)])
    names = [*(str(position) for position in range(len(originals))), *own]  # a header may be one of ours
    scan = pl.scan_csv(
        path,
        separator=delimiter,
        infer_schema=False,
        empty_string_is_null=False,
        with_column_names=lambda _: names,
        glob=False,
    ).with_row_index(_AT)
    causes = scan.select(_unescape(pl.col(_CODE, _COLUMN, _HINT)))
    groups = (
        causes.group_by(_CODE, _COLUMN)
        .agg(pl.len().alias("rows"), pl.col(_HINT).first())
        .sort("rows", _CODE, _COLUMN, descending=[True, False, False])
        .head(MAX_GROUPS)
        .collect(engine="streaming")
    )
    for name, only in ((_CODE, code), (_COLUMN, column)):
        if only is not None:
            scan = scan.filter(_unescape(pl.col(name)) == only)
    # The position is compared, for what is skipped must be parsed anyhow: a cell may have line breaks.
    found = scan.filter(pl.col(_AT) >= start).head(at_most + 1).collect(engine="streaming")
    shown = found.head(at_most).with_columns(_unescape(pl.col(names)).str.slice(0, MAX_CELL_CHARACTERS))
    return Rejected(
        columns=originals,
        groups=[
            {"code": row[_CODE], "column": row[_COLUMN] or None, "rows": row["rows"], "hint": row[_HINT]}
            for row in groups.to_dicts()
        ],
        items=[
            {
                "row_number": int(row["rejected_row"]),
                "code": row[_CODE],
                "column": row[_COLUMN] or None,
                "value": row[_VALUE] or None,
                "hint": row[_HINT],
                "values": {header: row[str(position)] for position, header in enumerate(originals)},
            }
            for row in shown.to_dicts()
        ],
        next_start=int(shown[_AT][-1]) + 1 if found.height > at_most else None,
    )


class _ScoreFile:
    """A `scores.parquet` or `worklist.parquet`, of this release or an older one."""

    def __init__(self, path: Path) -> None:
        self.scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        self._schema = self.scan.collect_schema()
        names = self._schema.names()
        self.reasons = sum(1 for name in names if name.startswith("reason_") and name.count("_") == 1)
        self.shown = [name for name in names if not name.startswith("value_") or name == VALUE_AT_RISK]
        if CUSTOMER_VALUE in names and VALUE_AT_RISK not in names:
            self.shown.append(VALUE_AT_RISK)

    @property
    def value_at_risk(self) -> Sequence[pl.Expr]:
        """The column of this name, where the file has only what it is made of."""
        if VALUE_AT_RISK in self._schema or CUSTOMER_VALUE not in self._schema:
            return []
        return [(pl.col("churn_probability") * pl.col(CUSTOMER_VALUE)).alias(VALUE_AT_RISK)]

    def find(self, wanted: RowFilter, order: Order, start: int, at_most: int) -> tuple[pl.Series, int | None]:
        """Return the positions of some of the rows that are wanted, in order, and where the next begin."""
        skipped = 0 if order == "value" else start
        # The index comes after the slice: before it, Polars would read all that is skipped.
        rows = self.scan.slice(skipped).with_row_index(_AT, offset=skipped)
        for condition in self._conditions(wanted):
            rows = rows.filter(condition)
        if order == "value":
            rows = (
                rows.with_columns(self.value_at_risk)
                .select(_AT, VALUE_AT_RISK)
                .sort(VALUE_AT_RISK, descending=True, nulls_last=True, maintain_order=True)
                .slice(start)
            )
        found = rows.select(_AT).head(at_most + 1).collect(engine="streaming").to_series()
        positions = found.head(at_most)
        if len(found) <= at_most:
            return positions, None
        return positions, start + at_most if order == "value" else int(positions[-1]) + 1

    def read(self, positions: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows at these positions, in this order."""
        first, last = (int(positions.min()), int(positions.max())) if len(positions) else (0, -1)  # type: ignore[arg-type]  # integers
        stored = [name for name in columns if name in self._schema]
        rows = (
            self.scan.select(stored)
            .slice(first, last - first + 1)
            .with_row_index(_AT, offset=first)
            .filter(pl.col(_AT).is_in(positions.implode()))
            .collect(engine="streaming")
            .with_columns(self.value_at_risk)
        )
        wanted = positions.to_frame(_AT)
        return wanted.join(rows, on=_AT, how="left", maintain_order="left").drop(_AT)

    def _conditions(self, wanted: RowFilter) -> Sequence[pl.Expr]:
        conditions = []
        if wanted.risk:
            conditions.append(pl.col("risk_level").is_in(wanted.risk))
        if wanted.min_probability is not None:
            conditions.append(pl.col("churn_probability") >= wanted.min_probability)
        if wanted.customer_id is not None:
            conditions.append(pl.col("customer_id") == wanted.customer_id)
        if wanted.reason is not None:
            reasons = [pl.col(f"reason_{rank}") == wanted.reason for rank in range(1, self.reasons + 1)]
            conditions.append(pl.any_horizontal(reasons) if reasons else pl.lit(value=False))
        return conditions


def _read_header(path: Path, delimiter: str) -> list[str]:
    """Return the headers of a CSV file of ours, as they were uploaded."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES).decode("utf-8-sig", "ignore")  # it may end within a character
    headers = pl.Series(next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)), dtype=pl.String)
    return headers.to_frame("header").select(_unescape(pl.col("header"))).to_series().to_list()


def _distinct(headers: Sequence[str]) -> list[str]:
    """Number headers that are the same: `Phone`, `Phone (2)`."""
    distinct: dict[str, None] = {}
    for header in headers:
        name, copies = header, 1
        while name in distinct:
            copies += 1
            name = f"{header} ({copies})"
        distinct[name] = None
    return list(distinct)


def _escape(text: pl.Expr) -> pl.Expr:
    """Put an apostrophe before what a spreadsheet would execute, as the worker does in its files."""
    runs = text.str.contains(f"^{DANGEROUS}") & ~text.str.contains(HARMLESS)
    within = text.str.replace_all(f"{BEGINS_A_CELL}{DANGEROUS_THERE}", "${1}'${2}")
    return pl.when(runs).then("'" + within).otherwise(within).name.keep()


def _unescape(text: pl.Expr) -> pl.Expr:
    """Undo `_escape`."""
    within = text.str.replace_all(f"{BEGINS_A_CELL}'{DANGEROUS_THERE}", "${1}${2}")
    return within.str.replace(f"^'{DANGEROUS}", "${1}")
