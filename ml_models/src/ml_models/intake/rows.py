"""Reads the rows of a text cell by cell: slower than a library, but it knows how many cells each row has.

An unclosed quote costs one row instead of all rows after it.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ml_models.intake.dialect import Dialect, head_text

if TYPE_CHECKING:
    from _csv import Reader

MAX_ROW_LINES = 200
"""A quoted cell may contain line breaks. A row of more lines than this has an unclosed quote."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a text."""

    cells: Sequence[str]
    lines: int
    """How many lines it takes up."""
    is_open: bool = False
    """Whether a quote is still open at the end of the text."""


class RowReader:
    """Reads rows in a known dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._width = len(dialect.headers)

    def rows(self, lines: Sequence[str]) -> Iterator[Row]:
        """Read consecutive lines, each with its line feed."""
        line = 0
        while line < len(lines):
            row = self._row(lines[line : line + MAX_ROW_LINES])
            yield row
            line += row.lines

    def _row(self, lines: Sequence[str]) -> Row:
        """Read the row that begins with the first of these lines."""
        delimiter, quote = self._dialect.delimiter, self._dialect.quote
        first = lines[0].rstrip("\r\n")
        if quote not in first:
            return Row(first.split(delimiter), 1)
        # If the row includes the blank line added at the end, a quote is still open.
        reader = self.reader([*lines, ""], strict=True)
        with suppress(csv.Error):
            cells = next(reader)
            if reader.line_num == 1 or (reader.line_num <= len(lines) and len(cells) == self._width):
                return Row(cells, reader.line_num)
        # A stray quote, or an unclosed one that would take in the next rows: read the line by itself.
        is_open = reader.line_num > len(lines) and len(lines) < MAX_ROW_LINES
        cells = first.split(delimiter)
        if len(cells) != self._width:
            with suppress(csv.Error):
                cells = next(self.reader([first], strict=False))
        return Row(cells, 1, is_open=is_open)

    def reader(self, lines: Sequence[str], *, strict: bool) -> "Reader":
        """Return a reader of the csv module; a strict one raises csv.Error at a stray quote."""
        return csv.reader(
            lines,
            delimiter=self._dialect.delimiter,
            quotechar=self._dialect.quote,
            skipinitialspace=self._dialect.space_before_quotes,
            strict=strict,
        )


def split_lines(text: str) -> list[str]:
    """Split at line feeds only: str.splitlines also splits at form feeds and Unicode line separators."""
    lines = [line + "\n" for line in text.split("\n")]
    return lines if lines[-1] != "\n" else lines[:-1]


def first_rows(head: bytes, dialect: Dialect, *, whole: bool, at_most: int) -> list[Sequence[str]]:
    """Return the cells of the first rows of data that are not blank.

    Args:
        head: what `detect_dialect` got.
        dialect: what it returned.
        whole: whether `head` is the whole file.
        at_most: how many rows. The last line of a head that is not the whole file may be incomplete.
    """
    lines = split_lines(head_text(head, dialect, whole=whole))[dialect.lines_before_data :]
    rows = (row.cells for row in RowReader(dialect).rows(lines))
    return list(islice((cells for cells in rows if any(map(str.strip, cells))), at_most))
