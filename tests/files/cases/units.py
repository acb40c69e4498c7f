"""Class 3: units and ranges, and required columns that are absent, empty or unknown."""

from collections.abc import Callable, Iterator

from tests.files.outcomes import Case, Refused, Scored, case, refused, same, warned
from tests.files.table import ADD_ONS, Customer, Customers, ids, knowing, not_knowing, plain, plain_customers

KIND = "3 units and ranges"
DAYS_PER_MONTH = 365.25 / 12

PER_MONTH: dict[str, float] = {
    "days": DAYS_PER_MONTH,
    "weeks": DAYS_PER_MONTH / 7,
    "quarters": 1 / 3,
    "years": 1 / 12,
    "hours": DAYS_PER_MONTH * 24,
    "minutes": DAYS_PER_MONTH * 24 * 60,
}
"""Of a unit, how many make a month."""


def cases() -> Iterator[Case]:
    yield from _tenure_under_a_plain_header()
    yield from _tenure_with_its_unit()
    yield from _charges()
    yield from _partly_out_of_range()
    yield from _required_and_unknown()
    yield from _absent_and_empty()


def in_unit(unit: str, digits: int = 4) -> Callable[[str], str]:
    """Write months in another unit."""
    return lambda months: f"{float(months) * PER_MONTH[unit]:.{digits}f}"


def _raw(column: str, write: Callable[[str], str]) -> Customers:
    """The customers as they are if nobody knows of the unit."""
    return knowing({column: lambda customer: write(str(customer[column]))})


def _implausible(*says: str) -> Refused:
    return refused("implausible_values", *says)


def _tenure_under_a_plain_header() -> Iterator[Case]:
    for header in ("tenure", "Tenure", "customer tenure", "length of service"):
        write = in_unit("days", 0)
        yield case(
            KIND,
            f"days under “{header}”",
            plain().renamed(tenure=header).written("tenure", write),
            _implausible(header, r"(?i)days", r"(?i)confirm", r"(?i)header|rename|divide|convert"),
        )
    yield case(
        KIND,
        "days under “tenure”, confirmed to be months",
        plain().written("tenure", in_unit("days", 0)),
        Scored(
            _raw("tenure", in_unit("days", 0)),
            ("(?i)tenure",),
            "fair",
            # A hundred years of months are impossible, confirmed or not.
            may_be_rejected=frozenset(
                c["customerID"] or "" for c in plain_customers() if float(c["tenure"] or 0) > 39
            ),
        ),
        refused("too_many_bad_rows", r"(?i)tenure"),
        confirmed=frozenset({"tenure"}),
    )
    yield case(
        KIND,
        "weeks under “tenure”",
        plain().written("tenure", in_unit("weeks", 2)),
        _implausible("tenure", r"(?i)weeks|days", r"(?i)confirm"),
    )
    for unit in ("quarters", "years"):
        write = in_unit(unit, 2)
        yield case(
            KIND,
            f"{unit} under “tenure”",
            plain().written("tenure", write),
            _implausible("tenure", rf"(?i){unit}", r"(?i)confirm"),
            warned(_raw("tenure", write), r"(?i)tenure.*(years|quarters|spread|PSI|differ|outside|unit)"),
        )
    yield case(
        KIND,
        "hours under “tenure”",
        plain().written("tenure", in_unit("hours", 0)),
        refused("implausible_values too_many_bad_rows", "tenure", r"(?i)hours|days|unit|months"),
    )
    yield case(
        KIND,
        "years of birth under “tenure”",
        plain().filled("tenure", [str(1950 + n % 50) for n in range(300)]),
        refused("implausible_values too_many_bad_rows", "tenure"),
    )
    yield case(
        KIND,
        "negative months",
        plain().written("tenure", lambda value: f"-{value}" if value != "0" else "-1"),
        refused("implausible_values too_many_bad_rows", "tenure"),
    )


_HEADERS_WITH_UNITS = {
    "days": (
        "tenure_days",
        "Tenure (days)",
        "Tenure in days",
        "tenure [days]",
        "TenureDays",
        "days as customer",
    ),
    "weeks": ("tenure_weeks", "Tenure (weeks)", "Tenure in weeks"),
    "quarters": ("tenure_quarters", "Tenure (quarters)"),
    "years": ("tenure_years", "Tenure (years)", "Tenure in years", "tenure_yrs", "Tenure (yrs)"),
}


def _tenure_with_its_unit() -> Iterator[Case]:
    for unit, headers in _HEADERS_WITH_UNITS.items():
        for header in headers:
            yield case(
                KIND,
                f"{unit} under “{header}”",
                plain().renamed(tenure=header).written("tenure", in_unit(unit)),
                same(rf"converted from {unit}|{unit}.*month"),
                refused("mapping_needs_confirmation required_columns_missing", "(?i)tenure"),
            )
    for header in ("tenure_months", "Tenure (months)", "Tenure in months", "TENURE [MONTHS]", "tenure (mo.)"):
        yield case(KIND, f"months under “{header}”", plain().renamed(tenure=header))
    for form in ("{} months", "{} mo", "{} mths"):
        yield case(
            KIND,
            f"cells such as “{form.format(12)}” under tenure",
            plain().written("tenure", form.format),
            same(),
            refused("implausible_values too_many_bad_rows", "tenure", r"(?i)months|number"),
        )
    yield case(
        KIND,
        "cells such as “2.5 years” under tenure",
        plain().written("tenure", lambda months: f"{in_unit('years')(months)} years"),
        same(),
        refused("implausible_values too_many_bad_rows", "tenure", r"(?i)months|number|unit"),
    )


def _times(factor: float, digits: int = 2) -> Callable[[str], str]:
    return lambda value: f"{float(value) * factor:.{digits}f}" if value.strip() else value


_CURRENCIES = {"yen": 150.0, "rupees": 83.0, "forints": 360.0, "roubles": 90.0}


def _charges() -> Iterator[Case]:
    says = r"(?i)monthly ?charges?.*(outside|beyond|out of|cents|currency|unit|range)"
    unknown = not_knowing("MonthlyCharges")
    for name, factor, digits in (
        ("cents", 100.0, 0),
        ("thousands", 0.001, 6),
        *((currency, rate, 0) for currency, rate in _CURRENCIES.items()),
    ):
        write = _times(factor, digits)
        yield case(
            KIND,
            f"{name} under “MonthlyCharges”",
            plain().written("MonthlyCharges", write),
            warned(_raw("MonthlyCharges", write), says),
            warned(unknown, says),
            _implausible("MonthlyCharges"),
        )
    for header, factor, digits in (
        ("MonthlyCharges (cents)", 100.0, 0),
        ("monthly_charges_cents", 100.0, 0),
        ("Monthly charges in cents", 100.0, 0),
        ("Monthly Charges (thousands)", 0.001, 6),
    ):
        yield case(
            KIND,
            f"“{header}”",
            plain().headed({"MonthlyCharges": header}).written("MonthlyCharges", _times(factor, digits)),
            same(r"converted from"),
        )
    for header in (
        "Monthly Charges (USD)", "MonthlyCharges_EUR", "Monthly charge in $", "Monthly charges (€)",
        "Monthly fee (£)", "monthly_charges [GBP]",
    ):  # fmt: skip
        yield case(KIND, f"“{header}”", plain().headed({"MonthlyCharges": header}))
    yearly = _times(12.0)
    for header in ("Yearly charges", "Annual charges", "Charges per year"):
        yield case(
            KIND,
            f"“{header}” in place of MonthlyCharges",
            plain().headed({"MonthlyCharges": header}).written("MonthlyCharges", yearly),
            warned(unknown, r"(?i)no column for .*monthly charge", grade=None),
            same("converted"),
        )


def _share_replaced(column: str, share: float, value: str) -> tuple[list[str], frozenset[str]]:
    """Replace a share of a column, evenly spread; return it and the ids of the customers concerned."""
    cells = plain().column(column)
    concerned = [n for n in range(len(cells)) if int((n + 1) * share) > int(n * share)]
    for n in concerned:
        cells[n] = value
    return cells, frozenset(ids()[n] for n in concerned)


def _partly_out_of_range() -> Iterator[Case]:
    for share in (0.1, 0.4, 0.5, 0.6, 0.9):
        cells, concerned = _share_replaced("tenure", share, "400")
        table = plain().filled("tenure", cells)

        def read(customer: Customer, concerned: frozenset[str] = concerned) -> str | None:
            return "400" if customer["customerID"] in concerned else customer["tenure"]

        outcome = Scored(
            knowing({"tenure": read}),
            (r"(?i)tenure.*(outside|range|beyond)",),
            "fair" if share > 0.2 else None,
        )
        name = f"{share:.0%} of tenure out of the training range"
        if share > 0.5:
            yield case(KIND, name, table, _implausible("tenure", r"(?i)confirm"))
            yield case(KIND, f"{name}, confirmed", table, outcome, confirmed=frozenset({"tenure"}))
        else:
            yield case(KIND, name, table, outcome)


_MISSING_WORDS = {"tenure": ("", "n/a", "NULL"), "Contract": ("", "unknown"), "InternetService": ("", "#N/A")}


def _required_and_unknown() -> Iterator[Case]:
    for column, words in _MISSING_WORDS.items():
        for word in words:
            for share in (0.3, 0.5, 0.6):
                cells, concerned = _share_replaced(column, share, word)
                name = f"{share:.0%} of {column} is “{word}”"
                table = plain().filled(column, cells)
                known = not_knowing(column, only=concerned)
                label = {"InternetService": "internet ?service"}.get(column, column)
                grade = "fair" if share > 0.5 else None
                outcome = Scored(known, (rf"(?i){label}.*missing",), grade, weak=concerned)
                if share > 0.5:
                    yield case(KIND, name, table, _implausible(rf"(?i){label}", r"(?i)blank|missing|empty"))
                    yield case(KIND, f"{name}, confirmed", table, outcome, confirmed=frozenset({column}))
                else:
                    yield case(KIND, name, table, outcome)
    foreign = {
        "Contract": (
            ("Basic", "Pro", "Enterprise"),
            ("Gold", "Silver", "Bronze"),
            ("A", "B", "C"),
            ("0", "3", "7"),
        ),
        "InternetService": (("Cable", "Satellite", "5G"), ("Yes", "Yes", "Yes"), ("100", "250", "1000")),
    }
    for column, sets in foreign.items():
        for values in sets:
            cells = [values[n % len(values)] for n in range(300)]
            label = {"InternetService": "internet ?service"}.get(column, column)
            yield case(
                KIND,
                f"{column} holds {', '.join(dict.fromkeys(values))}",
                plain().filled(column, cells),
                _implausible(rf"(?i){label}", r"(?i)month-to-month|dsl|known|knows|values|words"),
            )
    cells, concerned = _share_replaced("Contract", 0.2, "Basic")
    yield case(
        KIND,
        "20% of Contract is “Basic”",
        plain().filled("Contract", cells),
        Scored(
            knowing({"Contract": lambda c: "Basic" if c["customerID"] in concerned else c["Contract"]}),
            (r"(?i)contract.*(never seen|unknown|not know)",),
            weak=concerned,
        ),
    )


def _absent_and_empty() -> Iterator[Case]:
    for column in ("tenure", "Contract", "InternetService"):
        says = (rf"(?i){column}",)
        refusal = refused("required_columns_missing", *says)
        yield case(KIND, f"no column for {column}", plain().without(column), refusal)
        for word in ("", " ", "n/a", "-"):
            name = f"{column} is “{word}” in all rows"
            yield case(KIND, name, plain().filled(column, [word] * len(ids())), refusal)
    yield case(
        KIND,
        "no id column",
        plain().without("customerID"),
        refused("required_columns_missing", r"(?i)customer.?id"),
    )
    yield case(
        KIND,
        "all required columns absent",
        plain().without("tenure", "Contract", "InternetService"),
        refused("required_columns_missing", "tenure", "Contract", "InternetService"),
    )
    for column in ("MonthlyCharges", "PaymentMethod", "OnlineSecurity", "TechSupport"):
        known = not_knowing(column)
        absent = (r"(?i)no column for",)
        blank = (r"(?i)missing|no column|empty|blank",)
        for name, table, says in (
            (f"no column for {column}", plain().without(column), absent),
            (f"{column} is blank in all rows", plain().written(column, lambda _: ""), blank),
        ):
            outcome = Scored(known, says, weak=frozenset(ids()))
            yield case(KIND, name, table, outcome, *_certain_without_internet(column, says))


def _certain_without_internet(column: str, says: tuple[str, ...]) -> tuple[Scored, ...]:
    """Of customers without internet, an add-on is known, whether the column is there or not."""
    if column not in ADD_ONS:
        return ()
    customers = knowing({column: lambda c: c[column] if c["InternetService"] == "No" else None})
    weak = frozenset(c["customerID"] or "" for c in customers if c[column] is None)
    return (Scored(customers, says, weak=weak),)
