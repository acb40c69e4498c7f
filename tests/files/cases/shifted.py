"""Class 1: rows whose cells are in other columns than the header says."""

from collections.abc import Iterator, Sequence

from tests.files.outcomes import Case, Scored, case, refused, same
from tests.files.table import Table, ids, joined, plain, plain_customers

KIND = "1 shifted rows"

_REFUSALS = refused(
    "too_many_bad_rows not_a_csv required_columns_missing implausible_values mapping_needs_confirmation",
    r"(?i)\brow|\bline|column|cells",
)
_SOME = (40,)
_TENTH = tuple(range(5, 300, 10))
_HALF = tuple(range(0, 300, 2))
_MOST = tuple(n for n in range(300) if n % 10)
_ALL = tuple(range(300))
_AMOUNTS = {"one row": _SOME, "a tenth": _TENTH, "half": _HALF, "nine tenths": _MOST, "all rows": _ALL}


def cases() -> Iterator[Case]:
    yield from _decimal_commas()
    yield from _company_names()
    yield from _other_delimiters()
    yield from _lost_cells()


def _rejecting(positions: Sequence[int]) -> Scored:
    """The rows at these positions may be rejected; whatever is scored is scored right."""
    return Scored(plain_customers(), may_be_rejected=frozenset(ids()[n] for n in positions))


def _unquoted(table: Table, column: str, positions: Sequence[int], values: Sequence[str]) -> str:
    """Write a table in which these rows' cells hold a delimiter that no quotes protect."""
    cells = table.column(column)
    for position, value in zip(positions, values, strict=True):
        cells[position] = value
    return table.filled(column, cells).unquoted()


def _with_blank_end(table: Table, header: str = "Notes") -> Table:
    return table.with_column(header, "")


_CHARGES_EARLY = (
    "customerID", "MonthlyCharges", "tenure", "Contract", "InternetService", "OnlineSecurity", "OnlineBackup",
    "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies", "PhoneService", "MultipleLines",
    "PaperlessBilling", "PaymentMethod", "gender", "SeniorCitizen", "Partner", "Dependents", "TotalCharges",
)  # fmt: skip


def _decimal_commas() -> Iterator[Case]:
    tables = {
        "in the middle": plain(),
        "before all others": plain().ordered(*_CHARGES_EARLY),
    }
    for where, table in tables.items():
        for amount, positions in _AMOUNTS.items():
            charges = table.column("MonthlyCharges")
            values = [charges[n].replace(".", ",") for n in positions]
            yield case(
                KIND,
                f"unquoted 29,85 {where}, before a blank last column, in {amount}",
                _unquoted(_with_blank_end(table), "MonthlyCharges", positions, values),
                _rejecting(positions),
                _REFUSALS,
            )
    totals_early = (
        "customerID",
        "TotalCharges",
        *(c for c in _CHARGES_EARLY if c not in ("customerID", "TotalCharges")),
    )
    for amount in ("one row", "a tenth", "half"):
        positions = _AMOUNTS[amount]
        yield case(
            KIND,
            f"unquoted 1,234.50 before all others, before a blank last column, in {amount}",
            _unquoted(
                _with_blank_end(plain().ordered(*totals_early)),
                "TotalCharges",
                positions,
                ["1,234.50"] * len(positions),
            ),
            _rejecting(positions),
            _REFUSALS,
        )
    early = plain().ordered(*_CHARGES_EARLY)
    for amount in ("one row", "half", "all rows"):
        positions = _AMOUNTS[amount]
        values = [early.column("MonthlyCharges")[n].replace(".", ",") for n in positions]
        yield case(
            KIND,
            f"unquoted 29,85 with no blank column, in {amount}",
            _unquoted(early, "MonthlyCharges", positions, values),
            _rejecting(positions),
            _REFUSALS,
        )


def _company_names() -> Iterator[Case]:
    with_company = plain().with_column("Company", "Acme Ltd", at=1)
    for amount, positions in _AMOUNTS.items():
        for end in ("a blank last column", "two blank last columns", "no blank column"):
            table = with_company
            if end != "no blank column":
                table = _with_blank_end(table)
            if end.startswith("two"):
                table = _with_blank_end(table, "Remarks")
            yield case(
                KIND,
                f"unquoted Acme, Inc before {end}, in {amount}",
                _unquoted(table, "Company", positions, ["Acme, Inc"] * len(positions)),
                _rejecting(positions),
                _REFUSALS,
                secrets=("Acme",),
            )
    # The blank last column is blank for most customers only.
    notes = ["call back" if n % 7 == 0 else "" for n in range(300)]
    yield case(
        KIND,
        "unquoted Acme, Inc before a partly filled last column, in a tenth",
        _unquoted(with_company.with_column("Notes", notes), "Company", _TENTH, ["Acme, Inc"] * len(_TENTH)),
        _rejecting(_TENTH),
        _REFUSALS,
    )
    yield case(
        KIND,
        "a name with two unquoted commas before two blank columns, in a tenth",
        _unquoted(
            _with_blank_end(_with_blank_end(with_company), "Remarks"),
            "Company",
            _TENTH,
            ["Smith, Jones, and Sons"] * len(_TENTH),
        ),
        _rejecting(_TENTH),
        _REFUSALS,
    )


def _other_delimiters() -> Iterator[Case]:
    for delimiter, sign in ((";", "semicolon"), ("\t", "tab"), ("|", "pipe")):
        table = _with_blank_end(plain().with_column("Company", "Acme Ltd", at=1))
        names = table.column("Company")
        for position in _TENTH:
            names[position] = f"Acme{delimiter}Inc"
        yield case(
            KIND,
            f"unquoted {sign} in a name before a blank last column, in a tenth",
            table.filled("Company", names).unquoted(delimiter),
            _rejecting(_TENTH),
            _REFUSALS,
        )


def _lost_cells() -> Iterator[Case]:
    lines = plain().lines()
    for amount in ("one row", "a tenth", "half"):
        positions = _AMOUNTS[amount]
        shorter = [
            line.replace(",", "", 1) if n - 1 in positions and n else line for n, line in enumerate(lines)
        ]
        yield case(
            KIND,
            f"a comma lost after the id, in {amount}",
            joined(shorter),
            # The id and the gender are one cell then: nobody knows the id.
            _rejecting(positions),
            _REFUSALS,
        )
    trailing = [line + ("," if n - 1 in _TENTH and n else "") for n, line in enumerate(lines)]
    yield case(
        KIND,
        "a trailing comma on a tenth of the rows",
        joined(trailing),
        same(),
        _rejecting(_TENTH),
        _REFUSALS,
    )
    most = [line + ("," if n - 1 in _MOST and n else "") for n, line in enumerate(lines)]
    yield case(
        KIND,
        "a trailing comma on nine rows in ten",
        joined(most),
        _rejecting(tuple(n for n in range(300) if n % 10 == 0)),
    )
    yield case(KIND, "a trailing comma on all rows and the header", joined([line + "," for line in lines]))
    yield case(
        KIND,
        "a trailing comma on all rows but the header",
        joined([lines[0], *(line + "," for line in lines[1:])]),
    )
    yield case(
        KIND,
        "three trailing semicolons on all rows but the header",
        joined([plain().lines(";")[0], *(line + ";;;" for line in plain().lines(";")[1:])]),
    )
