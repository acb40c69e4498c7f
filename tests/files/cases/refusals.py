"""Class 8: what cannot be scored, and what else a customer reads."""

from collections.abc import Iterator, Sequence

from tests.files.outcomes import Case, Scored, case, refused
from tests.files.table import ids, joined, plain, plain_customers

KIND = "8 wording"


def cases() -> Iterator[Case]:
    yield from _no_table()
    yield from _foreign_trades()
    yield from _too_wide_and_too_long()
    yield from _dates()
    yield from _bad_rows()
    yield from _row_numbers()
    yield from _result_form()


def _no_table() -> Iterator[Case]:
    lines = plain().lines()
    not_a_csv = refused("not_a_csv", r"(?i)csv")
    yield case(KIND, "an empty file", b"", refused("empty_file", r"(?i)empty"))
    yield case(KIND, "blanks alone", b" \n\n \t\n", refused("empty_file"))
    yield case(KIND, "a header alone", lines[0] + "\n", refused("no_rows", r"(?i)row|customers"))
    yield case(KIND, "a header and blank rows", lines[0] + "\n" + ("," * 19 + "\n") * 20, refused("no_rows"))
    yield case(
        KIND,
        "no header",
        joined(lines[1:]),
        refused("not_a_csv required_columns_missing", r"(?i)header|column names"),
        secrets=(ids()[0],),
    )
    yield case(KIND, "JSON", '[{"customerID": "1", "tenure": 3}]', not_a_csv)
    yield case(KIND, "a line of JSON for each customer", '{"customerID": "1", "tenure": 3}\n' * 50, not_a_csv)
    yield case(KIND, "HTML", "<html><table><tr><td>customerID</td></tr></table></html>", not_a_csv)
    yield case(KIND, "XML", "<?xml version='1.0'?><customers><customer/></customers>", not_a_csv)
    yield case(
        KIND,
        "an Excel workbook",
        b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00" + bytes(range(256)) * 40,
        refused("not_a_csv unreadable_encoding", r"(?i)excel|workbook|spreadsheet|csv"),
    )
    yield case(
        KIND,
        "an old Excel workbook",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256)) * 40,
        refused("not_a_csv unreadable_encoding", r"(?i)excel|workbook|spreadsheet|csv"),
    )
    yield case(
        KIND,
        "a PDF",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(128, 256)) * 20,
        refused("not_a_csv unreadable_encoding", r"(?i)csv"),
    )
    yield case(KIND, "prose", "Dear team,\nplease find the customers attached.\nKind regards\n", not_a_csv)
    yield case(
        KIND,
        "rows as columns",
        _transposed(),
        refused("required_columns_missing not_a_csv too_many_bad_rows", r"(?i)header|column|transpos|found"),
    )
    yield case(
        KIND,
        "one column of ids",
        joined(["customerID", *ids()]),
        refused("not_a_csv required_columns_missing"),
    )


def _transposed() -> str:
    table = plain().head(30)
    columns = zip(table.headers, *table.rows, strict=True)
    return joined([",".join(column) for column in columns])


_TRADES = {
    "SaaS": ("account_id,plan,seats,mrr,last_login_days,open_tickets,nps", "a{n},Pro,12,499.00,3,0,40"),
    "a bank": (
        "CustomerId,Surname,CreditScore,Geography,Gender,Age,Balance,NumOfProducts,EstimatedSalary",
        "{n},Smith,619,France,Female,42,0.00,1,101348.88",
    ),
    "a shop": ("customer_id,first_order,orders,revenue,coupon", "c{n},2023-01-05,7,310.20,SPRING"),
    "a gym": ("member_id,age,visits_per_week,plan,monthly_fee", "{n},33,2,Basic,29.00"),
    "an insurer": ("policy_no,customer_id,premium,claims,policy_term_years", "P{n},{n},310.00,1,10"),
    "HR": ("employee_id,department,satisfaction,years_at_company,left", "{n},Sales,0.4,3,1"),
    "streaming": ("user_id,subscription_type,watch_hours,last_login,monthly_fee", "u{n},Premium,22,3,13.99"),
}


def _foreign_trades() -> Iterator[Case]:
    for trade, (header, row) in _TRADES.items():
        yield case(
            KIND,
            f"customers of {trade}",
            joined([header, *(row.format(n=n) for n in range(10_000, 10_100))]),
            refused("required_columns_missing mapping_needs_confirmation implausible_values", r"(?i)telecom"),
            secrets=("10017",),
        )


def _too_wide_and_too_long() -> Iterator[Case]:
    for count in (1_001, 5_000, 100_000):
        extra = count - 20
        lines = plain().head(3).lines()
        header = lines[0] + "".join(f",x{n}" for n in range(extra))
        rows = [line + ",1" * extra for line in lines[1:]]
        # A header that is longer than what is read of a file to detect its form is counted as far as it goes.
        said = f"{count:,}" if count < 100_000 else r"at least \d\d,\d\d\d columns"
        yield case(
            KIND, f"{count:,} columns", joined([header, *rows]), refused("too_many_columns", said, "1,000")
        )
    lines = plain().lines()
    extra = 980
    yield case(
        KIND,
        "1,000 columns",
        joined(
            [lines[0] + "".join(f",x{n}" for n in range(extra)), *(line + ",1" * extra for line in lines[1:])]
        ),
    )
    for size in (20_000, 200_000, 1_000_000):
        for where, at in (("the last column", None), ("the second column", 1)):
            notes = ["short"] * 300
            notes[40] = "very long " * (size // 10)
            yield case(
                KIND,
                f"one note of {size:,} characters in {where}",
                plain().with_column("Notes", notes, at=at),
                Scored(plain_customers(), may_be_rejected=frozenset(ids()[40:41])),
            )
    notes = ["first line\nsecond, line\n\nfourth" if n % 3 else "none" for n in range(300)]
    for where, at in (("the last column", None), ("the second column", 1)):
        yield case(KIND, f"notes of several lines in {where}", plain().with_column("Notes", notes, at=at))
    open_quote = plain().with_column("Notes", "ok", at=1).lines()
    open_quote[41] = open_quote[41].replace(",ok,", ',"never closed,', 1)
    yield case(
        KIND,
        "one quote is never closed",
        joined(open_quote),
        Scored(plain_customers(), may_be_rejected=frozenset(ids()[40:41])),
    )


_DATES = {
    "2019-05-01": lambda n: f"20{10 + n % 14}-{1 + n % 12:02}-{1 + n % 28:02}",
    "01/05/2019": lambda n: f"{1 + n % 12:02}/{1 + n % 28:02}/20{10 + n % 14}",
    "01.05.2019": lambda n: f"{1 + n % 28:02}.{1 + n % 12:02}.20{10 + n % 14}",
    "1 May 2019": lambda n: f"{1 + n % 28} May 20{10 + n % 14}",
    "2019-05-01 00:00:00": lambda n: f"20{10 + n % 14}-{1 + n % 12:02}-{1 + n % 28:02} 00:00:00",
    "2019-05-01T00:00:00Z": lambda n: f"20{10 + n % 14}-{1 + n % 12:02}-{1 + n % 28:02}T00:00:00Z",
}


def _dates() -> Iterator[Case]:
    for form, date in _DATES.items():
        yield case(
            KIND,
            f"dates such as {form} under tenure",
            plain().filled("tenure", [date(n) for n in range(300)]),
            refused("too_many_bad_rows implausible_values", "tenure", r"(?i)date", r"(?i)months"),
        )
    yield case(
        KIND,
        "a spreadsheet's day numbers under tenure",
        plain().filled("tenure", [str(41_000 + 13 * n) for n in range(300)]),
        refused("too_many_bad_rows implausible_values", "tenure", r"(?i)date|days", r"(?i)months"),
    )
    for header in ("start date", "Customer since", "tenure start date", "signup_date"):
        yield case(
            KIND,
            f"dates under “{header}” in place of tenure",
            plain().renamed(tenure=header).filled("tenure", [_DATES["2019-05-01"](n) for n in range(300)]),
            refused(
                "required_columns_missing mapping_needs_confirmation too_many_bad_rows implausible_values",
                "tenure",
                r"(?i)months|rename|mapping",
            ),
        )


def _bad_rows() -> Iterator[Case]:
    for share, first in ((0.6, 1), (1.0, 0)):
        cells = plain().column("tenure")
        concerned = [n for n in range(first, 300) if n % 10 < share * 10]
        for n in concerned:
            cells[n] = "secret-word"
        yield case(
            KIND,
            f"tenure is no number in {share:.0%} of the rows",
            plain().filled("tenure", cells),
            refused("too_many_bad_rows implausible_values", "tenure", rf"row {concerned[0] + 2}\b"),
            secrets=("secret-word",),
        )
    cells = plain().column("customerID")
    for n in range(10, 290):
        cells[n] = ""
    yield case(
        KIND,
        "most ids are blank",
        plain().filled("customerID", cells),
        refused("too_many_bad_rows", "(?i)customerID|id", r"row 12\b"),
    )


def _at(first: int, step: int = 1) -> dict[str, int]:
    return {customer_id: first + n * step for n, customer_id in enumerate(ids())}


def _numbered(rows: dict[str, int]) -> Scored:
    return Scored(plain_customers(), rows=rows)


def _row_numbers() -> Iterator[Case]:
    lines = plain().lines()
    yield case(KIND, "row numbers of the plain table", joined(lines), _numbered(_at(2)))
    yield case(KIND, "row numbers below two titles", joined(["Customers", "", *lines]), _numbered(_at(4)))
    spaced = [lines[0], *(line for row in lines[1:] for line in (row, ""))]
    yield case(KIND, "row numbers with blank rows between all", joined(spaced), _numbered(_at(2, 2)))
    broken = [*lines[:101], "", "", *lines[101:]]
    rows = {**_at(2), **{customer_id: n + 104 for n, customer_id in enumerate(ids()[100:])}}
    yield case(KIND, "row numbers around two blank rows", joined(broken), _numbered(rows))
    notes = ["one\ntwo\nthree" if n == 10 else "" for n in range(300)]
    yield case(
        KIND,
        "row numbers below a cell of three lines",
        plain().with_column("Notes", notes, at=1),
        _numbered(_at(2)),
    )
    yield case(
        KIND, "row numbers with CRLF", joined([*lines[:101], "", *lines[101:]], "\r\n"),
        _numbered({**_at(2), **{customer_id: n + 103 for n, customer_id in enumerate(ids()[100:])}}),
    )  # fmt: skip
    for titles in (0, 3):
        cells = plain().column("tenure")
        cells[7] = "many"
        content = joined([*(["Report"] * titles), *plain().filled("tenure", cells).lines()])
        rejected = frozenset(ids()[7:8])
        yield case(
            KIND,
            f"the number of a rejected row below {titles} titles",
            content,
            Scored(plain_customers(), may_be_rejected=rejected, rejected_row=9 + titles),
        )


def _result_form() -> Iterator[Case]:
    forms: Sequence[tuple[str, str, str]] = (
        (",", ".", "commas and points"),
        (";", ",", "semicolons and decimal commas"),
        (";", ".", "semicolons and points"),
        ("\t", ".", "tabs and points"),
        ("\t", ",", "tabs and decimal commas"),
        (",", ",", "commas and decimal commas in quotes"),
    )
    for delimiter, decimal, name in forms:
        table = plain().decimal_commas() if decimal == "," else plain()
        yield case(
            KIND,
            f"scores.csv for {name}",
            table.text(delimiter),
            # A spreadsheet with decimal commas never separates cells by commas.
            Scored(
                plain_customers(),
                csv_form=(";" if (delimiter, decimal) == (",", ",") else delimiter, decimal),
            ),
        )
    yield case(KIND, "repeated ids are scored one by one", _repeated(), _repeated_outcome())


def _repeated() -> str:
    lines = plain().lines()
    return joined([*lines, lines[1], lines[2].replace(ids()[1], ids()[0])])


def _repeated_outcome() -> Scored:
    customers = plain_customers()
    first, second = customers[0], {**customers[1], "customerID": customers[0]["customerID"]}
    return Scored((*customers, first, second), (r"(?i)more than once",))
