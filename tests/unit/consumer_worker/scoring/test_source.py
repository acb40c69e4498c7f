import codecs
import csv
import io
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer_worker.scoring import ScoringFailed
from consumer_worker.scoring.source import (
    MAX_LINE_BYTES,
    MAX_READ_CELLS,
    MAX_TABLE_ROWS,
    Source,
    Table,
    _without_blank_rows,
    open_source,
)
from ml_models.intake.dialect import HEAD_BYTES, detect_dialect
from retainwise_contracts.failures import FailureCode

HEADER = "id,name,tenure\n"


def read(folder: Path, content: str | bytes, block_bytes: int = 1 << 20) -> list[tuple[str | None, ...]]:
    path = folder / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return pl.concat([table.frame for table in tables_of(path, block_bytes)]).rows()


def tables_of(
    path: Path, block_bytes: int = 1 << 20, *, max_rows: int = 1 << 30, max_cells: int = 1 << 40
) -> list[Table]:
    source = open_source(path, max_bytes=1 << 30)
    return list(source.tables(block_bytes, max_rows=max_rows, max_cells=max_cells))


def row_numbers(folder: Path, content: str, block_bytes: int = 1 << 20) -> list[int]:
    path = folder / "upload"
    path.write_text(content, newline="")
    tables = tables_of(path, block_bytes)
    assert all(len(table.row_numbers) == table.frame.height for table in tables)
    return [number for table in tables for number in table.row_numbers]


def quick_and_careful(source: Source, text: bytes) -> tuple[pl.DataFrame | None, pl.DataFrame, int]:
    """Read complete rows in both ways; the quick one may leave them to care."""
    end = source._end_of_rows(bytearray(text), len(text))
    block = None
    if end:
        with suppress(pl.exceptions.PolarsError):
            block = source._read_with_polars(bytearray(text), end, text.count(b"\n"), 5)
    careful, _ = source._read_with_care(text[:end], 5, final=True)
    if block is None:
        return None, _without_blank_rows(careful)[0], end
    quick, quick_numbers = _without_blank_rows(block)
    frame, numbers = _without_blank_rows(careful)
    assert quick_numbers.to_list() == numbers.to_list()
    assert block.rows == careful.rows
    return quick, frame, end


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [
        HEADER + "".join(f"{n},Ann,{n}\n" for n in range(200)),
        HEADER + "".join(f'{n},"Ann\n\n""B"", C",{n}\n' for n in range(200)),
        HEADER + "".join(f'{n},Ann 5",{n}\n' if n == 70 else f'{n},"A\nB",{n}\n' for n in range(200)),
        HEADER + "".join(f'{n},"Ann,{n}\n' if n % 50 == 7 else f"{n},Ann,{n}\n" for n in range(300)),
        HEADER + "".join(f"{n},Ann\n" if n % 3 else f"{n},Ann,{n},x\n" for n in range(100)),
        (HEADER + "".join(f"{n},Ünn,{n}\r\n" for n in range(200))).encode("utf-16"),
        (HEADER + "".join(f"{n},Ünn,{n}\r" for n in range(200))).encode("cp1252").replace(b"\n", b"\r"),
        "A report\r\n" + HEADER + "".join(f'{n},"A\r\nB",{n}' + ("\r", "\r\n")[n % 2] for n in range(200)),
        HEADER.replace("name", "na\rme")
        + "".join(f'{n},A\rB,"{n}"\r\n' if n % 9 == 5 else f"{n},A,{n}\r\n" for n in range(200)),
    ],
    ids=["plain", "line breaks", "stray quote", "open quotes", "ragged", "utf-16", "cr", "mixed", "stray cr"],
)
def test_blocks_of_any_size_hold_the_same_rows(tmp_path: Path, content: str | bytes, block_bytes: int):
    rows = read(tmp_path, content, block_bytes)
    assert rows == read(tmp_path, content, 1 << 30)
    assert [row[0] for row in rows] == [str(n) for n in range(len(rows))]
    assert len(rows) >= 100


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_broken_characters_are_replaced_and_counted(tmp_path: Path, bom: bytes, block_bytes: int):
    broken = b"M\xc3ller,1\n2,\xe6\x97,2\n"
    content = bom + HEADER.encode() + b"1," + broken + "3,Müller\ufffd,3\n".encode() * 9
    rows = read(tmp_path, content, block_bytes)
    assert [row[1] for row in rows] == ["M\ufffdller", "\ufffd", *["Müller\ufffd"] * 9]
    source = open_source(tmp_path / "upload", max_bytes=1 << 30)
    assert (source.dialect.encoding, source.unreadable_characters) == ("utf-8", 2)


def test_characters_lost_before_the_upload_are_not_counted(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_text(HEADER + "1,M\ufffdller,1\n" * 20)
    source = open_source(path, max_bytes=1 << 30)
    assert (source.dialect.encoding, source.unreadable_characters) == ("utf-8", 0)


def test_what_is_broken_at_the_start_is_seen_in_the_light_of_the_whole_file(tmp_path: Path):
    path = tmp_path / "upload"
    lines = [HEADER.encode(), b"1,M\xc3ller,1\n", b"2,Ann,2\n" * (HEAD_BYTES // 8), "3,Bär,3\n".encode() * 20]
    path.write_bytes(b"".join(lines))
    source = open_source(path, max_bytes=1 << 30)
    assert (source.dialect.encoding, source.unreadable_characters) == ("utf-8", 1)


@pytest.mark.parametrize("block_bytes", [7, 1 << 20])
def test_quotes_behind_a_blank_are_quotes(tmp_path: Path, block_bytes: int):
    rows = read(tmp_path, HEADER + '1, "Ann, ""A""",  "2"\n"2", "Bob\nB", 3\n3, Cy, 4\n', block_bytes)
    assert [tuple((cell or "").strip() for cell in row[:3]) for row in rows] == [
        ("1", 'Ann, "A"', "2"),
        ("2", "Bob\nB", "3"),
        ("3", "Cy", "4"),
    ]


def test_line_ends_can_be_mixed(tmp_path: Path):
    assert read(tmp_path, HEADER + '1,Ann,2\r2,"B\rob\r\n",3\r\n3,Cy,4\n') == [
        ("1", "Ann", "2", None),
        ("2", "B\nob\r\n", "3", None),
        ("3", "Cy", "4", None),
    ]


def test_a_stray_carriage_return_is_a_space(tmp_path: Path):
    assert read(tmp_path, HEADER + '1,An\rn,2\n2,B\rob,"3"\n3,"C",4\n') == [
        ("1", "An n", "2", None),
        ("2", "B ob", "3", None),
        ("3", "C", "4", None),
    ]


def test_short_rows_do_not_make_long_tables(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_text(HEADER + "1,A,2\n" * (MAX_TABLE_ROWS + 10) + "\n\n")
    tables = tables_of(path, 8 << 20)
    assert [table.frame.height for table in tables if table.frame.height] == [MAX_TABLE_ROWS, 10]
    assert [table.row_numbers[0] for table in tables[:2]] == [2, MAX_TABLE_ROWS + 2]
    assert sum(table.blank_rows for table in tables) == 2


def test_missing_cells_are_null_and_surplus_cells_are_kept(tmp_path: Path):
    assert read(tmp_path, HEADER + '1,Ann,2\n2,Ann,3,"x, y",z\n3,Ann\n4,Ann,\n5,Ann,6,,\n') == [
        ("1", "Ann", "2", None),
        ("2", "Ann", "3", "x, y,z"),
        ("3", "Ann", None, None),
        ("4", "Ann", "", None),
        ("5", "Ann", "6", ","),
    ]


def test_an_open_quote_costs_its_own_row_alone(tmp_path: Path):
    rows = read(tmp_path, HEADER + '1,Ann,1\n2,"Bob,2\n' + "".join(f"{n},Cy,{n}\n" for n in range(3, 900)))
    assert len(rows) == 899
    assert rows[1][:3] == ("2", '"Bob', "2")


def test_rows_are_read_alike_with_and_without_care(tmp_path: Path):
    path = tmp_path / "upload"
    rows = '1,"a ""b"" c",2\n2, d ,\n3,"e\nf,",4\n"4",,\n'
    path.write_text(HEADER + rows)
    source = open_source(path, max_bytes=1 << 20)
    quick, careful, end = quick_and_careful(source, rows.encode())
    assert quick is not None
    assert quick.equals(careful)
    assert end == len(rows.encode())


@given(
    rows=st.lists(st.lists(st.text('ab ,"\n', max_size=6), min_size=3, max_size=3), min_size=1, max_size=8),
    odd_row=st.one_of(st.none(), st.text('ab ,"', max_size=12)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=200, deadline=None)
def test_what_is_read_quickly_is_what_care_would_read(
    rows: list[list[str]], odd_row: str | None, quoting: Literal[0, 1]
):
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)
    block = (text.getvalue() + ("" if odd_row is None else odd_row + "\n")).encode()
    source = Source(Path("unused"), detect_dialect(b"id,name,tenure\n1,a,2\n", whole=True))
    source.__dict__["_tolerated_surplus"] = 0  # there is no file to look at
    quick, careful, _ = quick_and_careful(source, block)
    if quick is not None:
        assert quick.equals(careful)
    if odd_row is None:
        filled = [tuple(row) for row in rows if any(cell.strip() for cell in row)]
        assert [row[:3] for row in careful.rows()] == filled[: careful.height]


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_long_note_costs_nothing_and_a_line_without_end_the_file(tmp_path: Path, block_bytes: int):
    note = "x" * 20_000
    rows = read(tmp_path, HEADER + f'1,Ann,1\n2,{note},2\n3,"{note}, {note}",3\n')
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[2][1] == f"{note}, {note}"


def test_note_longer_than_the_csv_module_reads_by_itself_is_read(tmp_path: Path):
    note = "x, " * 100_000
    rows = read(tmp_path, HEADER + "1,Ann,1\n" * 3 + f'2,"{note}",2\n3,Bob\n')
    assert rows[3] == ("2", note, "2", None)
    assert rows[4] == ("3", "Bob", None, None)


def test_line_that_is_no_row_fails(tmp_path: Path):
    with pytest.raises(ScoringFailed) as caught:
        read(tmp_path, HEADER + "1,Ann,1\n" * 3 + "x" * (MAX_LINE_BYTES + (2 << 20)))
    assert caught.value.code == FailureCode.LINE_TOO_LONG
    assert "Row 5 is longer" in caught.value.detail


@pytest.mark.parametrize("block_bytes", [1, 9, 1 << 20])
@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        (HEADER + "1,A,1\n2,B,2\n", [2, 3]),
        ("Customers\n\n" + HEADER + "1,A,1\n2,B,2\n", [4, 5]),
        ('"Customers\nat risk"\n' + HEADER + "1,A,1\n2,B,2\n", [3, 4]),
        ("\n\n" + HEADER + "\n1,A,1\n\n\n2,B,2\n,,\n3,C,3\n \n4,D,4\n", [5, 8, 10, 12]),
        (HEADER.replace("\n", "\r\n") + "\r\n1,A,1\r\n\r\n\r\n2,B,2\r\n", [3, 6]),
        (HEADER + '1,"A\n\nA",1\n\n2,"B\nB",2\n3,C,3\n', [2, 4, 5]),
        (HEADER + '1,A,1\n2,B"B,2\n\n3,C\n4,D,4\n', [2, 3, 5, 6]),
        ("sep=,\n" + HEADER + "1,A,1\n2,B,2\n", [2, 3]),
    ],
    ids=["plain", "titles", "title of two lines", "blank", "crlf", "multi-line", "stray quote", "sep"],
)
def test_row_numbers_are_a_spreadsheets(tmp_path: Path, content: str, numbers: list[int], block_bytes: int):
    assert row_numbers(tmp_path, content, block_bytes) == numbers


@pytest.mark.parametrize("block_bytes", [50, 1 << 20])
@pytest.mark.parametrize(
    ("shifted", "end"),
    [("29,85", ""), ("29,05", ""), ("Acme, Inc", ""), ('Ac"me", Inc', ""), ("29,85", ",")],
)
def test_blank_cell_too_many_is_surplus_where_few_rows_have_it(
    tmp_path: Path, shifted: str, end: str, block_bytes: int
):
    lines = [f"{n},{shifted if n % 3 == 0 else 'Ann'},{n},{end}" for n in range(300)]
    content = "id,name,tenure,note" + end + "\n" + "\n".join(lines)
    surplus = [row[0] for row in read(tmp_path, content, block_bytes) if row[-1] is not None]
    assert surplus == [str(n) for n in range(0, 300, 3)]


def test_blank_cell_too_many_is_ignored_where_nearly_all_rows_have_it(tmp_path: Path):
    lines = [f"{n},Ann,{n}" + ("" if n % 20 == 0 else ",") for n in range(300)]
    assert {row[-1] for row in read(tmp_path, HEADER + "\n".join(lines))} == {None}
    path = tmp_path / "upload"
    assert sum(table.surplus_rows for table in tables_of(path, 500)) == 285


def test_what_the_first_rows_show_holds_for_all(tmp_path: Path):
    few = "".join(f"{n},Ann,{n}\n" for n in range(40_000))
    rows = read(tmp_path, HEADER + few + "7,Ann,7,\n" * 60_000, 1 << 18)
    assert {row[-1] for row in rows[40_000:]} == {""}


@pytest.mark.parametrize("split", ["{},05", "1,{}.50", "Acme {}, Inc"])
def test_rows_that_all_hold_a_split_cell_are_surplus(tmp_path: Path, split: str):
    lines = [f"{n},{split.format(n % 900 + 100)},{n}," for n in range(300)]
    rows = read(tmp_path, "id,name,tenure,note\n" + "\n".join(lines))
    assert all(row[-1] is not None for row in rows)


def test_short_row_does_not_hide_a_long_one(tmp_path: Path):
    """One cell too many and one too few give the number of delimiters of two right rows."""
    assert read(tmp_path, HEADER + "1,Ann,1\n2,Acme, Inc,\n3,3\n4,Ann,4\n") == [
        ("1", "Ann", "1", None),
        ("2", "Acme", " Inc", ""),
        ("3", "3", None, None),
        ("4", "Ann", "4", None),
    ]


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"max_rows": 9}, FailureCode.TOO_MANY_ROWS), ({"max_cells": 29}, FailureCode.TOO_MANY_CELLS)],
)
def test_rows_and_cells_are_limited(tmp_path: Path, limits: dict[str, int], code: FailureCode):
    path = tmp_path / "upload"
    path.write_text(HEADER + "1,Ann,1\n\n" * 10)
    tables_of(path, 20, max_rows=10, max_cells=30)
    with pytest.raises(ScoringFailed) as caught:
        tables_of(path, 20, **limits)
    assert caught.value.code == code


def test_cells_read_at_once_are_bounded_below_a_wide_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    heights = []
    read_csv = pl.read_csv

    def measured(*arguments: Any, **options: Any) -> pl.DataFrame:
        frame = read_csv(*arguments, **options)
        heights.append(frame.height * frame.width)
        return frame

    monkeypatch.setattr(pl, "read_csv", measured)
    path = tmp_path / "upload"
    header = ",".join(f"c{n}" for n in range(500))
    full = ",".join("1" for _ in range(500))
    path.write_text(header + "\n" + f"{full}\n" * 500 + "\n" * 300_000 + f"{full}\n" * 4_000 + "1\n" * 9_000)
    tables = tables_of(path, 8 << 20)
    assert sum(table.frame.height for table in tables) == 13_500
    assert max(table.frame.height * 501 for table in tables) <= MAX_READ_CELLS
    assert 0 < max(heights, default=0) <= MAX_READ_CELLS
    assert tables[-1].row_numbers[-1] == 313_501


def test_a_file_larger_than_allowed_is_not_read(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_text(HEADER)
    with pytest.raises(ScoringFailed, match=r"It has 15 bytes; the limit is 10\.") as caught:
        open_source(path, max_bytes=10)
    assert caught.value.code == FailureCode.FILE_TOO_LARGE


def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path):
    ascii_head = HEADER + "1,Ann,1\n" * (HEAD_BYTES // 8 + 10)
    path = tmp_path / "upload"
    path.write_bytes(ascii_head.encode() + b"2,\xe4,3\n")
    assert open_source(path, max_bytes=1 << 30).dialect.encoding == "windows-1252"
    path.write_bytes(ascii_head.encode() + "2,ä,3\n".encode())
    assert open_source(path, max_bytes=1 << 30).dialect.encoding == "utf-8"
    path.write_bytes(b"\xef\xbb\xbf" + ascii_head.encode() + b"2,\xe4,3\n")
    with pytest.raises(ScoringFailed) as caught:
        open_source(path, max_bytes=1 << 30)
    assert caught.value.code == FailureCode.UNREADABLE_ENCODING


@pytest.mark.parametrize("block_bytes", [7, 64, 1 << 20])
def test_rows_in_quotes_are_read_as_rows(tmp_path: Path, block_bytes: int):
    rows = "".join(f'"A-{n},""b, c"",{n}"\r\n' for n in range(40))
    expected = [(f"A-{n}", "b, c", str(n)) for n in range(40)]
    found = [row[:3] for row in read(tmp_path, '"id,name,n"\r\n' + rows, block_bytes)]
    assert found == expected


@pytest.mark.parametrize(
    ("names", "encoding", "codec"),
    [
        (("Müller", "Straße"), "cp1252", "windows-1252"),
        (("Łódź", "Kraków", "Gdańsk"), "cp1250", "windows-1250"),
        (("Иванов", "Петрова", "Щукин", "Москва"), "cp1251", "windows-1251"),
    ],
)
def test_encoding_that_shows_below_the_head_is_found(
    tmp_path: Path, names: tuple[str, ...], encoding: str, codec: str
):
    path = tmp_path / "upload"
    late = "".join(f"{name},1\n" for name in names)
    path.write_bytes(b"id,n\n" + b"a,1\n" * HEAD_BYTES + late.encode(encoding))
    assert open_source(path, max_bytes=1 << 30).dialect.encoding == codec


def test_encoding_that_is_uncertain_or_changes_is_refused(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_bytes(b"id,n\n" + b"a,1\n" * HEAD_BYTES + "Москва,1\n".encode("cp1251"))
    with pytest.raises(ScoringFailed, match=r"may be .*Cyrillic.* Save it as UTF-8"):
        open_source(path, max_bytes=1 << 30)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_blank_lines_take_no_more_memory_than_their_block(tmp_path: Path, line_break: str):
    block_bytes, path = 2 << 20, tmp_path / "upload"
    path.write_text("id,name,tenure\n1,a,2\n" + line_break * block_bytes + "2,b,3\n", newline="")
    tracemalloc.start()
    try:
        rows = sum(table.frame.height for table in tables_of(path, block_bytes))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 2
    assert peak < 16 * MAX_READ_CELLS + 10 * block_bytes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
@pytest.mark.parametrize("rows", [1, 2_000])
def test_rows_of_the_whole_file_are_expected_from_those_so_far(
    tmp_path: Path, encoding: str, rows: int
) -> None:
    lines = [f"{number:06},Müller,{number % 70:02}" for number in range(rows)]
    (tmp_path / "upload").write_bytes((HEADER + "\n".join(lines) + "\n").encode(encoding))
    source = open_source(tmp_path / "upload", max_bytes=1 << 30)
    tables = source.tables(4_000, max_rows=1 << 30, max_cells=1 << 40)
    expected = [source.expected_rows for _ in tables]
    assert expected[-1] == rows
    # Of the header, of what is read ahead and of other encodings the estimate knows little.
    assert all(0.5 * rows < guess < 1.5 * rows for guess in expected)
