"""Layouts: what stands above, below, beside and between the rows, and how they are divided and quoted."""

import csv
import io
from collections.abc import Iterator

from tests.files.outcomes import Case, Scored, case, refused, same
from tests.files.table import ids, joined, plain, plain_customers

KIND = "layout"


def cases() -> Iterator[Case]:
    yield from _above()
    yield from _below_and_between()
    yield from _beside()
    yield from _row_names()
    yield from _quotes()
    yield from _delimiters_and_line_ends()
    yield from _headers()


def _above() -> Iterator[Case]:
    lines = plain().lines()
    above = {
        "one title": ["Customer export"],
        "a title and a blank row": ["Customer export", ""],
        "five titles": ["Report", "Created 2024-05-01", "Department: Sales", "Confidential", ""],
        "a title as wide as the table": ["Customer export" + "," * 19],
        "titles with commas": ["Customers, all regions, 2024", "Created by: A, B and C"],
        "filters in two cells": ["Region,EMEA", "Year,2024", ""],
        "a comment": ["# exported by crm 4.2"],
        "groups of columns": ["Customer,,,,,Usage,,,,,,,,,,Billing,,,,"],
        "letters of the columns": [",".join("ABCDEFGHIJKLMNOPQRST")],
        "numbers of the columns": [",".join(str(n) for n in range(1, 21))],
        "blank rows": ["", "", ""],
        "blank cells": ["," * 19, "," * 19],
    }
    for name, rows in above.items():
        # Where nobody would look for a title, a clear refusal is honest too.
        asked = (
            [refused("not_a_csv required_columns_missing", "(?i)header")] if "of the columns" in name else []
        )
        yield case(KIND, f"{name} above the header", joined([*rows, *lines]), same(), *asked)
    for line in ("sep=,", '"sep=,"', "SEP=,"):
        yield case(KIND, f"{line} above the header", joined([line, *lines]))
    yield case(
        KIND, "sep=; above a German header", joined(["sep=;", *plain().decimal_commas().lines(";")], "\r\n")
    )
    yield case(KIND, "a blank row below the header", joined([lines[0], "", *lines[1:]]))
    dashes = ",".join("---" for _ in plain().columns)
    units = ",".join("months" if c == "tenure" else "USD" if "Charges" in c else "" for c in plain().columns)
    for name, row in (("dashes", dashes), ("units", units)):
        yield case(KIND, f"a row of {name} below the header", joined([lines[0], row, *lines[1:]]))


def _below_and_between() -> Iterator[Case]:
    lines = plain().lines()
    total = sum(float(value) for value in plain().column("MonthlyCharges"))
    width = len(plain().columns)
    for word in (
        "Total",
        "TOTAL",
        "Grand Total",
        "Sum",
        "Summe",
        "Gesamt",
        "Totals",
        "Average",
        "Gesamtsumme",
    ):
        cells = [word, *[""] * (width - 1)]
        cells[plain().columns.index("tenure")] = "7412"
        cells[plain().columns.index("MonthlyCharges")] = f"{total:.2f}"
        yield case(KIND, f"a row “{word}” at the end", joined([*lines, ",".join(cells)]))
    yield case(KIND, "a total without a word", joined([*lines, "," * 18 + f"{total:.2f},"]))
    for name, rows in {
        "a footer": ["Exported 2024-05-01"],
        "a footer in the first cell": ["300 customers" + "," * 19],
        "a footer below a blank row": ["", "(c) 2024 Example Ltd"],
        "blank rows": ["", "", ""],
        "rows of commas": ["," * 19] * 50,
    }.items():
        yield case(KIND, f"{name} at the end", joined([*lines, *rows]))
    yield case(
        KIND,
        "the header again every 50 rows",
        joined(
            [
                line
                for n, row in enumerate(lines)
                for line in ([lines[0], row] if n and n % 50 == 0 else [row])
            ]
        ),
    )
    yield case(KIND, "no line end at the end", joined(lines).rstrip("\n"))
    yield case(
        KIND,
        "groups of rows under a heading",
        joined(["North" + "," * 19 if n in (1, 101, 201) and k == 0 else row
                for n, row in enumerate(lines) for k in ((0, 1) if n in (1, 101, 201) else (1,))]),
    )  # fmt: skip


def _beside() -> Iterator[Case]:
    for at, name in ((0, "first"), (5, "sixth"), (20, "last")):
        yield case(KIND, f"a blank {name} column", plain().with_column("", "", at=at))
    yield case(
        KIND, "three blank columns", plain().with_column("", "", 3).with_column("", "", 0).with_column("", "")
    )
    yield case(KIND, "a column with no name and values", plain().with_column("", "x", at=4))
    yield case(KIND, "a serial number", plain().with_column("No.", [str(n + 1) for n in range(300)], at=0))
    yield case(KIND, "cells of JSON", plain().with_column("attributes", '{"a": [1, 2], "b": "x,y"}', at=1))
    yield case(KIND, "two columns of one name", plain().with_column("Notes", "a").with_column("Notes", "b"))
    yield case(KIND, "columns from last to first", plain().ordered(*reversed(plain().columns)))
    yield case(KIND, "columns by name", plain().ordered(*sorted(plain().columns)))
    yield case(
        KIND,
        "only what the model reads",
        plain().without("gender", "SeniorCitizen", "Partner", "Dependents", "TotalCharges"),
    )
    formulas = [f"={customer_id}" for customer_id in ids()]
    yield case(KIND, "cells that look like formulas", plain().with_column("Link", formulas, at=1))


def _row_names() -> Iterator[Case]:
    lines = plain().lines()
    quoted = plain().text(quote_all=True).splitlines()
    numbers = [str(n) for n in range(1, 301)]

    def numbered(rows: list[str], quote: str = "", delimiter: str = ",") -> list[str]:
        return [f"{quote}{number}{quote}{delimiter}{row}" for number, row in zip(numbers, rows, strict=True)]

    asked = refused("not_a_csv too_many_bad_rows required_columns_missing", r"(?i)header|row names|column")
    yield case(
        KIND,
        "R's write.table: the header is one short",
        joined([lines[0], *numbered(lines[1:])]),
        same(),
        asked,
    )
    yield case(
        KIND,
        "R's write.table, quoted",
        joined([quoted[0], *numbered(quoted[1:], '"')]),
        same(),
        asked,
    )
    for delimiter, name in (("\t", "tabs"), (";", "semicolons"), (" ", "blanks")):
        rows = plain().text(delimiter, quote_all=True).splitlines()
        yield case(
            KIND,
            f"R's write.table with {name}",
            joined([rows[0], *numbered(rows[1:], '"', delimiter)]),
            same(),
            asked,
        )
    yield case(
        KIND,
        "R's write.csv: the first header is blank",
        joined([f'"",{quoted[0]}', *numbered(quoted[1:], '"')]),
    )
    yield case(KIND, "pandas' index", joined(["," + lines[0], *numbered(lines[1:])]))
    yield case(KIND, "pandas' index read again", joined(["Unnamed: 0," + lines[0], *numbered(lines[1:])]))
    names = [f"{letter}{n}" for n, letter in zip(range(300), "ABC" * 100, strict=True)]
    named = [f"{name},{row}" for name, row in zip(names, lines[1:], strict=True)]
    yield case(KIND, "R's write.table with words for row names", joined([lines[0], *named]), same(), asked)


def _quotes() -> Iterator[Case]:
    lines = plain().lines()
    yield case(KIND, "all cells in quotes", plain().text(quote_all=True))
    yield case(KIND, "all cells in apostrophes", plain().text(quote_all=True, quote="'"))
    yield case(KIND, "whole rows in quotes", joined([f'"{line}"' for line in lines]))
    yield case(
        KIND,
        "whole rows in quotes but for the header",
        joined([lines[0], *(f'"{line}"' for line in lines[1:])]),
    )
    yield case(KIND, "whole rows in quotes, semicolons", joined([f'"{line}"' for line in plain().lines(";")]))
    inner = plain().with_column("Company", "Acme, Inc", at=1).lines()
    yield case(
        KIND, "whole rows in quotes, with quotes doubled inside",
        joined(['"' + line.replace('"', '""') + '"' for line in inner]),
    )  # fmt: skip
    yield case(
        KIND, "all cells in quotes, and whole rows again",
        joined(['"' + line.replace('"', '""') + '"' for line in plain().text(quote_all=True).splitlines()]),
    )  # fmt: skip
    yield case(KIND, "whole rows in quotes, with trailing commas", joined([f'"{line}",,' for line in lines]))
    yield case(KIND, "a quoted comma in each row", plain().with_column("Company", "Acme, Inc", at=1))
    yield case(KIND, "inches in cells", plain().with_column("Screen", 'TV 40" wide', at=1).unquoted())
    yield case(KIND, "apostrophes in names", plain().with_column("Name", "O'Brien", at=1))
    yield case(KIND, "blanks before quotes", plain().text(quote_all=True).replace(',"', ', "'))
    backslashes = io.StringIO()
    writer = csv.writer(backslashes, quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n")
    table = plain().with_column("Company", "Acme, Inc", at=1)
    writer.writerow(table.headers)
    writer.writerows(table.rows)
    yield case(
        KIND,
        "commas behind backslashes",
        backslashes.getvalue(),
        same(),
        refused(
            "too_many_bad_rows not_a_csv required_columns_missing implausible_values", r"(?i)row|column|cell"
        ),
    )


def _delimiters_and_line_ends() -> Iterator[Case]:
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "pipes")):
        yield case(KIND, f"divided by {name}", plain().text(delimiter))
        commas = plain().decimal_commas()
        yield case(KIND, f"divided by {name}, decimal commas", commas.text(delimiter))
    yield case(KIND, "commas, and decimal commas in quotes", plain().decimal_commas())
    for delimiter in ("^", "~", "::", "\x01"):
        content = joined([delimiter.join(row) for row in (plain().headers, *plain().rows)])
        refusal = refused("not_a_csv", r"(?i)comma|semicolon|delimiter|tab")
        yield case(KIND, f"divided by {delimiter!r}", content, same(), refusal)
    for newline, name in (("\r\n", "CRLF"), ("\r", "CR"), ("\n\n", "two line ends"), ("\r\r\n", "CRCRLF")):
        yield case(KIND, f"lines end in {name}", joined(plain().lines(), newline))
    lines = plain().lines()
    mixed = "".join(line + ("\r\n" if n % 2 else "\n") for n, line in enumerate(lines))
    yield case(KIND, "lines end in LF and CRLF", mixed)
    padded = [", ".join(row) for row in (plain().headers, *plain().rows)]
    yield case(KIND, "blanks behind the commas", joined(padded))
    widths = [max(map(len, column)) for column in zip(plain().headers, *plain().rows, strict=True)]
    fixed = [
        ",".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (plain().headers, *plain().rows)
    ]
    yield case(KIND, "cells filled with blanks", joined(fixed))
    yield case(
        KIND,
        "columns of a fixed width",
        joined([line.replace(",", " ") for line in fixed]),
        refused("not_a_csv required_columns_missing", r"(?i)comma|semicolon|delimiter|column"),
    )
    markdown = [f"| {' | '.join(row)} |" for row in (plain().headers, *plain().rows)]
    yield case(
        KIND,
        "a table with pipes around",
        joined(markdown),
        same(),
        refused("not_a_csv too_many_bad_rows required_columns_missing"),
    )


def _headers() -> Iterator[Case]:
    styles = {
        "in capitals": str.upper,
        "in small letters": str.lower,
        "with blanks": lambda header: _parted(header, " "),
        "with underscores": lambda header: _parted(header, "_").lower(),
        "with hyphens": lambda header: _parted(header, "-").lower(),
        "with dots": lambda header: _parted(header, ".").lower(),
        "with blanks around": lambda header: f"  {header}  ",
        "with no-break spaces": lambda header: _parted(header, "\u00a0"),
        "with line breaks": lambda header: _parted(header, "\n"),
        "with asterisks": lambda header: f"{header} *",
        "with colons": lambda header: f"{header}:",
        "qualified": lambda header: f"customers.{header}",
        "in brackets": lambda header: f"[{header}]",
    }
    for name, style in styles.items():
        table = plain().headed({column: style(column) for column in plain().columns})
        asked = refused(
            "required_columns_missing mapping_needs_confirmation", r"customers\.", "(?i)mapping|rename"
        )
        yield case(KIND, f"headers {name}", table, same(), *([asked] if name == "qualified" else []))
    yield case(
        KIND,
        "a customer's second row is blank but for the id",
        joined([*plain().lines(), "zzzz-AAAAA" + "," * 19]),
        Scored(plain_customers()),
    )


def _parted(header: str, blank: str) -> str:
    """Write `OnlineSecurity` in two words."""
    parted = "".join(
        blank + letter if letter.isupper() and n and header[n - 1].islower() else letter
        for n, letter in enumerate(header)
    )
    return parted.replace("customer" + blank + "ID", "customer" + blank + "id")
