import codecs
import csv
import io
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer_worker.scoring import ScoringFailed
from consumer_worker.scoring.source import MAX_TABLE_ROWS, SURPLUS, Source, open_source
from ml_models.intake.dialect import HEAD_BYTES, MAX_RECORD_BYTES, detect_dialect
from retainwise_contracts.failures import FailureCode

HEADER = "id,name,tenure\n"


def read(folder: Path, content: str | bytes, block_bytes: int = 1 << 20) -> list[tuple[str | None, ...]]:
    path = folder / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    tables = list(open_source(path, max_bytes=1 << 30).tables(block_bytes))
    first = 1
    for table in tables:
        assert table.first_row == first
        first += table.frame.height
    rows = pl.concat([table.frame for table in tables])
    return rows.with_columns(pl.col(SURPLUS).replace("", None)).rows()


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


def test_a_stray_carriage_return_is_a_blank(tmp_path: Path):
    assert read(tmp_path, HEADER + '1,An\rn,2\n2,B\rob,"3"\n3,"C",4\n') == [
        ("1", "An n", "2", None),
        ("2", "B ob", "3", None),
        ("3", "C", "4", None),
    ]


def test_short_rows_do_not_make_long_tables(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_text(HEADER + "1,A,2\n" * (MAX_TABLE_ROWS + 10) + "\n\n")
    tables = list(open_source(path, max_bytes=1 << 30).tables(8 << 20))
    assert [table.frame.height for table in tables] == [MAX_TABLE_ROWS, 10]
    assert [table.first_row for table in tables] == [1, MAX_TABLE_ROWS + 1]
    assert sum(table.blank_rows for table in tables) == 2


def test_missing_cells_are_null_and_surplus_cells_are_kept(tmp_path: Path):
    assert read(tmp_path, HEADER + '1,Ann,2\n2,Ann,3,"x, y",z\n3,Ann\n4,Ann,\n5,Ann,6,,\n') == [
        ("1", "Ann", "2", None),
        ("2", "Ann", "3", "x, y,z"),
        ("3", "Ann", None, None),
        ("4", "Ann", "", None),
        ("5", "Ann", "6", None),
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
    quick, used = source._read(bytearray(rows.encode()))
    careful, also_used = source._read_with_care(rows.encode(), final=False)
    assert quick.with_columns(pl.col(SURPLUS).replace("", None)).equals(careful)
    assert used == also_used == len(rows.encode())


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
    quick, used = source._read(bytearray(block))
    careful, _ = source._read_with_care(block[:used], final=True)
    assert quick.with_columns(pl.col(SURPLUS).replace("", None)).equals(careful)
    if odd_row is None:
        assert [row[:3] for row in quick.rows()] == [tuple(row) for row in rows][: quick.height]


def test_the_longest_row_is_the_same_for_every_block_size(tmp_path: Path):
    fits = HEADER + "1,Ann,1\n2," + "x" * (MAX_RECORD_BYTES - 2) + ",2\n"
    assert len(read(tmp_path, fits)) == 2
    for block_bytes in (1_000, 1 << 20):
        with pytest.raises(ScoringFailed) as caught:
            read(tmp_path, fits.replace("2,x", "2,xxx"), block_bytes)
        assert caught.value.code == FailureCode.LINE_TOO_LONG


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
