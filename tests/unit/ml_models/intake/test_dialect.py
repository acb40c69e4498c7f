import csv

import pytest

from ml_models.intake.dialect import (
    HEAD_BYTES,
    MAX_COLUMNS,
    Dialect,
    EmptyFile,
    NoRows,
    NotACsv,
    RowTooLong,
    TooManyColumns,
    UnreadableEncoding,
    UnreadableFile,
    detect_dialect,
    unwrap_rows,
)

TABLE = "customerID,tenure,Contract\nA-1,12,One year\nA-2,3,Two year\n"


def detect(text: str | bytes, *, whole: bool = True) -> Dialect:
    return detect_dialect(text.encode() if isinstance(text, str) else text, whole=whole)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_ending", ["\n", "\r\n", "\r"])
def test_delimiter_and_lines_are_found(delimiter: str, line_ending: str):
    dialect = detect(TABLE.replace(",", delimiter).replace("\n", line_ending))
    assert (dialect.delimiter, dialect.carriage_return) == (delimiter, "\n")
    assert dialect.headers == ("customerID", "tenure", "Contract")


@pytest.mark.parametrize(
    ("data", "stands_for"),
    [
        (TABLE.replace("\n", "\r", 1) + "A-3,4,Two year\n" * 150, "\n"),
        (TABLE + "A-3,4,Two year\r" * 150, "\n"),
        (TABLE + "A-3,4,Two year\nA-4,5,One year\r" * 150, "\n"),
        (TABLE.replace("\n", "\r\r\n"), "\n"),
        (TABLE + 'A-3,4,"Two\ryear"\n' * 3, "\n"),
        (TABLE.replace("ten", "ten\r"), " "),
        (TABLE.replace("\n", "\r\n").replace("ten", "ten\r"), " "),
        (TABLE + "A-3,4,Two\ryear\n" * 3, " "),
    ],
)
def test_a_carriage_return_ends_lines_unless_rows_are_more_alike_without(data: str, stands_for: str):
    dialect = detect(data)
    assert (dialect.carriage_return, len(dialect.headers)) == (stands_for, 3)


@pytest.mark.parametrize(
    ("data", "encoding", "bom"),
    [
        (TABLE.encode(), "utf-8", 0),
        (TABLE.encode("utf-8-sig"), "utf-8", 3),
        (TABLE.replace("A-1", "Müller").encode(), "utf-8", 0),
        (TABLE.replace("A-1", "Müller").encode("cp1252"), "windows-1252", 0),
        (TABLE.replace("A-1", "80 €").encode("cp1252"), "windows-1252", 0),
        (TABLE.encode("utf-16"), "utf-16-le", 2),
        (b"\xfe\xff" + TABLE.encode("utf-16-be"), "utf-16-be", 2),
        (TABLE.encode("utf-16-le"), "utf-16-le", 0),
        (TABLE.encode("utf-16-be"), "utf-16-be", 0),
    ],
)
def test_encoding_is_found(data: bytes, encoding: str, bom: int):
    dialect = detect(data)
    assert (dialect.encoding, len(dialect.bom)) == (encoding, bom)
    assert dialect.headers == ("customerID", "tenure", "Contract")


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["Müller".encode()] * 9 + [b"M\xc3ller"], "utf-8"),
        (["M\ufffdller".encode()], "utf-8"),
        (["日本".encode()] * 9 + ["日本".encode()[:-1]], "utf-8"),
    ],
)
def test_a_few_broken_characters_leave_a_file_utf8(names: list[bytes], encoding: str):
    dialect = detect(b"K\xc3\xbcrzel,tenure\n" + b"".join(name + b",1\n" for name in names))
    assert dialect.encoding == encoding


def test_a_mixture_of_encodings_is_refused():
    names = [*["Müller".encode()] * 4, "Müller".encode("cp1252")]
    with pytest.raises(UnreadableEncoding, match="Save it as UTF-8"):
        detect(b"K\xc3\xbcrzel,tenure\n" + b"".join(name + b",1\n" for name in names))


def test_a_broken_character_in_a_header_is_shown_as_such():
    rows = "Müller,1\n" * 20
    assert detect(b"K\xc3rzel,tenure\n" + rows.encode()).headers == ("K\ufffdrzel", "tenure")


def test_a_character_cut_at_the_end_of_the_head_is_still_utf8():
    head = (TABLE + "ü").encode()[:-1]
    assert detect(head, whole=False).encoding == "utf-8"
    assert detect(head, whole=True).encoding == "windows-1252"


@pytest.mark.parametrize(
    ("above", "row", "lines"),
    [
        ("", 1, 1),
        ("Customers at risk\n", 2, 2),
        ("Customers at risk\nMarch 2026, all regions\n\n", 4, 4),
        ('"a title\nin two lines"\n,,\n', 3, 4),
        ("sep=,\n", 1, 2),
        ("\n\n", 3, 3),
    ],
)
def test_title_rows_are_skipped(above: str, row: int, lines: int):
    dialect = detect(above + TABLE)
    assert (dialect.header_row, dialect.lines_before_data) == (row, lines)
    assert dialect.headers == ("customerID", "tenure", "Contract")


MONTHS = [f"2024-{month:02}" for month in range(1, 13)]


@pytest.mark.parametrize(
    "periods",
    [MONTHS, [str(year) for year in range(2019, 2025)], ["2024.01", "2024.02"], ["202401", "202402"]],
)
def test_years_and_months_can_name_columns(periods: list[str]):
    rows = "".join(",".join(["A", "12", "29.85", *["17"] * len(periods)]) + "\n" for _ in range(9))
    headers = ("customerID", "tenure", "MonthlyCharges", *periods)
    assert detect(",".join(headers) + "\n" + rows).headers == headers


@pytest.mark.parametrize(
    "row", ["A-1,2019,12,29.85\n", "A-1,2019\n", "A-1,2019,2020,2021\n", "A-1,2019,12\n"]
)
def test_a_column_of_years_names_nothing(row: str):
    with pytest.raises(NotACsv, match="Row 1 should have the column names but has data"):
        detect(row + row.replace("A-1", "A-2").replace("2019", "2021"))


WIDE = "customerID,tenure,Contract,MonthlyCharges\n" + "A-1,12,One year,29.85\nA-2,3,Two year,19.85\n"


@pytest.mark.parametrize(
    ("above", "row"),
    [
        ("Exported,by,Bob,\n", 2),
        ("Exported,by,Bob\n", 2),
        ("Exported,by,Bob,\nCustomers,at,risk,\n\n", 4),
        ("Exported,in,2024,\n", 2),
    ],
)
def test_title_rows_can_have_many_cells(above: str, row: int):
    dialect = detect(above + WIDE + "A-3,4,One year,39.85\n")
    assert (dialect.header_row, dialect.headers) == (
        row,
        ("customerID", "tenure", "Contract", "MonthlyCharges"),
    )


@pytest.mark.parametrize(
    "table",
    [
        "customerID,tenure,Contract,,\nA-1,12,One year,x,y\nA-2,3,Two year,x,y\n",
        "customerID,tenure,Contract,,\nA-1,N/A,One year,x,y\nA-2,3,Two year,x,y\nA-3,4,Two year,x,y\n",
        "customerID,,tenure,Partner,\nA-1,Yes,12,Yes,No\nA-2,Yes,N/A,No,No\n" + "A-3,No,4,No,No\n" * 5,
        "customerID,,Contract,Partner,\nA-1,Yes,x,Yes,No\nN/A,Yes,x,No,No\n" + "A-3,No,x,No,No\n" * 5,
        "customerID,City,Contract,,\nA-1,Rome,One year,x,y\nA-2,Bonn,Two year,x,y\n",
        "customerID,tenure,Contract,,\nA-1,$12,One year,$x,y\nA-2,$3,Two year,x,y\n",
    ],
)
def test_a_fuller_row_of_data_is_no_header(table: str):
    assert detect(table).header_row == 1


def test_a_header_below_data_is_none():
    with pytest.raises(NotACsv, match="Row 1"):
        detect("A-1,12,One year,\n" + WIDE)


def test_a_row_of_too_many_cells_hides_no_header():
    assert detect(WIDE + "A-3,1,2,3,4,5,6,7,8,9\n").header_row == 1


def test_blank_columns_count_for_nothing():
    dialect = detect("".join(",,,," + line + "\n" for line in ["Report,,,", *WIDE.splitlines()]))
    assert (dialect.header_row, dialect.headers[3:5]) == (2, ("", "customerID"))
    with pytest.raises(NotACsv, match="No header"):
        detect("customers,\nAnna,\nBert,\n")


def test_a_header_with_a_line_break_ends_where_it_ends():
    dialect = detect('"customer\nID",tenure\nA,1\n')
    assert (dialect.header_row, dialect.lines_before_data, dialect.headers) == (
        1,
        2,
        ("customer ID", "tenure"),
    )


def test_an_announced_delimiter_wins():
    assert detect("sep=;\na,b;c,d\n1,2;3,4\n").headers == ("a,b", "c,d")


def test_headers_are_fit_to_be_shown():
    assert detect("id\x00,a\u202e\tb \n" + "5,6\n" * 50).headers == ("id", "a b")


def test_duplicate_and_blank_headers_stay():
    assert detect("id,,id , x\n1,2,3,4\n").headers == ("id", "", "id", "x")


@pytest.mark.parametrize(
    ("rows", "delimiter", "decimal"),
    [
        ("A;29,85;1.234,50", ";", ","),
        ("A;29.85;1,234.50", ";", "."),
        ('A,"29,85","1.889,50"', ",", ","),
        ("A,29.85,1889.5", ",", "."),
        ("A;29,85 €;1.234", ";", ","),
        ("A,$29.85,108", ",", "."),
        ("A;30;1.234", ";", ","),
        ("A,30,1234", ",", "."),
        ("A;0.5;0.123", ";", "."),
    ],
)
def test_decimal_sign_is_found(rows: str, delimiter: str, decimal: str):
    header = delimiter.join(["id", "MonthlyCharges", "TotalCharges"])
    dialect = detect(f"{header}\n{rows}\n")
    assert (dialect.delimiter, dialect.decimal) == (delimiter, decimal)


def test_decimal_commas_do_not_pass_for_delimiters():
    rows = "".join(f"A{n};{n},85;{n},5\n" for n in range(50))
    assert detect("customerID;MonthlyCharges;TotalCharges\n" + rows).delimiter == ";"


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ('"id", "name, first"\n"1", "a, b"\n', True),
        ('id,  "name, first"\n1,  "a, b"\n', True),
        ('id, "name, first"\n1, a\n2, b\n3, c\n', True),
        ("'id', 'name, first'\n'1', 'a, b'\n", True),
        ('id,"name, first"\n1,"a, ""b"""\n2,"c, "\n', False),
        ('id,name\n1, "a,"b\n' + "2,b\n" * 40_000, True),
        ("id, name\n1, a\n", False),
    ],
)
def test_quotes_behind_a_space_are_quotes(text: str, space: bool):
    dialect = detect(text)
    assert dialect.space_before_quotes is space
    assert dialect.headers in (("id", "name, first"), ("id", "name"))


def test_apostrophes_can_quote():
    dialect = detect("'id','name, first'\n'1','a, b'\n'2','c'\n")
    assert (dialect.quote, dialect.headers) == ("'", ("id", "name, first"))


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", EmptyFile, "whitespace"),
        (b"\xef\xbb\xbf", EmptyFile, "whitespace"),
        (b" \r\n\n ", EmptyFile, "whitespace"),
        (b"PK\x03\x04\x14\x00", NotACsv, "Excel"),
        (b"'custom,'\n", NotACsv, "delimiter"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", NotACsv, "Excel"),
        (b"\x1f\x8b\x08\x00", NotACsv, "gzip"),
        (b"%PDF-1.7\n", NotACsv, "PDF"),
        (b"PAR1\x15\x04", NotACsv, "Parquet"),
        (b'[{"id": 1, "tenure": 2}]', NotACsv, "JSON"),
        (b'{"id": 1, "tenure": 2}', NotACsv, "JSON"),
        (b"<!doctype html><html></html>", NotACsv, "HTML"),
        (b'<?xml version="1.0"?><a/>', NotACsv, "HTML or XML"),
        (bytes(range(256)) * 4, NotACsv, "binary"),
        (b"a,b\n\x01\x02\x03\x04,\x05\x06\n", NotACsv, "binary"),
        (b"customers\nAnna\nBert\n", NotACsv, "delimiter"),
        (b"A-1,12,29.85\nA-2,3,19.85\n", NotACsv, "header"),
        (b"a,b,c\n", NoRows, "customers"),
        (b"a,b,c\n\n,,\n", NoRows, "customers"),
        ("a,b\n1,2\n".encode("utf-32"), UnreadableEncoding, "UTF-32"),
        (b"a,b\n\x81\xff,1\n", UnreadableEncoding, "not UTF-8"),
        (b"\xef\xbb\xbfa,b\n\xff,1\n", UnreadableEncoding, "byte 8"),
        (",".join(f"c{n}" for n in range(MAX_COLUMNS + 1)).encode() + b"\n", TooManyColumns, "1,001"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(data: bytes, error: type[UnreadableFile], says: str):
    with pytest.raises(error, match=says):
        detect(data)


def test_a_head_without_a_line_break_is_refused():
    with pytest.raises(RowTooLong, match="line breaks"):
        detect(b"a b " * (HEAD_BYTES // 4), whole=False)


def test_a_first_line_longer_than_the_head_has_too_many_columns():
    with pytest.raises(TooManyColumns, match="at least 131,073 columns; the limit is 1,000"):
        detect(b"a,b," * (HEAD_BYTES // 4), whole=False)


def test_an_unclosed_quote_hides_no_rows():
    rows = "".join(f"{n};{n},85\n" for n in range(300))
    dialect = detect(f'id;amount\n0;"never closed\n{rows}')
    assert (dialect.delimiter, dialect.decimal, dialect.headers) == (";", ",", ("id", "amount"))


def test_a_long_row_hides_no_other():
    note = "x" * 140_000
    dialect = detect(f"id;amount\n1;{note}\n2;29,85\n3;17,5\n")
    assert (dialect.delimiter, dialect.decimal, dialect.headers) == (";", ",", ("id", "amount"))
    dialect = detect(f'id;amount\n1;"{note}'[:HEAD_BYTES], whole=False)
    assert (dialect.delimiter, dialect.headers) == (";", ("id", "amount"))


@pytest.mark.parametrize(
    "lines",
    [
        ['"id,name,n"', '"1,a,2"', '"2,b,3"'],
        ["id,name,n", '"1,a,2"', '"2,b,3"'],
        ['"id,name,n",,', '"1,a,2",,', '"2,b,3",,'],
        ['"""id"",""name"",""n"""', '"""1"",""a"",""2"""'],
        ['"id,name,n"', '"1,""a, b"",2"', '"2,b,3"'],
    ],
)
def test_rows_in_quotes_are_unwrapped(lines: list[str]):
    text = "".join(line + "\r\n" for line in lines)
    dialect = detect(text)
    assert dialect.rows_in_quotes
    assert (dialect.headers, dialect.delimiter, dialect.header_row) == (("id", "name", "n"), ",", 1)
    plain = unwrap_rows(text.encode()).decode().splitlines()
    assert [len(row) for row in csv.reader(plain)] == [3] * len(lines)


@pytest.mark.parametrize(
    "text",
    ['"id","n"\n"1","2"\n', 'id,"a, b"\n1,"c, d"\n', TABLE, 'id,n\n"a",1\n"b, c",2\n', 'a;b\n"c,d";e\n'],
)
def test_quoted_cells_are_no_rows_in_quotes(text: str):
    assert not detect(text).rows_in_quotes


def test_row_numbers_that_the_header_leaves_out_get_a_blank_name():
    header = '"customerID","tenure","Contract","Internet"\n'
    rows = "".join(f'"{n}","A-{n}",12,"One year","DSL"\n' for n in range(1, 20))
    assert detect(header + rows).headers == ("", "customerID", "tenure", "Contract", "Internet")
    named = rows.replace('\n"', '\n"x')
    with pytest.raises(NotACsv, match=r"4 column names, but the rows have 5 cells\. .*row\.names = FALSE"):
        detect(header + named)
    trailing = "".join(f"A-{n},12,One year,DSL,\n" for n in range(1, 20))
    assert detect(header + trailing).headers == ("customerID", "tenure", "Contract", "Internet")
