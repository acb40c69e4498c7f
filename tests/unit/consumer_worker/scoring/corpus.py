"""Odd files and the outcome of each: typical faults of customers' exports, made from one small table."""

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from retainwise_contracts.failures import FailureCode
from retainwise_contracts.results import RowRejection

HEADERS = (
    "customerID", "gender", "tenure", "Partner", "Dependents", "PhoneService", "MultipleLines",
    "InternetService", "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV",
    "StreamingMovies", "Contract", "PaperlessBilling", "PaymentMethod", "MonthlyCharges", "TotalCharges",
)  # fmt: skip


_ADD_ONS = (
    "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies",
)  # fmt: skip


def customers(count: int, seed: int = 1) -> list[dict[str, str]]:
    """Make customers in the form of the training data."""
    draw = random.Random(seed)

    def yes_or_no() -> str:
        return draw.choice(("Yes", "No"))

    rows = []
    for number in range(count):
        tenure = draw.randint(0, 72)
        monthly = draw.randint(1825, 11_875) / 100
        rows.append(
            {
                "customerID": f"{number:04}-{draw.choice('ABCDE')}",
                "gender": draw.choice(("Female", "Male")),
                "tenure": str(tenure),
                "Partner": yes_or_no(),
                "Dependents": yes_or_no(),
                "PhoneService": yes_or_no(),
                "MultipleLines": draw.choice(("Yes", "No", "No phone service")),
                "InternetService": draw.choice(("DSL", "Fiber optic", "No")),
                "OnlineSecurity": draw.choice(("Yes", "No", "No internet service")),
                "OnlineBackup": yes_or_no(),
                "DeviceProtection": yes_or_no(),
                "TechSupport": yes_or_no(),
                "StreamingTV": yes_or_no(),
                "StreamingMovies": yes_or_no(),
                "Contract": draw.choice(("Month-to-month", "One year", "Two year")),
                "PaperlessBilling": yes_or_no(),
                "PaymentMethod": draw.choice(
                    (
                        "Electronic check",
                        "Mailed check",
                        "Bank transfer (automatic)",
                        "Credit card (automatic)",
                    )
                ),
                "MonthlyCharges": f"{monthly:.2f}",
                "TotalCharges": f"{tenure * monthly:.2f}" if tenure else " ",
            }
        )
        if rows[-1]["InternetService"] == "No":
            rows[-1].update(dict.fromkeys(_ADD_ONS, "No internet service"))
        if rows[-1]["PhoneService"] == "No":
            rows[-1]["MultipleLines"] = "No phone service"
    return rows


def table(
    rows: Sequence[dict[str, str]],
    headers: Sequence[str] = HEADERS,
    *,
    delimiter: str = ",",
    newline: str = "\n",
) -> str:
    """Write customers as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerow(headers)
    writer.writerows([row[header] for header in headers] for row in rows)
    return text.getvalue()


TEN = customers(10)
PLAIN = table(TEN)
LINES = PLAIN.splitlines(keepends=True)


@dataclass(frozen=True)
class OddFile:
    """A file and its outcome: the rows scored, or the code it fails with."""

    name: str
    content: bytes
    scored: int = 10
    rejected: int = 0
    rejections: tuple[RowRejection, ...] = ()
    failure: FailureCode | None = None
    says: str = ""
    """What the failure's detail or a sentence of the quality report must say."""
    same_scores: bool = False
    """Whether the scores must be those of the plain table, to the bit."""
    mapping: dict[str, str] = field(default_factory=dict)


def same(name: str, content: str | bytes, says: str = "", **mapping: str) -> OddFile:
    """A file that is the plain table in another form."""
    return OddFile(name, _bytes(content), same_scores=True, says=says, mapping=mapping)


def rejecting(name: str, content: str | bytes, *codes: RowRejection, scored: int | None = None) -> OddFile:
    """A file with one bad row per code."""
    return OddFile(
        name, _bytes(content), 10 - len(codes) if scored is None else scored, len(codes), rejections=codes
    )


def failing(name: str, content: str | bytes, failure: FailureCode, says: str = "", **mapping: str) -> OddFile:
    """A file that cannot be scored."""
    return OddFile(name, _bytes(content), 0, failure=failure, says=says, mapping=mapping)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def changed(column: str, *values: str) -> str:
    """Write the plain table with other values in a column, from the first row on."""
    rows = [dict(row) for row in TEN]
    for row, value in zip(rows, values, strict=False):
        row[column] = value
    return table(rows)


def renamed(**headers: str) -> str:
    """Write the plain table with other headers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([headers.get(header, header) for header in HEADERS])
    writer.writerows([row[header] for header in HEADERS] for row in TEN)
    return text.getvalue()


def every(column: str, write: str) -> str:
    """Write each value of a column in another form, `{}` standing for the value."""
    return changed(column, *(write.format(row[column]) for row in TEN))


def german() -> str:
    """Write the plain table as a German spreadsheet does: semicolons and decimal commas."""
    rows = [dict(row) for row in TEN]
    for row in rows:
        for column in ("MonthlyCharges", "TotalCharges"):
            row[column] = row[column].replace(".", ",")
    return table(rows, delimiter=";", newline="\r\n")


def line_changed(number: int, line: str) -> str:
    """Write the plain table with another line; 0 is the header."""
    return "".join([*LINES[:number], line, *LINES[number + 1 :]])


_R = RowRejection
_F = FailureCode
_FIRST = LINES[1].rstrip("\n")
_NO_COLUMN = "The file has no column for"

ODD_FILES: tuple[OddFile, ...] = (
    # Delimiters, line ends, quotes
    same("plain", PLAIN),
    same("semicolons", table(TEN, delimiter=";")),
    same("tabs", table(TEN, delimiter="\t")),
    same("pipes", table(TEN, delimiter="|")),
    same("crlf", table(TEN, newline="\r\n")),
    same("cr", table(TEN, newline="\r")),
    same(
        "cr, lf and crlf", "".join(x.rstrip("\n") + ("\r", "\n", "\r\n")[n % 3] for n, x in enumerate(LINES))
    ),
    same("a stray cr in a header", PLAIN.replace("MonthlyCharges", "Monthly\rCharges", 1)),
    same("no line end at the end", PLAIN.rstrip("\n")),
    same("everything quoted", "".join('"' + line.rstrip("\n").replace(",", '","') + '"\n' for line in LINES)),
    same("quotes after a blank", "".join('"' + x.rstrip("\n").replace(",", '", "') + '"\n' for x in LINES)),
    same("apostrophes for quotes", "".join("'" + x.rstrip("\n").replace(",", "','") + "'\n" for x in LINES)),
    same("announced delimiter", "sep=;\r\n" + table(TEN, delimiter=";", newline="\r\n")),
    same("trailing delimiters", "".join(line.rstrip("\n") + ",\n" for line in LINES)),
    same(
        "trailing delimiters below the header", LINES[0] + "".join(x.rstrip("\n") + ",,\n" for x in LINES[1:])
    ),
    same("line breaks in unused cells", changed("gender", "a\nb", 'a "quoted"\r\nword', "c,d")),
    same("stray quotes in unused cells", PLAIN.replace("Female", 'Fe"male').replace(",Male", ',M"al"e')),
    same("blank lines", "\n\n" + PLAIN.replace("\n", "\n\n", 4) + "\n\n", says="Blank rows skipped"),
    same(
        "lines of delimiters alone",
        PLAIN + "," * (len(HEADERS) - 1) + "\n",
        says="Blank rows skipped: 1.",
    ),
    same("a form feed in an unused cell", changed("gender", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b")),
    # Encodings
    same("utf-8 with bom", PLAIN.encode("utf-8-sig")),
    same("utf-16 little endian", PLAIN.encode("utf-16")),
    same("utf-16 big endian with bom", b"\xfe\xff" + PLAIN.encode("utf-16-be")),
    same("utf-16 without bom", PLAIN.encode("utf-16-le")),
    same("utf-8 beyond ascii", changed("gender", "weiblich ♀", "Müller", "日本")),
    same(
        "windows-1252",
        changed("gender", "Müller", "80 €").encode("cp1252"),
        "The file is not UTF-8. It was read as Windows-1252.",
    ),
    same(
        "utf-8 with a character cut",
        every("gender", "Mär{}").encode().replace(b"M\xc3\xa4r", b"M\xc3r", 1),
        "Characters that could not be read: 1. They are shown as \N{REPLACEMENT CHARACTER}.",
    ),
    same("windows-1252 far down", PLAIN.encode()[:-1].rpartition(b",")[0] + b",\xe4\n"),
    same("semicolons and decimal commas in utf-16", german().encode("utf-16")),
    # Title rows and headers
    same("title rows", "Customers at risk\nas of March 2026, all regions\n\n" + PLAIN),
    same(
        "a title row of many cells",
        "Exported,by,Bob,on,Monday,for,all,of,the,teams,in,sales,,,,,,,\n" + PLAIN,
    ),
    same("empty leading columns", "".join(",,,,,,,,,,,,,,,,,,,,," + line for line in LINES)),
    same(
        "a column for each month",
        "".join(
            line.rstrip("\n") + "".join(f",{cell}" for cell in cells) + "\n"
            for line, cells in zip(
                LINES, [[f"2024-{month:02}" for month in range(1, 13)], *[range(12)] * 10], strict=True
            )
        ),
    ),
    same("title rows padded with delimiters", "Customers" + "," * (len(HEADERS) - 1) + "\n" + PLAIN),
    same(
        "headers in other spellings",
        renamed(customerID="Customer ID", tenure="TENURE", Contract=" contract "),
    ),
    same(
        "headers by other names",
        renamed(customerID="account_id", tenure="Months as customer", MonthlyCharges="Monthly fee"),
    ),
    same("a misspelt header", renamed(MonthlyCharges="MontlyCharges"), says="because the names are similar"),
    same("a header mapped by the request", renamed(tenure="x1", Contract="x2"), tenure="x1", Contract="x2"),
    same(
        "duplicate headers",
        renamed(gender="tenure2").replace("tenure2", "gender").replace("TotalCharges", "gender"),
    ),
    same(
        "a second column of a used name",
        renamed(TotalCharges="Contract"),
        says="not a second column of that name",
    ),
    same("blank headers", renamed(gender="", TotalCharges="")),
    same("columns in another order", table(TEN, HEADERS[::-1])),
    same(
        "what rejected.csv adds",
        "".join(
            line.rstrip("\n")
            + (
                ",rejected_row,rejected_code,rejected_column,rejected_value,rejected_hint\n"
                if n == 0
                else ",7,missing_id,customerID,,x\n"
            )
            for n, line in enumerate(LINES)
        ),
    ),
    OddFile(
        "optional columns missing",
        table(TEN, ("customerID", "tenure", "Contract", "InternetService")).encode(),
        says=_NO_COLUMN,
    ),
    # Numbers
    same("decimal commas", german()),
    same("dollars", every("MonthlyCharges", "${}")),
    same("euros behind", german().replace("\r\n", " €\r\n")),
    same("currency codes", every("MonthlyCharges", "USD {}")),
    same("blanks around numbers", every("tenure", "  {} ")),
    same("numbers with a fraction of zero", every("tenure", "{}.0")),
    same("scientific notation", every("tenure", "{}E+00")),
    same(
        "tenure in years",
        changed("tenure", *(str(int(row["tenure"]) / 12) for row in TEN)).replace(
            "tenure", "Tenure (years)", 1
        ),
        says="converted from years to months",
    ),
    same(
        "charges in cents",
        changed("MonthlyCharges", *(row["MonthlyCharges"].replace(".", "") for row in TEN)).replace(
            "MonthlyCharges", "MonthlyCharges (cents)", 1
        ),
        says="converted from cents to currency",
    ),
    OddFile(
        "thousands in a decimal-comma file",
        german().replace(";" + TEN[0]["MonthlyCharges"].replace(".", ",") + ";", ";1.234,56;").encode(),
        says="outside the range of the training data",
    ),
    OddFile(
        "charges that are words",
        changed("MonthlyCharges", "a lot", "too much").encode(),
        says="Monthly charge is not a number, or an impossible one, in 20.0% of the rows.",
    ),
    OddFile(
        "negative charges",
        changed("MonthlyCharges", "-5", "(5.00)").encode(),
        says="Monthly charge is not a number, or an impossible one, in 20.0% of the rows.",
    ),
    OddFile(
        "a percentage of money",
        changed("MonthlyCharges", "12 %").encode(),
        says="Monthly charge is not a number, or an impossible one, in 10.0% of the rows.",
    ),
    # Words
    same(
        "yes and no otherwise",
        PLAIN.replace(",Yes,", ",true,").replace(",Yes,", ",Y,").replace(",No,", ",n,"),
    ),
    same(
        "categories in other spellings",
        PLAIN.replace("Month-to-month", "month to month")
        .replace("Fiber optic", "FIBRE")
        .replace("One year", "1 year"),
    ),
    OddFile(
        "words for missing",
        changed("PaymentMethod", "N/A", "null", "-", "", "#N/A", "unknown").encode(),
        says="Payment method is missing in 60.0% of the rows",
    ),
    OddFile(
        "a category never seen",
        changed("Contract", "Weekly", "Weekly", "Daily").encode(),
        says="Contract has 2 values the model has never seen, in 30.0% of the rows: “Weekly”, “Da",
    ),
    OddFile(
        "names where categories should be",
        changed("PaymentMethod", *(f"Jane Doe {n}" for n in range(10))).encode(),
        says="Payment method has 10 values",
    ),
    OddFile("a category that a spreadsheet would run", changed("Contract", "=1+1").encode(), says="“=1+1”"),
    OddFile("a control character in an id", PLAIN.replace("0003-", "00\x0003-").encode()),
    OddFile(
        "a duplicate id",
        changed("customerID", "A", "B", "A").encode(),
        says="Customer IDs that occur more than once: 1, in 2 rows",
    ),
    # Rows
    rejecting("no id", line_changed(1, "," + _FIRST.split(",", 1)[1] + "\n"), _R.MISSING_ID),
    rejecting("a word for no id", line_changed(1, "N/A," + _FIRST.split(",", 1)[1] + "\n"), _R.MISSING_ID),
    rejecting("tenure that is a word", changed("tenure", "long"), _R.NOT_A_NUMBER),
    rejecting("tenure that is infinite", changed("tenure", "inf"), _R.NOT_A_NUMBER),
    rejecting("tenure in percent", changed("tenure", "12 %"), _R.NOT_A_NUMBER),
    rejecting("negative tenure", changed("tenure", "-1"), _R.OUT_OF_RANGE),
    rejecting("tenure of centuries", changed("tenure", "99999"), _R.OUT_OF_RANGE),
    rejecting("a row too long", line_changed(1, _FIRST + ",more,cells\n"), _R.WRONG_CELL_COUNT),
    rejecting("a row too short", line_changed(1, "0000-A,Female\n"), _R.WRONG_CELL_COUNT),
    rejecting("a footer", PLAIN + "Total: 10 customers\n", _R.WRONG_CELL_COUNT, scored=10),
    rejecting(
        "an open quote", line_changed(2, LINES[2].replace(",", ',"', 1).replace("0001", "1", 1)), scored=10
    ),
    rejecting("a last row cut off", PLAIN[: PLAIN.rindex("\n", 0, -1) + 9], _R.WRONG_CELL_COUNT),
    rejecting(
        "nothing but an id", line_changed(1, "0000-A" + "," * (len(HEADERS) - 1) + "\n"), _R.MISSING_VALUE
    ),
    OddFile(
        "rows that end early",
        "\n".join(
            line.rsplit(",", 1)[0] if n else line for n, line in enumerate(PLAIN.splitlines())
        ).encode(),
        same_scores=True,
        says="Rows that end before the last column: 10.",
    ),
    rejecting("totals", PLAIN + "Total,,350" + "," * (len(HEADERS) - 3) + "\n", _R.MISSING_ID, scored=10),
    # No tables
    failing("nothing", b"", _F.EMPTY_FILE),
    failing("blanks", " \r\n \n", _F.EMPTY_FILE),
    failing("a workbook", b"PK\x03\x04\x14\x00\x06\x00", _F.NOT_A_CSV, "Excel workbook"),
    failing("a picture", b"\x89PNG\r\n\x1a\n", _F.NOT_A_CSV, "picture"),
    failing("json", '[{"customerID": "1", "tenure": 2}]', _F.NOT_A_CSV, "JSON"),
    failing("html", "<table><tr><td>1</td></tr></table>", _F.NOT_A_CSV, "HTML"),
    failing("random bytes", random.Random(1).randbytes(5000), _F.NOT_A_CSV),
    failing("prose", "Dear Sir or Madam\nplease find attached\nour customers\n", _F.NOT_A_CSV, "delimiter"),
    failing("a header alone", LINES[0], _F.NO_ROWS),
    failing("a header and blank rows", LINES[0] + "\n,,,\n\n", _F.NO_ROWS),
    failing("no header", "".join(LINES[1:]), _F.NOT_A_CSV, "header"),
    failing(
        "required columns missing",
        table(TEN, ("customerID", "tenure", "gender")),
        _F.REQUIRED_COLUMNS_MISSING,
        "Contract",
    ),
    failing("no id column", table(TEN, HEADERS[1:]), _F.REQUIRED_COLUMNS_MISSING, "customer_id"),
    failing("a mapping to no header", PLAIN, _F.INVALID_MAPPING, "nowhere", tenure="nowhere"),
    failing("a mapping of no feature", PLAIN, _F.INVALID_MAPPING, "shoe_size", shoe_size="gender"),
    failing(
        "too many columns", ",".join([*HEADERS, *(f"c{n}" for n in range(1000))]) + "\n", _F.TOO_MANY_COLUMNS
    ),
    rejecting("a row of a megabyte", PLAIN + "x" * 1_000_000 + "\n", _R.WRONG_CELL_COUNT, scored=10),
    same("a note of a megabyte", changed("gender", "", "x" * 1_000_000)),
    failing("one line without end", "a,b," * 100_000, _F.TOO_MANY_COLUMNS),
    failing("utf-32", PLAIN.encode("utf-32"), _F.UNREADABLE_ENCODING),
    failing("bytes of no encoding", PLAIN.encode().replace(b"Female", b"\x81\x8d"), _F.UNREADABLE_ENCODING),
    failing("half of a utf-16 character", PLAIN.encode("utf-16")[:-1], _F.UNREADABLE_ENCODING),
    failing("mostly bad rows", changed("tenure", *["?!"] * 6), _F.TOO_MANY_BAD_ROWS, "6 of 10 rows"),
)
