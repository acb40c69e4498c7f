"""Detects how a customer's file is written, from its first bytes and independent of any model.

`detect_dialect` finds the encoding, the delimiters of rows and cells, the row of the header and the decimal
separator. It needs only the head of the file, so that an upload can be refused while it arrives.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal

from ml_models.intake.encoding import UncertainEncoding, WordSample, legacy_encoding

if TYPE_CHECKING:
    from _csv import Reader

HEAD_BYTES = 262_144
"""How much of a file `detect_dialect` needs. All callers pass this much, so that all get the same result."""

MAX_COLUMNS = 1_000
"""Wider tables are refused: the memory for a block of rows grows with its cells."""

_MAX_CELL_CHARACTERS = 131_072
"""A cell of several lines that is longer has a quote that is not closed."""

DELIMITERS = (",", ";", "\t", "|")

_SAMPLED_ROWS = 200
_MAX_ROW_LINES = 200
"""A row of more lines has a quote that is not closed."""
_SAMPLED_CELLS = 32_768
"""Detection reads no more rows once they have this many cells, however wide the table is."""
_MAX_NUMBER = 64
"""Characters. Longer cells are not numbers; the limit also bounds the time of the expressions below."""
_MOST = 0.9
"""Share of the rows from which all of them are taken to be written in the same way."""
_NO_DELIMITER = (
    "No column delimiter was found. Separate the columns with a comma, semicolon, tab or | character."
)
_MAX_TITLE_ROWS = 30
_MAX_BROKEN = 0.1
"""Largest share of broken UTF-8 among the characters beyond ASCII; beyond it, a file has another encoding."""
_SIGNATURES = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-zip archive"),
    (b"Rar!", "a rar archive"),
    (b"%PDF", "a PDF"),
    (b"PAR1", "a Parquet file"),
    (b"{\\rtf", "a rich text document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3", "a database"),
)
# The csv module reads no cell of more than 131,072 characters unless it may, and the limit is the process's.
csv.field_size_limit(max(csv.field_size_limit(), HEAD_BYTES))

_LONE_RETURN = re.compile(r"\r(?!\n)")
_CONTROL = bytes([*range(0x09), *range(0x0E, 0x20), 0x7F])
_ISO_2022 = (b"\x1b$", b"\x1b(")
_YEAR_OR_MONTH = re.compile(
    r"(?:19|20)\d\d(?:[-. ]?(?:0?[1-9]|1[0-2]))?|(?:0?[1-9]|1[0-2])[-. ](?:19|20)\d\d"
)
_PLAIN_NUMBER = re.compile(r"[\d.,' -]+")
_NUMBER = re.compile(r"\D{0,4}\d[\d.,' \u00a0\u202f]*\D{0,4}")
_DECIMAL_COMMA = re.compile(
    r"\D{0,4}(?:0,\d+|\d+,(?:\d{1,2}|\d{4,})|\d{1,3}(?:[. \u00a0\u202f]\d{3})+,\d+)\D{0,4}"
)
_DECIMAL_POINT = re.compile(r"\D{0,4}(?:0\.\d+|\d+\.(?:\d{1,2}|\d{4,})|\d{1,3}(?:[,' ]\d{3})+\.\d+)\D{0,4}")


class UnreadableFile(ValueError):
    """A file is not a table of customers. The subclass says why, the message what to do."""


class EmptyFile(UnreadableFile):
    """The file is empty or has only whitespace."""


class NotACsv(UnreadableFile):
    """The file is not a table in text form, or has no header."""


class NoRows(UnreadableFile):
    """The file ends after its header."""


class UnreadableEncoding(UnreadableFile):
    """The file's bytes are not valid text in any supported encoding."""


class TooManyColumns(UnreadableFile):
    """The table is wider than `MAX_COLUMNS`."""


class RowTooLong(UnreadableFile):
    """The first line is longer than `HEAD_BYTES`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written."""

    encoding: str
    """Of the head, as the name of a Python codec: `utf-8`, `utf-16-le`, `windows-1252`, `cp932`, … An ASCII
    head counts as UTF-8; whoever reads the rest must check it, and find its encoding with
    `encoding.legacy_encoding`. UTF-8 may have a few broken characters, see `Utf8Tally`."""
    bom: bytes
    """The byte order mark at the start of the file, empty if there is none."""
    delimiter: str
    quote: str
    space_before_quotes: bool
    """Whether spaces may precede the quote that opens a cell: `"a", "b"`."""
    carriage_return: Literal["\n", " "]
    """What a carriage return without a line feed means: the end of a line, or a space within a cell."""
    header_row: int
    """The row of the header as a spreadsheet shows it, from 1: titles and blank rows count, a quoted cell of
    several lines is in one row, and a line `sep=;` is not shown. The first row of data is the next one."""
    lines_before_data: int
    """Number of lines up to and including the header."""
    headers: tuple[str, ...]
    """In order, each on one line without control characters. Blank headers are empty, duplicates stay."""
    decimal: Literal[".", ","]
    rows_in_quotes: bool = False
    """Whether each row is one quoted cell, `"a,b,c"`: `unwrap_rows` makes rows of them. The other fields
    describe the rows so made."""


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    """As a spreadsheet counts, from 1."""
    first_line: int
    last_line: int
    cells: tuple[str, ...]

    @property
    def filled(self) -> int:
        return sum(1 for cell in self.cells if cell)

    @property
    def is_distinct(self) -> bool:
        return len({cell for cell in self.cells if cell}) == self.filled


class Utf8Tally:
    """Counts, piece by piece, the valid and the broken UTF-8 characters beyond ASCII."""

    def __init__(self) -> None:
        self.valid = 0
        """Valid characters beyond ASCII."""
        self.broken = 0
        """Truncated or invalid characters. U+FFFD in the text itself is not counted."""
        self._replacing = codecs.getincrementaldecoder("utf-8")("replace")
        self._ignoring = codecs.getincrementaldecoder("utf-8")("ignore")

    def add(self, data: bytes, *, final: bool = False) -> None:
        """Count the next piece; unless it is the `final` one, a character may continue in the next."""
        valid = self._ignoring.decode(data, final)
        self.valid += len(valid) - len(valid.encode("ascii", "ignore"))
        self.broken += len(self._replacing.decode(data, final)) - len(valid)

    @property
    def is_mostly_utf8(self) -> bool:
        """Whether the text is UTF-8 with at most a few broken characters.

        In another encoding, hardly any character beyond ASCII would happen to be valid UTF-8.
        """
        return self.broken <= _MAX_BROKEN * (self.valid + self.broken)


def detect_dialect(head: bytes, *, whole: bool) -> Dialect:
    """Detect how a file is written.

    Args:
        head: the file's first `HEAD_BYTES` bytes, or all of it if it is shorter.
        whole: whether `head` is the whole file.

    Raises:
        EmptyFile: the file has only whitespace.
        NotACsv: the file is a workbook, an archive, JSON, prose, …, or has no header.
        NoRows: nothing follows the header.
        UnreadableEncoding: the bytes are not valid text, or could be text in several encodings.
        TooManyColumns: more than `MAX_COLUMNS`.
        RowTooLong: the head ends within its first line.
    """
    encoding, bom = _encoding(head, whole=whole)
    text = _text(head[len(bom) :], encoding, offset=len(bom), whole=whole)
    carriage_return = _carriage_return(text)
    text = _LONE_RETURN.sub(carriage_return, text)
    if not whole:
        text = text[: text.rfind("\n") + 1] or _first_line(text)
    rows_in_quotes = _rows_in_quotes(text)
    if rows_in_quotes:
        text = _unwrapped(text)
    announced = re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE)
    sample = _Sample(text)
    quote = '"'
    delimiter = announced[1] if announced and announced[1] in DELIMITERS else _delimiter(sample)
    rows = sample.rows(delimiter, quote)
    if _quoted_by_apostrophe(rows):
        quote = "'"
        rows = sample.rows(delimiter, quote)
    header = _header(rows)
    below = [row for row in rows if row.first_line > header.last_line]
    if not below and whole:
        raise NoRows("Nothing follows the header. Send the file with its customers.")
    return Dialect(
        encoding=encoding,
        bom=bom,
        delimiter=delimiter,
        quote=quote,
        space_before_quotes=_space_before_quotes(sample, delimiter, quote, rows),
        carriage_return=carriage_return,
        header_row=header.number - (1 if announced else 0),
        lines_before_data=header.last_line,
        headers=tuple(_printable(cell) for cell in (*_row_names(header, below), *header.cells)),
        decimal=_decimal(below, delimiter),
        rows_in_quotes=rows_in_quotes,
    )


def head_text(head: bytes, dialect: Dialect, *, whole: bool) -> str:
    """Return the text of a head as its rows are read: complete lines, each of which ends with a line feed.

    Args:
        head: what `detect_dialect` got.
        dialect: what it returned.
        whole: whether `head` is the whole file.
    """
    text = _text(head[len(dialect.bom) :], dialect.encoding, offset=len(dialect.bom), whole=whole)
    text = _LONE_RETURN.sub(dialect.carriage_return, text)
    if not whole:
        text = text[: text.rfind("\n") + 1]
    return _unwrapped(text) if dialect.rows_in_quotes else text


def _first_line(text: str) -> str:
    """Return what there is of a first line that is longer than the head, if it can be a header at all.

    Raises:
        TooManyColumns: it has more than `MAX_COLUMNS` names.
        RowTooLong: it has not.
    """
    columns = max(map(text.count, DELIMITERS)) + 1
    if columns > MAX_COLUMNS:
        raise TooManyColumns(f"It has at least {columns:,} columns; the limit is {MAX_COLUMNS:,}.")
    raise RowTooLong(
        f"The first line is longer than {HEAD_BYTES:,} bytes. Check that the file has line breaks."
    )


def _rows_in_quotes(text: str) -> bool:
    """Return whether each row is one quoted cell that holds the cells of the row."""
    wrapped = others = 0
    for line in islice(io.StringIO(text), _SAMPLED_ROWS):
        row = line.rstrip("\r\n").rstrip("".join(DELIMITERS))
        if len(row) < 2 or not row.startswith('"') or not row.endswith('"'):
            others += bool(row)
        elif '"' in row[1:-1].replace('""', "") or not any(delimiter in row for delimiter in DELIMITERS):
            return False  # the quotes enclose single cells
        else:
            wrapped += 1
    # The header, and titles above it, may be without quotes.
    return wrapped > 0 and wrapped >= _MOST * (wrapped + max(others - 1, 0))


def unwrap_rows(text: bytes) -> bytes:
    """Make rows of quoted cells that each hold a row: `"a,""b"",c"` is `a,"b",c`.

    Args:
        text: complete lines in UTF-8.
    """
    return b"\n".join(map(_unwrap, text.split(b"\n")))


def _unwrapped(text: str) -> str:
    return unwrap_rows(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _unwrap(line: bytes) -> bytes:
    row = line.rstrip(b"\r").rstrip("".join(DELIMITERS).encode())
    if len(row) < 2 or not row.startswith(b'"') or not row.endswith(b'"'):
        return line
    return row[1:-1].replace(b'""', b'"')


def _row_names(header: _Row, below: Sequence[_Row]) -> tuple[str, ...]:
    """Return an empty name for a column of row numbers that the header leaves out, as R writes them.

    Raises:
        NotACsv: the rows have one cell more than the header, and it cannot be known which one.
    """
    longer = [row.cells for row in below if len(row.cells) == len(header.cells) + 1]
    if len(longer) < _MOST * len(below) or len(longer) < 2 or not any(cells[-1] for cells in longer):
        return ()
    numbers = [cells[0] for cells in longer]
    if numbers in ([str(n + start) for n in range(len(numbers))] for start in (0, 1)):
        return ("",)
    raise NotACsv(
        f"The header has {len(header.cells):,} column names, but the rows have {len(header.cells) + 1:,} "
        "cells. Add the missing column name, or remove the row names (in R: row.names = FALSE), or put "
        "quotes around cells that contain the delimiter."
    )


def _encoding(head: bytes, *, whole: bool) -> tuple[str, bytes]:
    _refuse_other_formats(head)
    for bom, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(bom):
            return encoding, bom
    if (utf16 := _utf16_without_bom(head)) is not None:
        return utf16, b""
    if any(escape in head for escape in _ISO_2022):
        raise UnreadableEncoding("It is probably ISO-2022. Save it as UTF-8 and upload it again.")
    if len(head) - len(head.translate(None, _CONTROL)) > 0.01 * len(head):
        raise NotACsv(
            "It contains binary data. Open it in the program that created it and save the table as CSV."
        )
    if _is_mostly_utf8(head, whole=whole):
        return "utf-8", b""
    sample = WordSample()
    sample.add(head)
    try:
        return legacy_encoding(sample.words), b""
    except UncertainEncoding as error:
        raise UnreadableEncoding(describe_uncertain(error)) from error


def _refuse_other_formats(head: bytes) -> None:
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            raise NotACsv(f"It is {what}. Open it, save the table as CSV and upload that file.")
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnreadableEncoding("It is UTF-32. Save it as UTF-8 and upload it again.")


def describe_uncertain(error: UncertainEncoding) -> str:
    """Say which encodings a file may have and what to do."""
    if error.candidates:
        likely = " or ".join(error.candidates)
        return f"It is not UTF-8; it may be {likely}. Save it as UTF-8 and upload it again."
    return "It is not UTF-8, nor any other encoding that we recognise. Save it as UTF-8 and upload it again."


def _is_mostly_utf8(data: bytes, *, whole: bool) -> bool:
    tally = Utf8Tally()
    # Unless it is the whole file, the last character may be incomplete.
    tally.add(data, final=whole)
    return tally.is_mostly_utf8


def _utf16_without_bom(head: bytes) -> str | None:
    # In UTF-16, Latin text has a zero in every second byte: after the letter in little endian.
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.4 * pairs and head[0::2].count(0) < 0.1 * pairs:
        return "utf-16-le"
    if head[0::2].count(0) > 0.4 * pairs and head[1::2].count(0) < 0.1 * pairs:
        return "utf-16-be"
    return None


def _text(data: bytes, encoding: str, *, offset: int, whole: bool) -> str:
    errors = "replace" if encoding == "utf-8" and _is_mostly_utf8(data, whole=whole) else "strict"
    try:
        text = codecs.getincrementaldecoder(encoding)(errors).decode(data, final=whole)
    except UnicodeDecodeError as error:
        raise UnreadableEncoding(
            f"The file starts as {encoding.upper()}, but byte {offset + error.start + 1:,} is invalid. "
            "Save the file as UTF-8 and upload it again."
        ) from error
    if not text.strip("\ufeff \t\r\n\0"):
        raise EmptyFile("It contains only whitespace. Export it again and check that it has your customers.")
    start = text.lstrip()[:200]
    if re.match(r'\{\s*["}]|\[\s*[\[{"]', start):
        raise NotACsv("It is JSON. Upload the customers as a CSV table with one row per customer.")
    if re.match(r"<[!?a-zA-Z]", start):
        raise NotACsv("It is HTML or XML. Upload the customers as a CSV table with one row per customer.")
    if re.match(r"(?i)(?:insert into|create table|drop table|begin;|set [a-z_]+ ?=) ?", start):
        raise NotACsv("It is an SQL script. Export the result of a query on the customers as CSV.")
    return text


def _carriage_return(text: str) -> Literal["\n", " "]:
    """Return what a lone carriage return means: a line end, unless spaces give more rows the same width."""
    if not _LONE_RETURN.search(text):
        return "\n"
    as_spaces = _best_width_share(_LONE_RETURN.sub(" ", text))
    as_line_ends = _best_width_share(_LONE_RETURN.sub("\n", text))
    return " " if as_spaces > as_line_ends else "\n"


def _best_width_share(text: str) -> float:
    """Return the largest share of rows of one width that any delimiter gives."""
    sample = _Sample(text)
    return max(_width_share(sample.rows(delimiter, '"'))[0] for delimiter in DELIMITERS)


def _width_share(rows: Sequence[_Row]) -> tuple[float, int]:
    """Return the share of the rows that have the most frequent number of cells, and that number."""
    widths = Counter(len(row.cells) for row in rows)
    count, width = max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
    return count / max(widths.total(), 1), width


class _Sample:
    """The first rows of a text, read once for each way to read them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._read: dict[tuple[str, str, bool], Sequence[_Row]] = {}

    def rows(self, delimiter: str, quote: str, *, space_before_quotes: bool = True) -> Sequence[_Row]:
        """Return the first rows that are not blank."""
        how = (delimiter, quote, space_before_quotes)
        if how not in self._read:
            self._read[how] = list(self._read_rows(*how))
        return self._read[how]

    @cached_property
    def has_quotes(self) -> bool:
        return '"' in self._text or "'" in self._text

    @cached_property
    def _lines(self) -> Sequence[str]:
        # Lines end only at "\n": splitlines() would also split at form feeds and Unicode line separators.
        return list(islice(io.StringIO(self._text, newline="\n"), _SAMPLED_ROWS * _MAX_ROW_LINES))

    def _read_rows(self, delimiter: str, quote: str, space_before_quotes: bool) -> Iterator[_Row]:
        line = cells_read = 0
        reader = self._reader(line, delimiter, quote, space_before_quotes)
        for row_number in range(1, _SAMPLED_ROWS + 1):
            before = reader.line_num
            raw = next(reader, None)
            if raw is None or cells_read > _SAMPLED_CELLS:
                break
            lines = reader.line_num - before
            cells_read += len(raw)
            if lines > 1 and (lines > _MAX_ROW_LINES or max(map(len, raw)) > _MAX_CELL_CHARACTERS):
                # A quote is not closed. It costs its line, and reading on from there as much as many cells.
                raw = self._lines[line].split(delimiter)
                lines = 1
                cells_read += _SAMPLED_CELLS // 4
                reader = self._reader(line + 1, delimiter, quote, space_before_quotes)
            cells = tuple([cell.strip() for cell in raw])
            if any(cells):
                yield _Row(row_number, line + 1, line + lines, cells)
            line += lines

    def _reader(self, line: int, delimiter: str, quote: str, space_before_quotes: bool) -> "Reader":
        return csv.reader(
            islice(self._lines, line, None),
            delimiter=delimiter,
            quotechar=quote,
            skipinitialspace=space_before_quotes,
        )


def _delimiter(sample: _Sample) -> str:
    """Return the delimiter with which most rows have the same width, below a header; if equal, the widest."""
    scores: dict[str, tuple[float, int]] = {}
    for delimiter in DELIMITERS:
        share, width = _width_share(sample.rows(delimiter, '"'))
        if width:
            scores[delimiter] = (round(share, 1), width)
    if not scores:
        raise NotACsv(_NO_DELIMITER)
    ranked = sorted(scores, key=lambda delimiter: scores[delimiter], reverse=True)
    # Decimal commas split rows as evenly as semicolons do, but then there is no header above them.
    for delimiter in ranked:
        with suppress(NotACsv):
            _header(sample.rows(delimiter, '"'))
            return delimiter
    return ranked[0]


def _quoted_by_apostrophe(rows: Sequence[_Row]) -> bool:
    cells = [cell for row in rows for cell in row.cells if cell]
    # One end is enough: a delimiter within the quotes may have split the cell.
    quoted = sum(1 for cell in cells if cell[0] == "'" or cell[-1] == "'")
    return quoted > 0.5 * len(cells)


def _space_before_quotes(sample: _Sample, delimiter: str, quote: str, rows: Sequence[_Row]) -> bool:
    """Return whether the rows change if no spaces may precede a quote that opens a cell."""
    if not sample.has_quotes:
        return False
    return rows != sample.rows(delimiter, quote, space_before_quotes=False)


def _header(rows: Sequence[_Row]) -> _Row:
    """Return the header: the fullest of the rows that are above the data and fill most of the columns in use.

    What stands above it are title rows, even if they have many cells.
    """
    widths = Counter(len(row.cells) for row in rows if len(row.cells) > 1)
    if not widths:  # the delimiter occurs only within quotes
        raise NotACsv(_NO_DELIMITER)
    width = widths.most_common(1)[0][0]
    if width > MAX_COLUMNS:
        raise TooManyColumns(f"It has {width:,} columns; the limit is {MAX_COLUMNS:,}.")
    table = [row.cells for row in rows if len(row.cells) == width]
    in_use = sum(1 for column in zip(*table, strict=True) if any(column))
    full = max(in_use, 2) if in_use <= 3 else in_use // 2 + 1
    first = next((n for n, row in enumerate(rows) if row.filled >= full), len(rows))
    if first > _MAX_TITLE_ROWS or first == len(rows):
        raise NotACsv(
            f"No header was found in the first {_MAX_TITLE_ROWS} rows. Put the column names in the first row."
        )
    header = rows[first]
    below = [row.cells for row in rows[first + 1 :] if len(row.cells) == width]
    numeric = _numeric_columns(below)
    for row in rows[first : _MAX_TITLE_ROWS + 1]:
        numbers, names = _numbers_and_names(row, numeric)
        if numbers > names:  # the data begins here
            if row is header:
                raise NotACsv(
                    f"Row {header.number:,} should have the column names but has data. Add a header row."
                )
            break
        # Data can also have more cells than a header with empty names, but its values repeat across columns.
        is_fuller = row.filled > header.filled and row.is_distinct
        if is_fuller and names > 0.5 * len(numeric):
            header = row
    if len(header.cells) > MAX_COLUMNS:
        raise TooManyColumns(
            f"Row {header.number:,} has {len(header.cells):,} columns; the limit is {MAX_COLUMNS:,}."
        )
    return header


def _numeric_columns(rows: Sequence[Sequence[str]]) -> Mapping[int, bool]:
    """Find the columns with numbers in most of these rows, and for each whether the numbers are years."""
    columns = {}
    for position, cells in enumerate(zip(*rows, strict=True)):
        if sum(map(_is_number, cells)) > 0.5 * len(cells):
            years = sum(1 for cell in cells if _YEAR_OR_MONTH.fullmatch(cell[:_MAX_NUMBER]))
            columns[position] = years > 0.5 * len(cells)
    return columns


def _numbers_and_names(row: _Row, numeric: Mapping[int, bool]) -> tuple[int, int]:
    """Count the numeric columns in which a row has a number, and those in which it has a name.

    A year or month counts as a name, unless the column itself contains years.
    """
    numbers = names = 0
    for position, of_years in numeric.items():
        cell = row.cells[position] if position < len(row.cells) else ""
        if len(cell) > _MAX_NUMBER:
            names += 1
            continue
        if not of_years and _YEAR_OR_MONTH.fullmatch(cell):
            names += 1
        elif _PLAIN_NUMBER.fullmatch(cell):
            numbers += 1
        elif cell and not _NUMBER.fullmatch(cell):
            names += 1
    return numbers, names


def _is_number(cell: str) -> bool:
    return len(cell) <= _MAX_NUMBER and _NUMBER.fullmatch(cell) is not None


def _printable(text: str) -> str:
    """Fold a header to one printable line, since messages and summaries repeat it."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _decimal(rows: Sequence[_Row], delimiter: str) -> Literal[".", ","]:
    """Find the decimal separator, from the cells that can be read in only one way."""
    cells = [cell for row in rows for cell in row.cells if _is_number(cell)]
    commas = sum(1 for cell in cells if _DECIMAL_COMMA.fullmatch(cell))
    points = sum(1 for cell in cells if _DECIMAL_POINT.fullmatch(cell))
    if commas == points == 0:
        # Spreadsheets separate cells by semicolons where the comma is the decimal separator.
        return "," if delimiter == ";" else "."
    return "," if commas > points else "."
