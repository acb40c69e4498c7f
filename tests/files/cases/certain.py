"""Class 4: what is certain is used."""

from collections.abc import Iterator

from tests.files.outcomes import Case, Outcome, Scored, case, refused, same
from tests.files.table import ADD_ONS, Table, knowing, not_knowing, plain

KIND = "4 certain"
_CONTRACTS = ("Month-to-month", "One year", "Two year")


def cases() -> Iterator[Case]:
    yield from _without_internet()
    yield from _without_phone()
    yield from _contract_words()
    yield from _internet_in_two_columns()
    yield from _other_words()


def _without_internet() -> Iterator[Case]:
    for word in ("", "n/a", "N/A", "No", "no", "-", "None", "NULL", "not applicable", "0", "FALSE", "#N/A"):
        table = plain()
        for column in ADD_ONS:
            table = table.worded(column, {"No internet service": word})
        yield case(KIND, f"add-ons of those without internet are “{word}”", table)
    for column in ADD_ONS:
        yield case(
            KIND,
            f"{column} alone is blank for those without internet",
            plain().worded(column, {"No internet service": ""}),
        )
    table = plain().worded("InternetService", {"No": "None"})
    for column in ADD_ONS:
        table = table.worded(column, {"No internet service": ""})
    yield case(KIND, "InternetService is “None”, and add-ons are blank", table)
    # Without the columns, it is still certain of those without internet; or nothing is known of them.
    dropped = plain().without(*ADD_ONS)
    nothing = not_knowing(*ADD_ONS)
    certain = knowing(
        dict.fromkeys(ADD_ONS, lambda c: "No internet service" if c["InternetService"] == "No" else None)
    )
    yield case(
        KIND,
        "no add-on columns",
        dropped,
        Scored(nothing, ("(?i)no column for",), "fair"),
        Scored(certain, ("(?i)no column for",), "fair"),
    )


def _without_phone() -> Iterator[Case]:
    for word in ("", "n/a", "No", "-", "no phone"):
        yield case(
            KIND,
            f"lines of those without a phone are “{word}”",
            plain().worded("MultipleLines", {"No phone service": word}),
        )


_CONTRACT_WORDS = {
    "Contract": (
        ("month-to-month contract", "12-month contract", "24-month contract"),
        ("Monthly", "Annual", "Biennial"),
        ("1 month", "12 months", "24 months"),
        ("1-month", "12-month", "24-month"),
        ("Month to month", "1 year", "2 years"),
        ("MONTH-TO-MONTH", "ONE YEAR", "TWO YEAR"),
        ("month_to_month", "one_year", "two_year"),
        ("M2M", "1Y", "2Y"),
        ("rolling", "12 mo", "24 mo"),
        ("No contract", "1-year contract", "2-year contract"),
        ("monthly plan", "yearly plan", "two-year plan"),
        ("Monthly rolling", "12 month contract", "24 month contract"),
        ("Month-to-month (no commitment)", "One year (12 months)", "Two year (24 months)"),
        ("1", "12", "24"),
    ),
    "Contract length": (("1", "12", "24"), ("1.0", "12.0", "24.0"), ("1 month", "12 months", "24 months")),
    "Contract length (months)": (("1", "12", "24"),),
    "contract_months": (("1", "12", "24"),),
    "Contract term": (("1", "12", "24"), ("monthly", "1 yr", "2 yr")),
    "Contract duration (months)": (("1", "12", "24"),),
    "Contract (years)": (("0", "1", "2"),),
}


def _contract_words() -> Iterator[Case]:
    for header, sets in _CONTRACT_WORDS.items():
        for words in sets:
            yield case(
                KIND,
                f"“{header}” holds {' / '.join(words)}",
                plain()
                .renamed(Contract=header)
                .worded("Contract", dict(zip(_CONTRACTS, words, strict=True))),
                *_or_asked(header, words),
            )


_OPEN_HEADERS = ("Contract", "contract_months", "Contract duration (months)", "Contract (years)")
_OPEN_WORDS = ("0", "1", "Month-to-month (no commitment)", "Monthly rolling")


def _or_asked(header: str, words: tuple[str, ...]) -> tuple[Outcome, ...]:
    """Where the header and the values leave the meaning open, a question is honest too."""
    if header not in _OPEN_HEADERS or words[0] not in _OPEN_WORDS:
        return (same(),)
    codes = "implausible_values mapping_needs_confirmation required_columns_missing"
    return (same(), refused(codes, r"(?i)contract"))


def _two_columns(internet: str, kind: str, none: str = "") -> Table:
    """Split the internet service into whether there is any, and of what kind."""
    services = plain().column("InternetService")
    return (
        plain()
        .headed({"InternetService": internet})
        .written("InternetService", lambda value: "No" if value == "No" else "Yes")
        .with_column(kind, [none if service == "No" else service for service in services], at=9)
    )


def _internet_in_two_columns() -> Iterator[Case]:
    for internet, kind in (
        ("Internet Service", "Internet Type"),
        ("InternetService", "InternetType"),
        ("internet_service", "internet_type"),
        ("Internet", "Internet Connection"),
        ("Has internet", "Internet type"),
        ("Internet Service", "Connection type"),
    ):
        for none in ("", "None", "No"):
            asked = refused(
                "mapping_needs_confirmation implausible_values required_columns_missing", "(?i)internet"
            )
            yield case(
                KIND,
                f"“{internet}” Yes/No and “{kind}”, “{none}” without",
                _two_columns(internet, kind, none),
                same(),
                *([asked] if kind == "Connection type" or internet == "Has internet" else []),
            )
    yield case(
        KIND,
        "the kind of internet stands before Yes/No",
        _two_columns("Internet Service", "Internet Type").ordered(
            "customerID", "Internet Type", "InternetService", "tenure", "Contract", "OnlineSecurity",
            "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies",
            "PhoneService",
            "MultipleLines", "PaperlessBilling", "PaymentMethod", "MonthlyCharges",
        ),
    )  # fmt: skip


def _other_words() -> Iterator[Case]:
    both = ("Partner", "Dependents", "PhoneService", "PaperlessBilling", "MultipleLines", *ADD_ONS)
    for yes, no in (("Y", "N"), ("true", "false"), ("TRUE", "FALSE"), ("1", "0"), ("yes", "no"), ("T", "F")):
        table = plain()
        for column in both:
            table = table.worded(column, {"Yes": yes, "No": no})
        yield case(KIND, f"“{yes}” and “{no}” for Yes and No", table)
    for words in (
        {"DSL": "dsl", "Fiber optic": "fiber", "No": "no"},
        {"DSL": "ADSL", "Fiber optic": "Fibre", "No": "None"},
        {"DSL": "DSL", "Fiber optic": "FTTH", "No": "no internet"},
        {"DSL": "VDSL", "Fiber optic": "Fiber Optic", "No": "No internet service"},
    ):
        yield case(
            KIND, f"internet is {' / '.join(words.values())}", plain().worded("InternetService", words)
        )
    for payments in (
        ("E-check", "Check by mail", "Direct debit", "Credit card"),
        ("electronic cheque", "mailed cheque", "Bank Transfer", "CC"),
        ("Electronic Check", "Cheque", "SEPA", "card"),
        ("electronic_check", "mailed_check", "bank_transfer_automatic", "credit_card_automatic"),
    ):
        methods = ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")
        words = dict(zip(methods, payments, strict=True))
        yield case(KIND, f"payment by {' / '.join(payments)}", plain().worded("PaymentMethod", words))
