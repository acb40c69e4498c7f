"""What people send who know nothing of the program: reports, dumps, spreadsheets that changed the cells."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tests.files.outcomes import Case, Scored, case, refused, same, warned
from tests.files.table import ADD_ONS, ID, Table, identified, ids, joined, knowing, plain, plain_customers

KIND = "careless customer"

_DURATIONS: Mapping[str, Callable[[int, int], str]] = {
    # By an example: years and months to text.
    "2 years 3 months": lambda years, months: f"{years} years {months} months",
    "2 yrs, 3 mths": lambda years, months: f"{years} yrs, {months} mths",
    "2y3m": lambda years, months: f"{years}y{months}m",
    "P2Y3M": lambda years, months: f"P{years}Y{months}M",
    "27 mths": lambda years, months: f"{12 * years + months} mths",
    "2 Jahre und 3 Monate": lambda years, months: f"{years} Jahre und {months} Monate",
    "2 ans 3 mois": lambda years, months: f"{years} ans {months} mois",
    "2 años y 3 meses": lambda years, months: f"{years} años y {months} meses",
    "2 years, or plain months": lambda years, months: (
        f"{years} years" if years and not months else f"{12 * years + months}"
    ),
}
_YES_NO = (
    ("✓", "✗"),
    ("✔️", "✘"),
    ("✅", "❌"),
    ("☑", "☐"),
    ("Active", "Inactive"),
    ("aktiv", "inaktiv"),
    ("enabled", "disabled"),
    ("included", "not included"),
    ("checked", "unchecked"),
    ("WAHR", "FALSCH"),
    ("VRAI", "FAUX"),
)
_YES_NO_COLUMNS = ("PhoneService", "MultipleLines", "PaperlessBilling", *ADD_ONS)
_UNREAD = {
    "Churn Date": "2025-03-01",
    "Cancellation date": "2025-03-01",
    "Kündigung zum": "31.01.2027",
    "Churn Reason": "Price",
    "is_deleted": "1",
}


def cases() -> Iterator[Case]:
    yield from _cells()
    yield from _numbers_as_words()
    yield from _contradictions()
    yield from _amounts_and_ids()
    yield from _leavers()
    yield from _layouts()


def _cells() -> Iterator[Case]:
    for example, write in _DURATIONS.items():
        yield case(
            KIND,
            f"tenure such as “{example}”",
            plain().written("tenure", lambda months, write=write: write(*divmod(int(months), 12))),  # type: ignore[misc]
        )
    for yes, no in _YES_NO:
        table = plain()
        for name in _YES_NO_COLUMNS:
            table = table.worded(name, {"Yes": yes, "No": no})
        yield case(KIND, f"{yes} and {no} for Yes and No", table)
    for words in (
        ("1 mth", "12 mths", "24 mths"),
        ("1 mois", "1 an", "2 ans"),
        ("1 Monat", "1 Jahr", "2 Jahre"),
    ):
        contracts = dict(zip(("Month-to-month", "One year", "Two year"), words, strict=True))
        yield case(KIND, f"contracts of {' / '.join(words)}", plain().worded("Contract", contracts))


def _numbers_as_words() -> Iterator[Case]:
    lines = plain().worded("MultipleLines", {"No phone service": "0", "No": "1", "Yes": "2"})
    yield case(KIND, "MultipleLines is the number of lines", lines)
    flags = plain().worded("MultipleLines", {"No phone service": "0", "No": "0", "Yes": "1"})
    mistyped = ids()[7]
    yield case(
        KIND,
        "MultipleLines is 1 or 0, and 2 in one row",
        flags.filled("MultipleLines", [*flags.column("MultipleLines")[:7], "2"]),
        Scored(
            knowing(
                {
                    "MultipleLines": lambda customer: (
                        "2" if customer[ID] == mistyped else customer["MultipleLines"]
                    )
                }
            )
        ),
    )
    codes = {"No": "0", "No internet service": "1", "Yes": "2"}
    yield case(
        KIND,
        "codes 0, 1 and 2 for OnlineSecurity",
        plain().worded("OnlineSecurity", codes),
        warned(
            knowing({"OnlineSecurity": lambda customer: codes[customer["OnlineSecurity"] or ""]}),
            "Online security.*never seen",
            "Online security the model knows these words: No, No internet service, Yes",
        ),
    )
    scaled = plain().written("tenure", lambda months: f"{(int(months) - 32.4) / 24.6:.6f}")
    yield case(
        KIND,
        "tenure as z-scores",
        scaled,
        refused("implausible_values", "“tenure”", "row 2|row 3|row 4", "standardised.*original values"),
    )
    for header in ("tenure", "Tenure (years)"):
        yield case(
            KIND,
            f"3.11 for 3 years and 11 months under “{header}”",
            plain()
            .renamed(tenure=header)
            .written("tenure", lambda months: f"{int(months) // 12}.{int(months) % 12}"),
            refused("implausible_values", r"[Tt]enure", "years and months", "Write.*in months"),
        )


def _contradictions() -> Iterator[Case]:
    """What a customer without internet cannot have."""
    without = [customer[ID] or "" for customer in plain_customers() if customer["InternetService"] == "No"]
    wrong = frozenset(without[:12])
    true = knowing(
        {"TechSupport": lambda customer: "Yes" if customer[ID] in wrong else customer["TechSupport"]}
    )
    cells = [customer["TechSupport"] or "" for customer in true]
    says = r"Internet service is “No”.*Tech support \(12 rows\).*Correct"
    yield case(
        KIND,
        "tech support without internet in 12 rows",
        plain().filled("TechSupport", cells),
        Scored(true, (says,), weak=wrong),
    )


def _amounts_and_ids() -> Iterator[Case]:
    charges = plain().column("MonthlyCharges")
    yield case(
        KIND,
        "charges in dollars and in euros",
        plain().filled("MonthlyCharges", [f"{'$€'[n % 2]}{charge}" for n, charge in enumerate(charges)]),
        warned(plain_customers(), r"Monthly charge.*several currencies \(\$, €\).*[Cc]onvert"),
    )
    yield case(
        KIND,
        "dollars written in three ways",
        plain().filled(
            "MonthlyCharges", [("$", "USD ", "usd ")[n % 3] + charge for n, charge in enumerate(charges)]
        ),
    )
    yield case(
        KIND,
        "charges in rupees, with their sign",
        plain().written("MonthlyCharges", lambda charge: f"₹ {float(charge) * 90:,.2f}"),
        refused("implausible_values", "MonthlyCharges", "another currency.*convert"),
    )
    for example in ("1.00E+11", "4,92E+12", "########"):
        yield case(
            KIND,
            f"ids such as {example}",
            plain().filled(ID, [example] * 300),
            warned(
                identified([example] * 300), r"300 customer IDs.*spreadsheet.*[Ff]ormat", "more than once"
            ),
        )


def _leavers() -> Iterator[Case]:
    for header, value in _UNREAD.items():
        yield case(
            KIND,
            f"“{header}” may say who has left",
            plain().with_column(header, [value if n % 6 == 0 else "" for n in range(300)]),
            Scored(plain_customers(), (f"not read from “{header}”.*column Churn",), left=frozenset()),
        )


def _layouts() -> Iterator[Case]:
    names = ("North Total", "Total Nord", "Nord Ergebnis", "Subtotal region 1", "Gesamtergebnis")
    for name in names:
        yield case(
            KIND,
            f"subtotals such as “{name}”",
            _with_rows(plain(), {60: name, 120: name}),
            same("row of totals: 2"),
        )
    again = plain().text()
    yield case(KIND, "two files one below the other", plain().head(150).text() + _after(again, 150))
    yield case(
        KIND,
        "two files with byte order marks one below the other",
        plain().head(150).text().encode("utf-8-sig") + _after(again, 150).encode("utf-8-sig"),
        same("header again: 1"),
    )
    swapped = {"OnlineSecurity": "TechSupport", "TechSupport": "OnlineSecurity"}
    other = plain().ordered(*(swapped.get(name, name) for name in plain().columns))
    yield case(
        KIND,
        "two files whose columns have another order",
        plain().head(150).text() + _after(other.text(), 150),
        refused("not_a_csv", "two tables", "row 152", "Save each"),
    )
    values = "".join(f"INSERT INTO customers VALUES {row};\n" for row in plain().rows)
    yield case(KIND, "a dump of SQL", values, refused("not_a_csv", "SQL script"))
    fields = {name: f"{name}__c" for name in plain().columns}
    yield case(KIND, "names of Salesforce's custom fields", plain().headed(fields))
    footer = '"Customer Report"\n"Copyright (c) 2000-2026. All rights reserved."\n"Generated By: Jane Doe"\n'
    yield case(
        KIND,
        "a CRM's footer",
        plain().text(quote_all=True) + "\n" + footer,
        same("3 of 303 rows"),
        secrets=("Jane",),
    )


def _after(text: str, row: int) -> str:
    """Leave out the rows before this one, but not the header."""
    header, *lines = text.splitlines()
    return joined([header, *lines[row:]])


def _with_rows(table: Table, names: Mapping[int, str]) -> str:
    """Insert rows of sums, with these words in place of an id."""
    blank = dict.fromkeys(table.columns, "") | {"tenure": "400", "MonthlyCharges": "95.10"}
    rows = list(table.rows)
    for position, name in sorted(names.items(), reverse=True):
        rows.insert(position, tuple((blank | {ID: name})[column] for column in table.columns))
    return replace(table, rows=tuple(rows)).text()
