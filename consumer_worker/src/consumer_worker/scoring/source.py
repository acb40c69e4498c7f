"""Reads a customer's file as tables of text: bounded blocks of whole rows, in any supported dialect.

Polars reads each block. A block that it cannot read, or not faithfully (stray quotes, rows with too many or
too few cells), is read again by `_read_with_care`: slower, but it knows how many cells each row has, and an
unclosed quote costs one row instead of all rows after it.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from consumer_worker.scoring.errors import ScoringFailed
from ml_models.intake.dialect import (
    HEAD_BYTES,
    MAX_RECORD_BYTES,
    Dialect,
    EmptyFile,
    NoRows,
    NotACsv,
    RecordTooLong,
    TooManyColumns,
    UnreadableEncoding,
    UnreadableFile,
    Utf8Tally,
    detect_dialect,
)
from retainwise_contracts.failures import FailureCode

if TYPE_CHECKING:
    from _csv import Reader

SURPLUS = "surplus"
"""The column of a table that holds the cells beyond the header's width; blank or null if there are none."""

MAX_TABLE_ROWS = 65_536
"""Rows per table. Memory use grows with the number of rows, and a block can hold many short ones."""

_CHECK_BYTES = 1 << 20
_LONE_RETURN = re.compile(rb"\r(?!\n)")
_MAX_ROW_LINES = 200
"""A quoted cell may contain line breaks. A row of more lines than this has an unclosed quote."""

_CODES: Mapping[type[UnreadableFile], FailureCode] = {
    EmptyFile: FailureCode.EMPTY_FILE,
    NotACsv: FailureCode.NOT_A_CSV,
    NoRows: FailureCode.NO_ROWS,
    UnreadableEncoding: FailureCode.UNREADABLE_ENCODING,
    TooManyColumns: FailureCode.TOO_MANY_COLUMNS,
    RecordTooLong: FailureCode.LINE_TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Table:
    """Consecutive rows of a file, without the blank ones.

    `frame` has one text column per column of the file, named by its position (`"0"`, `"1"`, …) and null where
    the row ended before it, and the column `SURPLUS`.
    """

    frame: pl.DataFrame
    first_row: int
    """Number of the first row, from 1. Blank rows are not numbered."""
    blank_rows: int
    """How many blank rows were left out."""


@dataclass(frozen=True, slots=True)
class _Row:
    cells: Sequence[str]
    lines: int
    """How many lines it takes up."""
    is_open: bool = False
    """Whether a quote is still open at the end of the text."""


class Source:
    """A file with a known dialect, read as tables."""

    def __init__(self, path: Path, dialect: Dialect, *, unreadable_characters: int = 0) -> None:
        self.dialect = dialect
        self.unreadable_characters = unreadable_characters
        """Number of broken characters in a UTF-8 file. Each is replaced by U+FFFD."""
        self._path = path
        self._width = len(dialect.headers)
        self._columns = [str(position) for position in range(self._width)]
        self._header = (dialect.delimiter.join([*self._columns, SURPLUS]) + "\n").encode()

    def tables(self, block_bytes: int) -> Iterator[Table]:
        """Read the file in blocks of about `block_bytes` bytes.

        Raises:
            ScoringFailed: a row is too long, or the file has bytes that are invalid in its encoding.
        """
        first_row = 1
        for frame in self._frames(block_bytes):
            rows = _without_blank_rows(frame)
            self._check_length(rows, first_row)
            blank_rows = frame.height - rows.height
            for some in rows.iter_slices(MAX_TABLE_ROWS) if rows.height else (rows,):
                yield Table(some, first_row, blank_rows)
                first_row += some.height
                blank_rows = 0

    def _frames(self, block_bytes: int) -> Iterator[pl.DataFrame]:
        lines_to_skip = self.dialect.lines_before_data
        buffer = bytearray()
        for piece in self._pieces(block_bytes):
            buffer += piece
            while lines_to_skip and (end := buffer.find(b"\n") + 1):
                del buffer[:end]
                lines_to_skip -= 1
            if lines_to_skip:
                continue
            frame, used = self._read(buffer)
            if used:
                yield frame
                del buffer[:used]
            elif len(buffer) > MAX_RECORD_BYTES:
                raise _row_too_long("A row")
        if buffer and not lines_to_skip:
            yield self._read_with_care(bytes(buffer), final=True)[0]

    def _pieces(self, size: int) -> Iterator[bytes]:
        """Yield the text as UTF-8, with lone carriage returns replaced as the dialect says."""
        held = b""
        for piece in self._decoded_pieces(size):
            text = held + piece
            # Only the next piece shows whether a carriage return at the end is alone.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(held)
            if text.count(b"\r") > text.count(b"\r\n"):
                text = _LONE_RETURN.sub(self.dialect.carriage_return.encode(), text)
            yield text
        yield held and self.dialect.carriage_return.encode()

    def _decoded_pieces(self, size: int) -> Iterator[bytes]:
        """Yield the file's text as UTF-8."""
        dialect = self.dialect
        as_it_is = dialect.encoding == "utf-8" and not self.unreadable_characters
        errors = "replace" if dialect.encoding == "utf-8" else "strict"
        decoder = codecs.getincrementaldecoder(dialect.encoding)(errors)
        with self._path.open("rb") as file:
            file.seek(len(dialect.bom))
            while piece := file.read(size):
                yield piece if as_it_is else _decode(decoder, piece, dialect.encoding, final=False)
        yield _decode(decoder, b"", dialect.encoding, final=True)

    def _read(self, buffer: bytearray) -> tuple[pl.DataFrame, int]:
        """Read the complete rows in the buffer; return them and the number of bytes they take."""
        end = self._end_of_rows(buffer)
        if end and not self.dialect.blank_before_quotes:  # to Polars, such quotes would be part of the cell
            with suppress(pl.exceptions.PolarsError):
                frame = pl.read_csv(
                    b"".join((self._header, memoryview(buffer)[:end])),
                    separator=self.dialect.delimiter,
                    quote_char=self.dialect.quote,
                    infer_schema=False,
                    empty_string_is_null=False,
                    extra_columns="ignore",
                )
                if self._is_faithful(frame, buffer, end):
                    return frame, end
        return self._read_with_care(bytes(buffer[: buffer.rfind(b"\n") + 1]), final=False)

    def _end_of_rows(self, buffer: bytearray) -> int:
        """Return where the last complete row in the buffer ends; 0 if only `_read_with_care` can find out."""
        quote = self.dialect.quote.encode()
        end = buffer.rfind(b"\n") + 1
        quotes = buffer.count(quote, 0, end)
        # Before the end of a row the number of quotes is even, before a line break within a cell it is odd.
        for _ in range(_MAX_ROW_LINES):
            if quotes % 2 == 0:
                return end
            start = buffer.rfind(b"\n", 0, end - 1) + 1
            quotes -= buffer.count(quote, start, end)
            end = start
        return 0

    def _is_faithful(self, frame: pl.DataFrame, buffer: bytearray, end: int) -> bool:
        """Return whether each row up to `end` had exactly one cell per column.

        Polars fills up short rows and cuts long ones, so the delimiters have to be counted.
        """
        if (frame[SURPLUS] != "").any():
            return False
        delimiter = self.dialect.delimiter
        delimiters = buffer.count(delimiter.encode(), 0, end)
        if buffer.find(self.dialect.quote.encode(), 0, end) >= 0:
            quoted = frame.select(pl.col(self._columns).str.count_matches(delimiter, literal=True).sum())
            delimiters -= sum(quoted.row(0))
        return delimiters == frame.height * (self._width - 1)

    def _read_with_care(self, block: bytes, *, final: bool) -> tuple[pl.DataFrame, int]:
        """Read a block of complete lines; unless it is `final`, its last row may continue in the next one."""
        cells: list[list[str | None]] = [[] for _ in range(self._width + 1)]
        lines = _lines(block.decode())
        used = 0
        for row in self._rows(lines):
            if row.is_open and not final:
                break
            used += row.lines
            width = len(row.cells)
            for position, column in enumerate(cells[:-1]):
                column.append(row.cells[position] if position < width else None)
            surplus = self.dialect.delimiter.join(row.cells[self._width :])
            cells[-1].append(surplus if surplus.strip(self.dialect.delimiter + " ") else None)
        frame = pl.DataFrame(cells, schema=dict.fromkeys([*self._columns, SURPLUS], pl.String), orient="col")
        return frame, len("".join(lines[:used]).encode())

    def _rows(self, lines: Sequence[str]) -> Iterator[_Row]:
        line = 0
        while line < len(lines):
            row = self._row(lines[line : line + _MAX_ROW_LINES])
            yield row
            line += row.lines

    def _row(self, lines: Sequence[str]) -> _Row:
        """Read the row that begins with the first of these lines."""
        delimiter, quote = self.dialect.delimiter, self.dialect.quote
        first = lines[0].rstrip("\r\n")
        if quote not in first:
            return _Row(first.split(delimiter), 1)
        # If the row includes the blank line added at the end, a quote is still open.
        reader = self._reader([*lines, ""], strict=True)
        with suppress(csv.Error):
            cells = next(reader)
            if reader.line_num == 1 or (reader.line_num <= len(lines) and len(cells) == self._width):
                return _Row(cells, reader.line_num)
        # A stray quote, or an unclosed one that would take in the next rows: read the line by itself.
        is_open = reader.line_num > len(lines) and len(lines) < _MAX_ROW_LINES
        cells = first.split(delimiter)
        if len(cells) != self._width:
            with suppress(csv.Error):
                cells = next(self._reader([first], strict=False))
        return _Row(cells, 1, is_open=is_open)

    def _reader(self, lines: Sequence[str], *, strict: bool) -> "Reader":
        return csv.reader(
            lines,
            delimiter=self.dialect.delimiter,
            quotechar=self.dialect.quote,
            skipinitialspace=self.dialect.blank_before_quotes,
            strict=strict,
        )

    def _check_length(self, frame: pl.DataFrame, first_row: int) -> None:
        lengths = frame.select(pl.sum_horizontal(pl.all().str.len_bytes())).to_series()
        too_long = (lengths > MAX_RECORD_BYTES).arg_max()
        if too_long is not None and lengths[too_long] > MAX_RECORD_BYTES:
            raise _row_too_long(f"Row {first_row + too_long:,}")


def open_source(path: Path, *, max_bytes: int) -> Source:
    """Detect a file's dialect and open it for reading.

    Args:
        path: the file.
        max_bytes: the largest size that is accepted.

    Raises:
        ScoringFailed: the file is too large, or is not a table of customers.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise ScoringFailed(FailureCode.FILE_TOO_LARGE, f"It has {size:,} bytes; the limit is {max_bytes:,}.")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        try:
            dialect = detect_dialect(head, whole=size <= HEAD_BYTES)
        except UnreadableFile as error:
            raise ScoringFailed(_CODES[type(error)], str(error)) from error
        # A Windows-1252 file can be ASCII for a long way before its first umlaut shows that it is not UTF-8.
        if dialect.encoding not in ("utf-8", "windows-1252") or _is_utf8(file):
            return Source(path, dialect)
        tally = _tally(file)
    if tally.is_mostly_utf8:
        return Source(path, replace(dialect, encoding="utf-8"), unreadable_characters=tally.broken)
    if dialect.bom:
        raise _undecodable_text(dialect.encoding)
    return Source(path, replace(dialect, encoding="windows-1252"))


def _is_utf8(file: BinaryIO) -> bool:
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_CHECK_BYTES):
            # Checking for ASCII is much faster than decoding. A character may have begun in the piece before.
            if not piece.isascii() or decoder.getstate()[0]:
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _tally(file: BinaryIO) -> Utf8Tally:
    file.seek(0)
    tally = Utf8Tally()
    while piece := file.read(_CHECK_BYTES):
        tally.add(piece)
    tally.add(b"", final=True)
    return tally


def _decode(decoder: codecs.IncrementalDecoder, piece: bytes, encoding: str, *, final: bool) -> bytes:
    try:
        return decoder.decode(piece, final).encode()
    except UnicodeError as error:
        raise _undecodable_text(encoding) from error


def _undecodable_text(encoding: str) -> ScoringFailed:
    return ScoringFailed(
        FailureCode.UNREADABLE_ENCODING,
        f"It starts as {encoding.upper()} but has invalid bytes further down.",
    )


def _lines(text: str) -> list[str]:
    """Split at line feeds only: str.splitlines also splits at form feeds and Unicode line separators."""
    lines = [line + "\n" for line in text.split("\n")]
    return lines if lines[-1] != "\n" else lines[:-1]


def _without_blank_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the rows that have only blanks, line breaks and delimiters."""
    suspects = frame["0"].str.strip_chars().fill_null("") == ""
    if not suspects.any():
        return frame
    has_text = pl.any_horizontal(pl.all().str.contains(r"\S").fill_null(value=False))
    return frame.filter(~suspects | frame.select(has_text).to_series())


def _row_too_long(what: str) -> ScoringFailed:
    return ScoringFailed(
        FailureCode.LINE_TOO_LONG,
        f"{what} is longer than {MAX_RECORD_BYTES:,} bytes. Check its quotes and line breaks.",
    )
