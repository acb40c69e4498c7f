"""What is known about the telco churn model's features before any training.

The headers and spellings that customers use, the valid ranges and the wording of reasons. The training adds
the statistics and which columns are required; together they are the features of the card.
"""

from collections.abc import Mapping

from ml_models.card import (
    CategoricalSpecification,
    CategoricalWording,
    ExcludedColumn,
    Gate,
    ImpliedCategory,
    NumberedCategories,
    NumericSpecification,
    NumericWording,
    Outcome,
    Specification,
    normalise,
)

NAME = "telco-churn"
VERSION = "1.0.0"
DESCRIPTION = (
    "Probability that a telecom customer leaves within the month, from contract, services and billing"
)

TRADE = "telecom"

LABEL = "Churn"
POSITIVE = "Yes"
NEGATIVE = "No"

ID_ALIASES = (
    "customerID",
    "customer_id",
    "customer id",
    "customer number",
    "customer no",
    "customer key",
    "cust id",
    "custid",
    "account_id",
    "accountid",
    "account number",
    "account no",
    "client id",
    "clientid",
    "subscriber id",
    "subscriberid",
    "user id",
    "userid",
    "member id",
    "contact id",
    "crm id",
    "id",
    "kundennummer",
    "kunden id",
    "kundennr",
    "numero client",
    "n client",
    # Last resort: these may contain a name or a phone number.
    "account",
    "customer",
    "msisdn",
)

_YES = ("yes", "y", "true", "t", "1", "1.0", "on", "ja", "wahr", "oui", "vrai", "si", "sí")
_NO = ("no", "n", "false", "f", "0", "0.0", "off", "nein", "falsch", "non", "faux")


def _spellings(categories: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Map every normalised spelling, the category's own included, to its category."""
    return {
        normalise(spelling): category
        for category, others in categories.items()
        for spelling in (category, *others)
    }


def _categorical(
    name: str,
    label: str,
    categories: Mapping[str, tuple[str, ...]],
    phrases: Mapping[str, str],
    *,
    aliases: tuple[str, ...],
    numbered: tuple[NumberedCategories, ...] = (),
    gate: Gate | None = None,
    implied: ImpliedCategory | None = None,
) -> CategoricalSpecification:
    """Build a categorical feature from its categories, their other spellings and their phrases."""
    inner = label[0].lower() + label[1:]
    return CategoricalSpecification(
        name=name,
        label=label,
        aliases=aliases,
        categories=tuple(categories),
        category_aliases=_spellings(categories),
        numbered=numbered,
        gate=gate,
        implied=implied,
        wording=CategoricalWording(
            categories=phrases, unseen=f"Unfamiliar {inner} “{{value}}”", missing=f"Unknown {inner}"
        ),
    )


def _internet_add_on(
    name: str, label: str, thing: str, *, aliases: tuple[str, ...]
) -> CategoricalSpecification:
    """Build the feature for an extra that only customers with internet can book."""
    return _categorical(
        name,
        label,
        {"No": _NO, "No internet service": ("no internet",), "Yes": _YES},
        {
            "No": f"No {thing}",
            "No internet service": f"{label} not applicable (no internet)",
            "Yes": thing[0].upper() + thing[1:],
        },
        aliases=aliases,
        implied=ImpliedCategory(
            feature="InternetService", category="No", written="No", means="No internet service"
        ),
    )


SPECIFICATION: tuple[Specification, ...] = (
    NumericSpecification(
        name="tenure",
        label="Tenure",
        aliases=(
            "tenure months",
            "tenure in months",
            "months",
            "months active",
            "months as customer",
            "months with us",
            "customer tenure",
            "customer age months",
            "length of service",
            "subscription length",
            "subscription months",
            "vertragsdauer",
            "ancienneté",
        ),
        unit="months",
        valid_min=0,
        valid_max=1200,  # a hundred years
        wording=NumericWording(
            value="Tenure of {value} months", one="Tenure of 1 month", missing="Unknown tenure", decimals=1
        ),
    ),
    _categorical(
        "Contract",
        "Contract",
        {
            "Month-to-month": (
                "m2m",
                "mtm",
                "monthly",
                "month to month contract",
                "month by month",
                "month",
                "1 month",
                "one month",
                "rolling",
                "no contract",
                "monatlich",
            ),
            "One year": (
                "1 year",
                "1yr",
                "1 yr",
                "1y",
                "one yr",
                "12 months",
                "12 month",
                "annual",
                "yearly",
                "one year contract",
                "1 year contract",
                "1 jahr",
                "ein jahr",
                "jährlich",
            ),
            "Two year": (
                "2 year",
                "2 years",
                "two years",
                "2yr",
                "2 yr",
                "2y",
                "two yr",
                "24 months",
                "24 month",
                "biennial",
                "two year contract",
                "2 year contract",
                "2 jahre",
                "zwei jahre",
            ),
        },
        {
            "Month-to-month": "Month-to-month contract",
            "One year": "One-year contract",
            "Two year": "Two-year contract",
        },
        aliases=(
            "contract type",
            "contract term",
            "contract length",
            "contract period",
            "contract kind",
            "subscription type",
            "subscription term",
            "plan term",
            "commitment",
            "vertrag",
            "vertragsart",
            "vertragslaufzeit",
            "type de contrat",
            "contrat",
        ),
        numbered=(
            NumberedCategories(
                unit="months",
                categories={"1": "Month-to-month", "12": "One year", "24": "Two year"},
                telling=("12", "24"),
            ),
            NumberedCategories(unit="years", categories={"1": "One year", "2": "Two year"}),
        ),
    ),
    _categorical(
        "InternetService",
        "Internet service",
        {
            "DSL": ("adsl", "vdsl", "sdsl", "dsl internet"),
            "Fiber optic": (
                "fiber",
                "fibre",
                "fibre optic",
                "fiber optics",
                "fibre optics",
                "ftth",
                "fttp",
                "glasfaser",
            ),
            "No": (*_NO, "none", "no internet", "no internet service", "without internet", "kein internet"),
        },
        {"DSL": "DSL internet", "Fiber optic": "Fiber-optic internet", "No": "No internet service"},
        aliases=(
            "internet service",
            "internet",
            "internet type",
            "internet connection",
            "broadband",
            "broadband type",
        ),
        gate=Gate(
            aliases=("internet service", "internet", "has internet"),
            yes=tuple(map(normalise, _YES)),
            category="No",
        ),
    ),
    NumericSpecification(
        name="MonthlyCharges",
        label="Monthly charge",
        aliases=(
            "monthly charges",
            "monthly charge",
            "monthly fee",
            "monthly amount",
            "monthly bill",
            "monthly cost",
            "monthly price",
            "monthly payment",
            "monthly revenue",
            "charge per month",
            "charges per month",
            "price per month",
            "fee per month",
            "mrr",
            "arpu",
            "monatsbeitrag",
            "monatliche kosten",
            "mensualité",
        ),
        unit="currency",
        valid_min=0,
        valid_max=100_000,
        wording=NumericWording(
            value="Monthly charge of {value}", missing="Unknown monthly charge", decimals=2
        ),
    ),
    _categorical(
        "PaymentMethod",
        "Payment method",
        {
            "Bank transfer (automatic)": (
                "bank transfer",
                "automatic bank transfer",
                "bank transfer auto",
                "direct debit",
                "bank draft",
                "ach",
                "sepa",
                "sepa direct debit",
                "lastschrift",
            ),
            "Credit card (automatic)": (
                "credit card",
                "automatic credit card",
                "credit card auto",
                "card",
                "cc",
                "kreditkarte",
            ),
            "Electronic check": ("e check", "echeck", "electronic cheque", "e cheque", "electronic"),
            "Mailed check": (
                "check",
                "cheque",
                "mailed cheque",
                "mail check",
                "paper check",
                "check by mail",
            ),
        },
        {
            "Bank transfer (automatic)": "Payment by automatic bank transfer",
            "Credit card (automatic)": "Payment by automatic credit card",
            "Electronic check": "Payment by electronic check",
            "Mailed check": "Payment by mailed check",
        },
        aliases=(
            "payment method",
            "payment",
            "payment type",
            "pay method",
            "method of payment",
            "zahlungsart",
        ),
    ),
    _categorical(
        "PaperlessBilling",
        "Paperless billing",
        {"No": (*_NO, "paper"), "Yes": (*_YES, "paperless")},
        {"No": "Billing on paper", "Yes": "Paperless billing"},
        aliases=(
            "paperless billing",
            "paperless",
            "e billing",
            "ebilling",
            "electronic billing",
            "online billing",
        ),
    ),
    _internet_add_on(
        "OnlineSecurity",
        "Online security",
        "online security",
        aliases=("online security", "internet security", "security service"),
    ),
    _internet_add_on(
        "OnlineBackup",
        "Online backup",
        "online backup",
        aliases=("online backup", "backup", "cloud backup", "backup service"),
    ),
    _internet_add_on(
        "DeviceProtection",
        "Device protection",
        "device protection",
        aliases=("device protection", "device insurance", "device protection plan", "equipment protection"),
    ),
    _internet_add_on(
        "TechSupport",
        "Tech support",
        "tech support",
        aliases=("tech support", "technical support", "premium support", "premium tech support"),
    ),
    _internet_add_on(
        "StreamingTV", "Streaming TV", "streaming TV", aliases=("streaming tv", "tv streaming", "tv", "iptv")
    ),
    _internet_add_on(
        "StreamingMovies",
        "Streaming movies",
        "streaming movies",
        aliases=("streaming movies", "movie streaming", "movies", "video on demand"),
    ),
    _categorical(
        "PhoneService",
        "Phone service",
        {"No": (*_NO, "no phone", "no phone service"), "Yes": _YES},
        {"No": "No phone service", "Yes": "Phone service"},
        aliases=("phone service", "has phone", "telephone service", "telephony", "landline"),
    ),
    _categorical(
        "MultipleLines",
        "Multiple lines",
        {
            "No": (*_NO, "single", "single line"),
            "No phone service": ("no phone",),
            "Yes": (*_YES, "multiple"),
        },
        {
            "No": "A single phone line",
            "No phone service": "Multiple lines not applicable (no phone)",
            "Yes": "Having multiple lines",
        },
        aliases=("multiple lines", "multi line", "multiple phone lines", "multiline", "several lines"),
        implied=ImpliedCategory(
            feature="PhoneService", category="No", written="No", means="No phone service"
        ),
    ),
)
"""The features of the shipped model."""

OUTCOME = Outcome(
    name=LABEL,
    label="Churn",
    aliases=(
        "churn",
        "churn value",
        "churn label",
        "churned",
        "customer status",
        "status",
    ),
    left=tuple(map(normalise, (*_YES, "churned", "left"))),
    stayed=tuple(map(normalise, (*_NO, "stayed", "active"))),
)

GENDER_AND_AGE: tuple[CategoricalSpecification, ...] = (
    _categorical(
        "gender", "Gender", {"Female": (), "Male": ()}, {"Female": "Female", "Male": "Male"}, aliases=()
    ),
    _categorical(
        "SeniorCitizen",
        "Senior citizen",
        {"No": _NO, "Yes": _YES},
        {"No": "Not a senior", "Yes": "Senior"},
        aliases=(),
    ),
)
FAMILY_STATUS: tuple[CategoricalSpecification, ...] = (
    _categorical(
        "Partner",
        "Partner",
        {"No": _NO, "Yes": _YES},
        {"No": "Having no partner", "Yes": "Having a partner"},
        aliases=(),
    ),
    _categorical(
        "Dependents",
        "Dependents",
        {"No": _NO, "Yes": _YES},
        {"No": "Having no dependents", "Yes": "Having dependents"},
        aliases=(),
    ),
)
PROTECTED = (*GENDER_AND_AGE, *FAMILY_STATUS)
"""Protected attributes. The training measures what they would add; the model does not read them."""

TOTAL_CHARGES: Specification = NumericSpecification(
    name="TotalCharges",
    label="Total charge",
    unit="currency",
    valid_min=0,
    valid_max=100_000_000,
    wording=NumericWording(value="Total charge of {value}", missing="Unknown total charge", decimals=2),
)
"""Approximately tenure times the monthly charge. The training measures what it would add."""

EXCLUDED_COLUMNS = (
    *(ExcludedColumn(name=feature.name, reason="a protected attribute") for feature in PROTECTED),
    ExcludedColumn(
        name="TotalCharges",
        reason="nearly tenure times the monthly charge; a model that reads it is worse where a file lacks it",
    ),
)
