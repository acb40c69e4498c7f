"""Reads a customer's file as tables of text: bounded blocks of whole rows, in any supported dialect.

Polars reads each block. A block that it cannot read, or not faithfully (stray quotes, rows with too many or
too few cells), is read by `_read_with_care` instead: slower, but it knows how many cells each row has, and an
unclosed quote costs one row instead of all rows after it. `shift` decides what a blank cell too many means.
"""

import codecs
import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.errors import ScoringFailed
from consumer_worker.scoring.shift import SAMPLED_ROWS, tolerated_surplus
from ml_models.intake.dialect import (
    HEAD_BYTES,
    Dialect,
    EmptyFile,
    NoRows,
    NotACsv,
    RowTooLong,
    TooManyColumns,
    UnreadableEncoding,
    UnreadableFile,
    Utf8Tally,
    describe_uncertain,
    detect_dialect,
    unwrap_rows,
)
from ml_models.intake.encoding import UncertainEncoding, WordSample, legacy_encoding
from ml_models.intake.rows import MAX_ROW_LINES, RowReader, split_lines
from retainwise_contracts.failures import FailureCode

SURPLUS = "surplus"
"""The column of a table that holds the cells beyond the header's width, joined by the delimiter; null if
there are none, or only blank ones that nearly all rows of the file have."""

MAX_TABLE_ROWS = 32_768
"""Rows per table. Memory use grows with the number of rows, and a block can hold many short ones. Twice as
many take 60 MB more in two threads, and save no time."""

MAX_READ_CELLS = 1_500_000
"""Rows times columns that are read at once. A cell takes 16 bytes even if the row ends before it, so that a
block of short lines below a wide header would take gigabytes. 8 MiB of the training data's rows are
1.3 million."""

MAX_LINE_BYTES = 8 << 20
"""A longer line is not a row of a table. A long note is: it costs memory and nothing else."""

_CHECK_BYTES = 1 << 20
_NOT_IN_UTF8 = b"\xff"
_BLANK_LINES = re.compile(rb"(?:\r?\n)++")
"""Possessive: a repetition that can be taken back keeps 100 bytes for each line, which may have one byte."""

# The csv module reads no cell of more than 131,072 characters unless it may.
csv.field_size_limit(MAX_LINE_BYTES)

_CODES: Mapping[type[UnreadableFile], FailureCode] = {
    EmptyFile: FailureCode.EMPTY_FILE,
    NotACsv: FailureCode.NOT_A_CSV,
    NoRows: FailureCode.NO_ROWS,
    UnreadableEncoding: FailureCode.UNREADABLE_ENCODING,
    TooManyColumns: FailureCode.TOO_MANY_COLUMNS,
    RowTooLong: FailureCode.LINE_TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Table:
    """Consecutive rows of a file, without the blank ones.

    `frame` has one text column per column of the file, named by its position (`"0"`, `"1"`, …) and null where
    the row ended before it, and the column `SURPLUS`.
    """

    frame: pl.DataFrame
    row_numbers: pl.Series
    """Int64, not null: the number of each row as a spreadsheet shows it. Title rows, the header and blank
    rows are counted; a row of several lines is one row."""
    blank_rows: int
    """How many blank rows were left out before these rows, or after the last ones."""
    surplus_rows: int
    """How many rows have blank cells beyond the header that were ignored, as nearly all rows have them."""


class Source:
    """A file with a known dialect, read as tables."""

    def __init__(self, path: Path, dialect: Dialect, *, unreadable_characters: int = 0) -> None:
        self.dialect = dialect
        self.unreadable_characters = unreadable_characters
        """Number of broken characters in a UTF-8 file. Each is replaced by U+FFFD."""
        self.expected_rows = 0
        """How many rows the whole file may have, by the length of those in the tables so far."""
        self._path = path
        self._bytes_total = self._bytes_read = 0
        self._bytes_taken = 1
        """By the rows so far; an estimate where the encoding is not UTF-8."""
        self._width = len(dialect.headers)
        self._row_reader = RowReader(dialect)
        self._columns = [str(position) for position in range(self._width)]
        self._header = (dialect.delimiter.join([*self._columns, SURPLUS]) + "\n").encode()

    def tables(self, block_bytes: int, *, max_rows: int, max_cells: int) -> Iterator[Table]:
        """Read the file in blocks of about `block_bytes` bytes.

        Args:
            block_bytes: the bytes read at once.
            max_rows: the most rows that a file may have.
            max_cells: the most cells: rows times columns of the header. Rows without any text do not count.

        Raises:
            ScoringFailed: the file has too many rows or cells, a line is too long, or the file has bytes that
                are invalid in its encoding.
        """
        total = blank_rows = 0
        for block in self._blocks(block_bytes):
            frame, row_numbers = _without_blank_rows(block)
            blank_rows += block.rows - frame.height
            total += frame.height
            self.expected_rows = max(total, total * self._bytes_total // self._bytes_taken)
            if total > max_rows:
                raise ScoringFailed(
                    FailureCode.TOO_MANY_ROWS, f"It has more than {max_rows:,} rows, the limit."
                )
            if total * self._width > max_cells:
                raise ScoringFailed(
                    FailureCode.TOO_MANY_CELLS,
                    f"It has more than {max_cells:,} cells, the limit: {self._width:,} columns in more than "
                    f"{max_cells // self._width:,} rows.",
                )
            surplus_rows = block.surplus_rows
            for start in range(0, frame.height, MAX_TABLE_ROWS):
                yield Table(
                    frame.slice(start, MAX_TABLE_ROWS),
                    row_numbers.slice(start, MAX_TABLE_ROWS),
                    blank_rows,
                    surplus_rows,
                )
                blank_rows = surplus_rows = 0
        if blank_rows:
            nothing = self._blank_block(blank_rows)
            yield Table(nothing.frame, nothing.row_numbers, blank_rows, 0)

    def _blank_block(self, rows: int) -> "_Block":
        frame = pl.DataFrame(schema=dict.fromkeys([*self._columns, SURPLUS], pl.String))
        return _Block(frame, pl.Series(dtype=pl.Int64), rows)

    def _blocks(self, block_bytes: int) -> Iterator["_Block"]:
        max_lines = max(MAX_READ_CELLS // (self._width + 1), MAX_ROW_LINES + 1)
        next_row = self.header_row + 1
        buffer = bytearray()
        for piece in self._pieces_below_header(block_bytes):
            buffer += piece
            for block, used in self._complete_blocks(buffer, max_lines, next_row):
                self._bytes_taken = max(self._bytes_read - len(buffer) + used, 1)
                yield block
                next_row += block.rows
                del buffer[:used]
            if len(buffer) > MAX_LINE_BYTES and buffer.find(b"\n") < 0:
                raise _line_too_long(next_row)
        self._bytes_taken = max(self._bytes_total, 1)
        if buffer:
            yield self._read_with_care(bytes(buffer), next_row, final=True)[0]

    def _complete_blocks(
        self, buffer: bytearray, max_lines: int, next_row: int
    ) -> Iterator[tuple["_Block", int]]:
        """Read the complete rows of the buffer, `max_lines` lines at a time.

        Yields each block with the bytes it takes; the caller removes these from the buffer.
        """
        lines = _count(buffer, b"\n", len(buffer))
        is_rest = False
        while not is_rest:
            if blank := _BLANK_LINES.match(buffer):
                # Many of them would be read in vain, in small pieces if the table is wide.
                used = blank.end()
                del blank  # the buffer could not be cut
                block = self._blank_block(_count(buffer, b"\n", used))
            else:
                is_rest = lines <= max_lines
                window = len(buffer) if is_rest else _end_of_line(buffer, max_lines)
                block, used = self._read(buffer, window, min(lines, max_lines), next_row)
                if not used:
                    return
            next_row += block.rows
            if not is_rest:
                lines -= _count(buffer, b"\n", used)
            yield block, used

    def _pieces_below_header(self, size: int) -> Iterator[bytes]:
        lines_to_skip = self.dialect.lines_before_data
        for piece in self._pieces(size):
            below = piece
            while lines_to_skip and (end := below.find(b"\n") + 1):
                below = below[end:]
                lines_to_skip -= 1
            if not lines_to_skip:
                yield below

    @cached_property
    def header_row(self) -> int:
        """The number of the header's row as a spreadsheet shows it, from 1.

        A line that announces the delimiter (`sep=;`) is not shown.
        """
        lines = list(islice(self._head_lines(), self.dialect.lines_before_data))
        announcement = bool(lines) and re.fullmatch(r'"?sep=."?', lines[0].strip(), re.IGNORECASE)
        # Titles have any number of cells, so the rows of several lines are not those that `_row` would
        # accept.
        return sum(1 for _ in self._row_reader.reader(lines, strict=False)) - bool(announcement)

    @cached_property
    def _tolerated_surplus(self) -> int:
        """How many blank cells beyond the header are ignored in this file, see `tolerated_surplus`."""
        lines = list(self._head_lines())[self.dialect.lines_before_data : -1]
        rows = (row.cells for row in self._row_reader.rows(lines) if not row.is_open)
        filled = (cells for cells in rows if any(cell.strip() for cell in cells))
        return tolerated_surplus(list(islice(filled, SAMPLED_ROWS)), self._width)

    def _head_lines(self) -> Iterator[str]:
        """Yield the first lines, the last one perhaps incomplete; the same for all block sizes."""
        pieces = self._pieces(HEAD_BYTES)
        # The second piece has the line break that ends the first one, or the end of the file.
        head = b"".join(islice(pieces, 2))
        return iter(split_lines(head.decode(errors="ignore")))

    def _pieces(self, size: int) -> Iterator[bytes]:
        """Yield the text as UTF-8: its rows out of their quotes, if the dialect says so."""
        pieces = self._pieces_of_lines(size)
        if not self.dialect.rows_in_quotes:
            yield from pieces
            return
        held = b""
        for piece in pieces:
            text = held + piece
            # A longer line than a row can be is left to whoever reads the rows.
            end = text.rfind(b"\n") + 1 if len(text) <= MAX_LINE_BYTES + size else len(text)
            held = text[end:]
            yield unwrap_rows(text[:end])
        yield unwrap_rows(held)

    def _pieces_of_lines(self, size: int) -> Iterator[bytes]:
        """Yield the text as UTF-8, with lone carriage returns replaced as the dialect says."""
        held = b""
        for piece in self._decoded_pieces(size):
            text = held + piece
            # Only the next piece shows whether a carriage return at the end is alone.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(held)
            if b"\r" in text and text.count(b"\r") > text.count(b"\r\n"):
                text = _replace_lone_returns(text, self.dialect.carriage_return.encode())
            yield text
        yield held and self.dialect.carriage_return.encode()

    def _decoded_pieces(self, size: int) -> Iterator[bytes]:
        """Yield the file's text as UTF-8."""
        dialect = self.dialect
        as_it_is = dialect.encoding == "utf-8" and not self.unreadable_characters
        errors = "replace" if dialect.encoding == "utf-8" else "strict"
        decoder = codecs.getincrementaldecoder(dialect.encoding)(errors)
        with self._path.open("rb") as file:
            self._bytes_total = os.fstat(file.fileno()).st_size
            file.seek(len(dialect.bom))
            while piece := file.read(size):
                self._bytes_read = file.tell()
                yield piece if as_it_is else _decode(decoder, piece, dialect.encoding, final=False)
        yield _decode(decoder, b"", dialect.encoding, final=True)

    def _read(self, buffer: bytearray, window: int, lines: int, first_row: int) -> tuple["_Block", int]:
        """Read the complete rows in the window, and return them and the number of bytes they take.

        Args:
            buffer: what is to be read next.
            window: the bytes of it to look at.
            lines: the line feeds in the window.
            first_row: the number of the first row.
        """
        end = self._end_of_rows(buffer, window)
        if end and not self.dialect.space_before_quotes:  # to Polars, such quotes would be part of the cell
            with suppress(pl.exceptions.PolarsError):
                block = self._read_with_polars(buffer, end, lines, first_row)
                if block is not None:
                    return block, end
        return self._read_with_care(
            bytes(buffer[: buffer.rfind(b"\n", 0, window) + 1]), first_row, final=False
        )

    def _read_with_polars(self, buffer: bytearray, end: int, lines: int, first_row: int) -> "_Block | None":
        """Read the rows up to `end`; None if not each of them has exactly one cell per column.

        Polars fills up short rows and cuts long ones, so the delimiters have to be counted.
        """
        delimiter = self.dialect.delimiter.encode()
        has_quotes = buffer.find(self.dialect.quote.encode(), 0, end) >= 0
        delimiters = _count(buffer, delimiter, end)
        text: bytes | memoryview = memoryview(buffer)[:end]
        shape = None
        # Fewer: blank lines, line breaks within cells, or short rows. More: too long ones, or quoted
        # delimiters.
        if delimiters < lines * (self._width - 1) or (
            not has_quotes and delimiters > lines * (self._width - 1)
        ):
            shape = _Shape.of(buffer, end, delimiter, self.dialect.quote.encode())
            if not shape.is_regular(self._width):
                return None
            text = shape.without_blank_rows(buffer)
        frame = pl.read_csv(
            b"".join((self._header, text)),
            separator=self.dialect.delimiter,
            quote_char=self.dialect.quote,
            infer_schema=False,
            empty_string_is_null=False,
            extra_columns="ignore",
        )
        if (frame[SURPLUS] != "").any():
            return None
        if shape is None or has_quotes:
            if has_quotes:
                within = frame.select(
                    pl.col(self._columns).str.count_matches(self.dialect.delimiter, literal=True).sum()
                )
                delimiters -= sum(within.row(0))
            if delimiters != frame.height * (self._width - 1):
                return None
            # A row that is a cell too long and another one that is a cell too short add up to the same
            # number. The short one has nothing in the last column.
            if shape is None and (frame[self._columns[-1]] == "").any():
                exact = _Shape.of(buffer, end, delimiter, self.dialect.quote.encode())
                if not exact.is_regular(self._width) or len(exact.cells) != frame.height:
                    return None
        frame = frame.with_columns(pl.lit(None, pl.String).alias(SURPLUS))
        if shape is None:
            numbers = pl.int_range(first_row, first_row + frame.height, eager=True)
            return _Block(frame, numbers, frame.height)
        numbers = pl.Series(np.flatnonzero(~shape.blank) + first_row, dtype=pl.Int64)
        return _Block(frame, numbers, len(shape.blank)) if len(numbers) == frame.height else None

    def _end_of_rows(self, buffer: bytearray, window: int) -> int:
        """Return where the last complete row in the window ends; 0 if only `_read_with_care` can find out."""
        quote = self.dialect.quote.encode()
        end = buffer.rfind(b"\n", 0, window) + 1
        quotes = buffer.count(quote, 0, end)
        # Before the end of a row the number of quotes is even, before a line break within a cell it is odd.
        for _ in range(MAX_ROW_LINES):
            if quotes % 2 == 0:
                return end
            start = buffer.rfind(b"\n", 0, end - 1) + 1
            quotes -= buffer.count(quote, start, end)
            end = start
        return 0

    def _read_with_care(self, text: bytes, first_row: int, *, final: bool) -> tuple["_Block", int]:
        """Read complete lines; unless they are the `final` ones, the last row may continue after them."""
        rows: list[Sequence[str]] = []
        numbers: list[int] = []
        surplus: list[str | None] = []
        lines = split_lines(text.decode())
        used = seen = surplus_rows = 0
        for row in self._row_reader.rows(lines):
            if row.is_open and not final:
                break
            used += row.lines
            seen += 1
            if len(row.cells) == 1 and not row.cells[0].strip():  # a blank line
                continue
            beyond = row.cells[self._width :]
            is_tolerated = not any(cell.strip() for cell in beyond) and (
                not beyond or len(beyond) <= self._tolerated_surplus
            )
            surplus_rows += bool(beyond) and is_tolerated
            rows.append(row.cells)
            numbers.append(first_row + seen - 1)
            surplus.append(None if is_tolerated else self.dialect.delimiter.join(beyond))
        widest = min(max(map(len, rows), default=0), self._width)
        columns = [
            pl.Series(name, [row[position] if position < len(row) else None for row in rows], pl.String)
            for position, name in enumerate(self._columns[:widest])
        ]
        missing = [
            pl.repeat(None, len(rows), dtype=pl.String, eager=True).alias(name)
            for name in self._columns[widest:]
        ]
        frame = pl.DataFrame([*columns, *missing, pl.Series(SURPLUS, surplus, pl.String)])
        block = _Block(frame, pl.Series(numbers, dtype=pl.Int64), seen, surplus_rows)
        if used == len(lines):
            return block, len(text)
        return block, len("".join(lines[:used]).encode())


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows that were read at once, and perhaps blank ones among them."""

    frame: pl.DataFrame
    row_numbers: pl.Series
    rows: int
    """How many rows the text had, those included that are blank and not in the frame."""
    surplus_rows: int = 0


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the rows of a text end, and how many cells each has, if every quote counts."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    """`[rows]`: the position after the line feed."""
    blank: NDArray[np.bool_]
    """`[rows]`: whether the row is an empty line."""
    cells: NDArray[np.intp]
    """Number of cells of the rows that are not blank."""

    @classmethod
    def of(cls, buffer: bytearray, end: int, delimiter: bytes, quote: bytes) -> "_Shape":
        characters = np.frombuffer(buffer, np.uint8, end)
        ends = np.flatnonzero(characters == 10) + 1
        delimiters = np.flatnonzero(characters == delimiter[0])
        quotes = np.flatnonzero(characters == quote[0])
        if len(quotes):
            ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
            delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
        starts = np.concatenate([np.zeros(1, np.intp), ends[:-1]])
        sizes = ends - starts
        blank = (sizes == 1) | ((sizes == 2) & (characters[starts] == 13))
        cells = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
        # The array would keep the buffer from growing.
        del characters
        return cls(starts, ends, blank, cells[~blank])

    def is_regular(self, width: int) -> bool:
        """Return whether all rows that are not blank have this many cells."""
        return bool((self.cells == width).all())

    def without_blank_rows(self, buffer: bytearray) -> bytes:
        """Return the text without its empty lines."""
        if not self.blank.any():
            return bytes(buffer[: self.ends[-1]])
        # Runs of rows between blank ones: from the first row after a blank one to the last one before the
        # next.
        text = ~self.blank
        begins = text & ~np.concatenate([[False], text[:-1]])
        stops = text & ~np.concatenate([text[1:], [False]])
        runs = zip(self.starts[begins].tolist(), self.ends[stops].tolist(), strict=True)
        return b"".join([bytes(buffer[start:stop]) for start, stop in runs])


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
        # A file can be ASCII for a long way before its first umlaut shows that it is not UTF-8.
        if dialect.encoding.startswith("utf-16") or _is_utf8(file):
            return Source(path, dialect)
        tally, sample = _survey(file)
    if tally.is_mostly_utf8:
        return Source(path, replace(dialect, encoding="utf-8"), unreadable_characters=tally.broken)
    if dialect.bom:
        raise _undecodable_text(dialect.encoding)
    return Source(path, replace(dialect, encoding=_legacy_encoding(dialect, sample)))


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


def _survey(file: BinaryIO) -> tuple[Utf8Tally, WordSample]:
    """Count the broken characters of a file that is not UTF-8, and sample its words beyond ASCII."""
    file.seek(0)
    tally, sample = Utf8Tally(), WordSample()
    while piece := file.read(_CHECK_BYTES):
        tally.add(piece)
        sample.add(piece)
    tally.add(b"", final=True)
    return tally, sample


def _legacy_encoding(dialect: Dialect, sample: WordSample) -> str:
    """Find the encoding of a whole file that is not UTF-8.

    Raises:
        ScoringFailed: none is certain, or the file does not go on as it starts.
    """
    try:
        encoding = legacy_encoding(sample.words)
    except UncertainEncoding as error:
        raise ScoringFailed(FailureCode.UNREADABLE_ENCODING, describe_uncertain(error)) from error
    if dialect.encoding not in ("utf-8", encoding):
        raise _undecodable_text(dialect.encoding)
    return encoding


def _decode(decoder: codecs.IncrementalDecoder, piece: bytes, encoding: str, *, final: bool) -> bytes:
    try:
        return decoder.decode(piece, final).encode()
    except UnicodeError as error:
        raise _undecodable_text(encoding) from error


def _undecodable_text(encoding: str) -> ScoringFailed:
    return ScoringFailed(
        FailureCode.UNREADABLE_ENCODING,
        f"It starts as {encoding.upper()} but has invalid bytes further down. "
        "Save it as UTF-8 and upload it again.",
    )


def _replace_lone_returns(text: bytes, replacement: bytes) -> bytes:
    """Replace each carriage return that no line feed follows; `re.sub` keeps 90 bytes for each meanwhile."""
    return text.replace(b"\r\n", _NOT_IN_UTF8).replace(b"\r", replacement).replace(_NOT_IN_UTF8, b"\r\n")


def _count(buffer: bytearray, character: bytes, end: int) -> int:
    """Count an ASCII character before a position, five times as fast as `bytearray.count` does."""
    return int(np.count_nonzero(np.frombuffer(buffer, np.uint8, end) == character[0])) if end else 0


def _end_of_line(buffer: bytearray, number: int) -> int:
    """Return the position after the line feed with this number, from 1, in a buffer with at least as many."""
    size = number
    while buffer.count(b"\n", 0, size) < number:
        size *= 2
    ends = np.flatnonzero(np.frombuffer(buffer, np.uint8, min(size, len(buffer))) == 10)
    return int(ends[number - 1]) + 1


def _without_blank_rows(block: _Block) -> tuple[pl.DataFrame, pl.Series]:
    """Drop the rows without text (blanks, line breaks, delimiters); return the others, numbered."""
    frame = block.frame
    suspects = frame["0"].str.strip_chars().fill_null("") == ""
    if not suspects.any():
        return frame, block.row_numbers
    has_text = frame.filter(suspects).select(
        pl.any_horizontal(pl.all().str.contains(r"\S").fill_null(value=False))
    )
    kept = ~suspects
    kept = kept.scatter(suspects.arg_true(), has_text.to_series())
    return frame.filter(kept), block.row_numbers.filter(kept)


def _line_too_long(row: int) -> ScoringFailed:
    return ScoringFailed(
        FailureCode.LINE_TOO_LONG,
        f"Row {row:,} is longer than {MAX_LINE_BYTES:,} bytes. Check its quotes and line breaks.",
    )
