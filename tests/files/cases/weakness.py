"""Class 6: the weakness of a score travels with it."""

from collections.abc import Iterator

from tests.files.outcomes import Case, Scored, case
from tests.files.table import ADD_ONS, Customer, Table, ids, knowing, not_knowing, plain, plain_customers

KIND = "6 weakness"
_REQUIRED = ("tenure", "Contract", "InternetService")
_OPTIONAL = (
    "MonthlyCharges", "PaymentMethod", "PaperlessBilling", "OnlineSecurity", "OnlineBackup",
    "DeviceProtection",
    "TechSupport", "StreamingTV", "StreamingMovies", "PhoneService", "MultipleLines",
)  # fmt: skip
_ONE = frozenset(ids()[100:101])
_FEW = frozenset(ids()[n] for n in range(0, 300, 50))


def _blank(table: Table, column: str, concerned: frozenset[str]) -> Table:
    pairs = zip(ids(), table.column(column), strict=True)
    return table.filled(column, ["" if customer_id in concerned else cell for customer_id, cell in pairs])


def cases() -> Iterator[Case]:
    yield case(KIND, "everything is known of everyone", plain(), Scored(plain_customers(), weak=frozenset()))
    for column in (*_REQUIRED, "MonthlyCharges", "PaymentMethod", "PaperlessBilling"):
        for concerned, name in ((_ONE, "one customer"), (_FEW, "six customers")):
            yield case(
                KIND,
                f"{column} is blank for {name}",
                _blank(plain(), column, concerned),
                Scored(not_knowing(column, only=concerned), weak=concerned),
            )
    for pair in (("tenure", "Contract"), ("Contract", "InternetService"), ("tenure", "InternetService")):
        table = plain()
        for column in pair:
            table = _blank(table, column, _FEW)
        yield case(
            KIND,
            f"{' and '.join(pair)} are blank for six customers",
            table,
            Scored(not_knowing(*pair, only=_FEW), weak=_FEW),
        )
    table = plain()
    for column in _REQUIRED:
        table = _blank(table, column, _FEW)
    yield case(
        KIND,
        "all required values are blank for six customers",
        table,
        Scored(
            plain_customers(), (r"(?i)6 of 300 rows.*not scored",), may_be_rejected=_FEW, weak=frozenset()
        ),
    )
    yield case(
        KIND,
        "the three required columns alone",
        plain().ordered("customerID", *_REQUIRED),
        Scored(not_knowing(*_OPTIONAL), ("(?i)no column for",), "poor", frozenset(ids())),
        # Of those without internet the add-ons are certain.
        Scored(
            knowing(dict.fromkeys(ADD_ONS, _certain), not_knowing(*_OPTIONAL)),
            ("(?i)no column for",),
            "poor",
            frozenset(ids()),
        ),
    )
    yield case(
        KIND,
        "a contract the model does not know, for six customers",
        plain().filled(
            "Contract",
            ["Basic" if c["customerID"] in _FEW else c["Contract"] or "" for c in plain_customers()],
        ),
        Scored(
            knowing({"Contract": lambda c: "Basic" if c["customerID"] in _FEW else c["Contract"]}),
            ("(?i)contract.*(never seen|unknown|not know)",),
            weak=_FEW,
        ),
    )


def _certain(customer: Customer) -> str | None:
    return "No internet service" if customer["InternetService"] == "No" else None
