"""Class 2: headers that look like a feature's and mean something else, or the opposite."""

from collections.abc import Iterator

from tests.files.outcomes import Case, Refused, case, refused, same, warned
from tests.files.table import Customers, Table, knowing, not_knowing, plain

KIND = "2 opposite meaning"

_NOT_TENURE = (
    "months_inactive", "months without us", "Months since last purchase", "months to renewal",
    "months remaining", "inactive months", "Months until contract end", "months overdue", "months not active",
    "non-tenure", "Tenure of account manager", "months_since_churn", "Monate inaktiv", "Monate ohne uns",
    "mois d'inactivité", "meses sin servicio", "meses inativo", "mesi di inattività", "maanden inactief",
    "miesiące nieaktywne", "месяцев без услуг", "休止月数",
)  # fmt: skip
_NOT_CONTRACT = (
    "Subscription tier", "Contact", "Contract owner", "Contract value", "Contract start", "Contract date",
    "no contract", "Contractor", "Vertragsnummer", "numéro de contrat", "Contract status",
)  # fmt: skip
_NOT_INTERNET = (
    "Intranet Service",
    "Internal Service",
    "Internet usage GB",
    "Internet complaints",
    "No internet",
)

_BESIDE = {
    "Offline Backup": "Yes",
    "Offline Security": "Yes",
    "months_inactive": "60",
    "months without us": "60",
    "Subscription tier": "Pro",
    "Contact": "Two year",
    "Monthly change": "5",
    "Tenure of account manager": "3",
    "Paper billing": "Yes",
    "No tech support": "Yes",
    "Non streaming movies": "Yes",
}
"""Columns of the file's own beside the model's, and what stands in them."""


def cases() -> Iterator[Case]:
    yield from _in_place_of_required()
    yield from _beside()
    yield from _in_place_of_optional()
    yield from _beside_an_alias()
    yield from _misspelt()


def _certain_only(column: str) -> Customers:
    """The customers of whom a column is known only where another one makes it certain."""
    certain = ("No internet service", "No phone service")
    return knowing({column: lambda customer: customer[column] if customer[column] in certain else None})


def _refuses(feature: str) -> Refused:
    return refused(
        "required_columns_missing mapping_needs_confirmation", rf"(?i){feature}", r"(?i)mapping|renam"
    )


def _in_place_of_required() -> Iterator[Case]:
    for header in _NOT_TENURE:
        yield case(KIND, f"“{header}” in place of tenure", plain().renamed(tenure=header), _refuses("tenure"))
    for header in _NOT_CONTRACT:
        table = plain().renamed(Contract=header)
        yield case(KIND, f"“{header}” in place of Contract", table, _refuses("contract"))
    for header in _NOT_INTERNET:
        table = plain().renamed(InternetService=header)
        yield case(KIND, f"“{header}” in place of InternetService", table, _refuses("internet"))


def _beside() -> Iterator[Case]:
    for header, value in _BESIDE.items():
        yield case(KIND, f"“{header}” beside all columns", plain().with_column(header, value, at=1))


def _in_place_of_optional() -> Iterator[Case]:
    opposites = {
        "OnlineBackup": ("Offline Backup", "No online backup"),
        "OnlineSecurity": ("Offline Security", "Online insecurity"),
        "PaperlessBilling": ("Paper billing", "Not paperless"),
        "MonthlyCharges": ("Monthly change", "Monthly discount", "Monthly refunds"),
        "TechSupport": ("Tech support complaints", "No tech support"),
        "PhoneService": ("No phone service", "Phone service cancelled"),
        "MultipleLines": ("No multiple lines",),
        "StreamingTV": ("Non-streaming TV",),
    }
    for column, headers in opposites.items():
        for header in headers:
            yield case(
                KIND,
                f"“{header}” in place of {column}",
                plain().headed({column: header}),
                warned(not_knowing(column), r"(?i)no column for", grade=None),
                # Of customers without internet or phone the value is certain all the same.
                warned(_certain_only(column), r"(?i)no column for", grade=None),
                refused("mapping_needs_confirmation", rf"{header}"),
            )


def _beside_an_alias() -> Iterator[Case]:
    beside = {
        "months_inactive": "months_subscribed",
        "months without us": "months with us",
        "Monate ohne uns": "Monate mit uns",
        "inactive months": "active months",
        "months remaining": "months elapsed",
        "months not active": "months active",
        "mois d'inactivité": "mois d'ancienneté",
    }
    for other, header in beside.items():
        for at in (1, 10):
            table = (
                plain().renamed(tenure=header).with_column(other, [str(n % 60) for n in range(300)], at=at)
            )
            yield case(
                KIND,
                f"“{other}” {'before' if at == 1 else 'after'} “{header}”",
                table,
                same(),
                _refuses("tenure"),
            )


def _misspelt() -> Iterator[Case]:
    misspelt = {
        "tenure": ("tenrue", "custmer tenure", "tenure_mnths"),
        "Contract": ("Contarct", "contract typ", "Contrakt type"),
        "InternetService": ("InternetServce", "internet sevice", "Interet service"),
    }
    for feature, headers in misspelt.items():
        for header in headers:
            table = plain().headed({feature: header})
            yield case(
                KIND,
                f"“{header}” for {feature}, not confirmed",
                table,
                refused(
                    "mapping_needs_confirmation required_columns_missing", f"“{header}”", feature, "mapping"
                ),
            )
            yield case(
                KIND, f"“{header}” for {feature}, confirmed by a mapping", table, mapping={feature: header}
            )
    yield case(
        KIND,
        "a misspelt optional column",
        plain().renamed(OnlineSecurity="OnlineSecurty"),
        same("OnlineSecurty"),
        warned(not_knowing("OnlineSecurity"), r"(?i)no column for .*online security", grade=None),
        warned(_certain_only("OnlineSecurity"), r"(?i)no column for .*online security", grade=None),
        refused("mapping_needs_confirmation", "OnlineSecurty"),
    )
    yield case(
        KIND,
        "a misspelt id",
        plain().renamed(customerID="custmer_id"),
        same("custmer_id"),
        refused("mapping_needs_confirmation required_columns_missing", "custmer_id"),
    )
    yield case(
        KIND,
        "two columns could be the tenure",
        _two_tenures(),
        same(r"(?i)tenure"),
        refused("mapping_needs_confirmation required_columns_missing invalid_mapping", "(?i)tenure"),
    )


def _two_tenures() -> Table:
    return plain().with_column("Tenure", [str(n % 60) for n in range(300)], at=3)
