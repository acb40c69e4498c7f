"""Class 5: people who already left."""

from collections.abc import Iterator, Mapping

from tests.files.outcomes import Case, Scored, case
from tests.files.table import ids, plain, plain_customers

KIND = "5 already left"

_LEFT = frozenset(ids()[n] for n in range(300) if n % 4 == 1)
_SAYS = r"(?i)(already|have) left|left already|former customers"
_COUNTED = rf"(?i)\b{len(_LEFT)}\b.*(left|churn|former)|(left|churn|former).*\b{len(_LEFT)}\b"

_LABELS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Header: the words for those who left and for those who stay.
    "Churn": (("Yes", "No"), ("1", "0"), ("True", "False"), ("yes", "no"), ("Y", "N"), ("churned", "active")),
    "Churn Value": (("1", "0"),),
    "Churn Label": (("Yes", "No"),),
    "Churned": (("Yes", "No"), ("1", "0"), ("TRUE", "FALSE")),
    "churn_flag": (("1", "0"),),
    "is_churned": (("true", "false"),),
    "Has churned": (("Y", "N"),),
    "Customer Status": (
        ("Churned", "Stayed"),
        ("Left", "Active"),
        ("Cancelled", "Active"),
    ),
    "customer_status": (("churned", "active"),),
    "Status": (("Churned", "Active"), ("Cancelled", "Active")),
    "Attrition_Flag": (("Attrited Customer", "Existing Customer"),),
    "Exited": (("1", "0"),),
    "Left": (("Yes", "No"), ("1", "0")),
    "Cancelled": (("Yes", "No"),),
    "Abwanderung": (("Ja", "Nein"),),
    "Gekündigt": (("Ja", "Nein"), ("1", "0")),
    "Résilié": (("Oui", "Non"),),
    "Baja": (("Sí", "No"),),
    "Cancelado": (("Sim", "Não"),),
    "Abbandono": (("Sì", "No"),),
    "Opgezegd": (("Ja", "Nee"),),
}

_NOT_LABELS: Mapping[str, tuple[str, ...]] = {
    # Header: its values, one after the other. Nobody has left for all that they say.
    "Churn Score": ("12", "55", "80", "97"),
    "Churn Risk": ("low", "medium", "high", "high"),
    "churn_probability": ("0.1", "0.9", "0.4", "0.7"),
    "Lefthanded": ("No", "Yes", "No", "No"),
    "Months left": ("1", "12", "6", "0"),
    "Contract status": ("signed", "renewed", "signed", "signed"),
    "Days left in contract": ("10", "1", "0", "200"),
}


def cases() -> Iterator[Case]:
    for header, pairs in _LABELS.items():
        for gone, stays in pairs:
            flags = [gone if customer_id in _LEFT else stays for customer_id in ids()]
            yield case(
                KIND,
                f"“{header}” is {gone} or {stays}",
                plain().with_column(header, flags),
                Scored(plain_customers(), (_SAYS, _COUNTED), left=_LEFT),
            )
    for header, values in _NOT_LABELS.items():
        cells = [values[n % 4] for n in range(300)]
        yield case(
            KIND,
            f"“{header}” says of nobody that they left",
            plain().with_column(header, cells),
            Scored(plain_customers(), left=frozenset()),
        )
    yield from _opposites()
    yield from _some()


def _opposites() -> Iterator[Case]:
    """Columns where Yes means that the customer is still there."""
    for header in ("Retained", "Stayed", "Active", "is_active", "Not churned", "Renewed"):
        flags = ["No" if customer_id in _LEFT else "Yes" for customer_id in ids()]
        yield case(
            KIND,
            f"“{header}” is Yes for those who stay",
            plain().with_column(header, flags),
            Scored(plain_customers(), left=frozenset()),
            Scored(plain_customers(), (_SAYS,), left=_LEFT),
        )


def _some() -> Iterator[Case]:
    yield case(
        KIND,
        "nobody has left",
        plain().with_column("Churn", "No"),
        Scored(plain_customers(), left=frozenset()),
    )
    yield case(
        KIND,
        "everybody has left",
        plain().with_column("Churn", "Yes"),
        Scored(plain_customers(), (_SAYS,), left=frozenset(ids())),
    )
    flags = ["Yes" if customer_id in _LEFT else "" for customer_id in ids()]
    yield case(
        KIND,
        "Churn is blank for those who stay",
        plain().with_column("Churn", flags),
        Scored(plain_customers(), (_SAYS,), left=_LEFT),
    )
    states = [
        "Churned" if customer_id in _LEFT else "Joined" if n % 3 else "Stayed"
        for n, customer_id in enumerate(ids())
    ]
    reasons = ["Price" if customer_id in _LEFT else "" for customer_id in ids()]
    yield case(
        KIND,
        "Customer Status with three values, and the reason beside it",
        plain().with_column("Customer Status", states).with_column("Churn Reason", reasons),
        Scored(plain_customers(), (_SAYS, _COUNTED), left=_LEFT),
    )
    both = ["1" if customer_id in _LEFT else "0" for customer_id in ids()]
    labels = ["Yes" if customer_id in _LEFT else "No" for customer_id in ids()]
    scores = [str(n % 100) for n in range(300)]
    yield case(
        KIND,
        "Churn Label, Churn Value and Churn Score together",
        plain()
        .with_column("Churn Label", labels)
        .with_column("Churn Value", both)
        .with_column("Churn Score", scores),
        Scored(plain_customers(), (_SAYS, _COUNTED), left=_LEFT),
    )
    yield case(
        KIND,
        "no column says who left",
        plain(),
        Scored(plain_customers(), left=frozenset()),
    )
