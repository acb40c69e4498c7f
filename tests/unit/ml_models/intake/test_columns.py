from itertools import product

import pytest

from ml_models.card import load_card, normalise
from ml_models.intake.columns import (
    CUSTOMER_ID,
    CUSTOMER_VALUE,
    IGNORED_HEADERS,
    ColumnMapping,
    InvalidMapping,
    MappingNeedsConfirmation,
    RequiredColumnsMissing,
    map_columns,
)
from retainwise_contracts import prediction_requested
from retainwise_contracts.results import REJECTED_COLUMNS

CARD = load_card("telco-churn@1.0.0")
NEEDED = ("customerID", "tenure", "Contract", "InternetService")


def map_beside_needed(*headers: str, explicit: dict[str, str] | None = None) -> ColumnMapping:
    """Map these headers, and the required ones unless one of these takes their place."""
    try:
        return map_columns(headers, CARD, explicit)
    except RequiredColumnsMissing as error:
        rest = ["customerID" if name == CUSTOMER_ID else name for name in error.missing]
        return map_columns([*headers, *rest], CARD, explicit)


def test_the_training_datas_own_headers_are_exact():
    headers = ["customerID", *(feature.name for feature in CARD.features), "gender", "TotalCharges", "Churn"]
    mapping = map_columns(headers, CARD)
    assert [column.position for column in mapping.columns] == list(range(len(CARD.features) + 1))
    assert {column.method for column in mapping.features.values()} == {"exact"}
    assert mapping.unused == ("gender", "TotalCharges")
    assert mapping.outcome is not None
    assert (mapping.outcome.header, mapping.outcome.position) == ("Churn", len(headers) - 1)
    assert mapping.conflicts == ()
    assert mapping.gates == {}


@pytest.mark.parametrize(
    ("header", "feature", "method"),
    [
        ("Tenure", "tenure", "normalised"),
        (" monthly_charges ", "MonthlyCharges", "normalised"),
        ("MONTHLY CHARGES", "MonthlyCharges", "normalised"),
        ("Monthly charge", "MonthlyCharges", "normalised"),
        ("streaming-tv", "StreamingTV", "normalised"),
        ("monthly fee", "MonthlyCharges", "alias"),
        ("ContractType", "Contract", "alias"),
        ("months_as_customer", "tenure", "alias"),
        ("technical support", "TechSupport", "alias"),
        ("account_id", CUSTOMER_ID, "alias"),
        ("Kundennummer", CUSTOMER_ID, "alias"),
        ("MontlyCharges", "MonthlyCharges", "fuzzy"),
        ("OnlineSecurty", "OnlineSecurity", "fuzzy"),
        ("Pyament Method", "PaymentMethod", "fuzzy"),
    ],
)
def test_headers_find_their_feature(header: str, feature: str, method: str):
    column = next(column for column in map_beside_needed(header).columns if column.feature == feature)
    assert (column.header, column.method) == (header.strip(), method)
    assert (column.confidence == 1) == (method == "exact")


@pytest.mark.parametrize(
    "header",
    [
        "contract_id", "ContractId", "contract end date", "tech support tickets", "payment id",
        "TotalCharges", "total charge", "gender", "phone number", "day", "year", "month", "name", "email",
        "", "online", "streaming", "Phone", "Security", "Partner", "Payments", "Billing",
        "Monthly Changes", "Monthly refunds", "Offline Backup", "Offline Security", "Online insecurity",
        "Paper billing", "No tech support", "Non streaming movies", "Not paperless", "months_inactive",
        "months without us", "Intranet Service", "Subscription tier", "Multiple line", "Streaming movie",
        "Churn Score", "Churn Reason", "Churn Category", "Retained", "Active", "Months left",
    ],
)  # fmt: skip
def test_other_things_are_left_alone(header: str):
    mapping = map_columns([*NEEDED, header], CARD)
    assert header not in [column.header for column in mapping.columns]


@pytest.mark.parametrize(
    ("header", "instead_of"),
    [
        ("Contact", "Contract"),
        ("Contact Type", "Contract"),
        ("contacttype", "Contract"),
        ("Contracts", "Contract"),
        ("Commitments", "Contract"),
        ("Customer IP", "customerID"),
        ("Accounts", "customerID"),
        ("Customers", "customerID"),
        ("Contract ID", "customerID"),
        ("Tenure (z)", "tenure"),
        ("account age", "tenure"),
    ],
)
def test_a_header_of_another_thing_is_named_and_not_taken(header: str, instead_of: str):
    headers = [header if name == instead_of else name for name in NEEDED]
    with pytest.raises(RequiredColumnsMissing) as caught:
        map_columns(headers, CARD)
    assert caught.value.missing == (CUSTOMER_ID if instead_of == "customerID" else instead_of,)


@pytest.mark.parametrize(
    ("headers", "feature", "used"),
    [
        (["Tenure (years)", "Tenure"], "tenure", "Tenure"),
        (["Tenure Years", "Tenure (months)"], "tenure", "Tenure (months)"),
        (["Customer", "Account ID"], CUSTOMER_ID, "Account ID"),
        (["MSISDN", "id"], CUSTOMER_ID, "id"),
    ],
)
def test_of_two_columns_the_surer_one_is_used(headers: list[str], feature: str, used: str):
    column = next(column for column in map_beside_needed(*headers).columns if column.feature == feature)
    assert column.header == used


@pytest.mark.parametrize(
    ("header", "feature", "factor", "conversion"),
    [
        ("Tenure (years)", "tenure", 12, "years to months"),
        ("tenure_days", "tenure", 12 / 365.25, "days to months"),
        ("TenureDays", "tenure", 12 / 365.25, "days to months"),
        ("tenure in weeks", "tenure", 7 * 12 / 365.25, "weeks to months"),
        ("years as customer", "tenure", 12, "years to months"),
        ("Tenure [quarters]", "tenure", 3, "quarters to months"),
        ("Tenure (months)", "tenure", 1, None),
        ("Tenure (y)", "tenure", 12, "years to months"),
        ("Tenure_y", "tenure", 12, "years to months"),
        ("Tenure (d)", "tenure", 12 / 365.25, "days to months"),
        ("Tenure (m)", "tenure", 1, None),
        ("MonthlyCharges (cents)", "MonthlyCharges", 0.01, "cents to currency"),
        ("monthly fee in EUR", "MonthlyCharges", 1, None),
        ("MontlyCharges (cents)", "MonthlyCharges", 0.01, "cents to currency"),
    ],
)
def test_units_in_headers_are_converted(header: str, feature: str, factor: float, conversion: str | None):
    column = map_beside_needed(header).features[feature]
    assert column.factor == pytest.approx(factor)
    assert column.conversion == conversion


def test_an_explicit_mapping_wins_over_an_exact_header():
    mapping = map_columns([*NEEDED, "age_days", "key"], CARD, {"tenure": "age_days", CUSTOMER_ID: "key"})
    assert mapping.features["tenure"].header == "age_days"
    assert mapping.features["tenure"].conversion == "days to months"
    assert (mapping.customer_id.header, mapping.customer_id.method) == ("key", "explicit")
    assert mapping.unused == ("customerID", "tenure")


@pytest.mark.parametrize(
    ("explicit", "says"),
    [
        ({"tenur": "tenure"}, "“tenur”, which is not a feature of telco-churn@1.0.0"),
        ({"tenure": "missing"}, "“missing”, but the file has no such column"),
        ({"tenure": "Contract", "Contract": "Contract"}, "already mapped"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(explicit: dict[str, str], says: str):
    with pytest.raises(InvalidMapping, match=says):
        map_columns(NEEDED, CARD, explicit)


def test_conflicts_describe_ambiguous_headers():
    mapping = map_columns([*NEEDED, "account_id", "tenure", "monthly fee", "mrr"], CARD)
    assert mapping.customer_id.header == "customerID"
    assert mapping.features["tenure"].position == 1
    assert mapping.features["MonthlyCharges"].header == "monthly fee"
    assert mapping.conflicts == (
        "tenure was read from “tenure” (column 2), not a second column of that name.",
        "customer_id was read from “customerID” (column 1), not “account_id”.",
        "MonthlyCharges was read from “monthly fee” (column 7), not “mrr”.",
    )


def test_missing_required_columns_are_named_with_what_is_close():
    with pytest.raises(RequiredColumnsMissing) as caught:
        map_columns(["customerID", "tenure band", "Contrat-Nr.", "MonthlyCharges", "xyz"], CARD)
    assert caught.value.missing == ("tenure", "Contract", "InternetService")
    assert "tenure band" in caught.value.closest["tenure"]
    assert caught.value.closest["Contract"][0] == "Contrat-Nr."
    assert "Contract (closest: “Contrat-Nr.”" in str(caught.value)
    assert "is for telecom customers" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "instead_of"),
    [
        ("Tenuree", "tenure"),
        ("Tenur (years)", "tenure"),
        ("custmer tenure", "tenure"),
        ("tenure_mnths", "tenure"),
        ("Contarct", "Contract"),
        ("Contrakt type", "Contract"),
        ("Intenet Service", "InternetService"),
        ("custmer id", "customerID"),
    ],
)
def test_a_required_column_is_never_filled_by_likeness(header: str, instead_of: str):
    headers = [header if name == instead_of else name for name in NEEDED]
    with pytest.raises(MappingNeedsConfirmation) as caught:
        map_columns(headers, CARD)
    name = CUSTOMER_ID if instead_of == "customerID" else instead_of
    assert caught.value.proposals == {name: header}
    assert f'confirm it in the mapping: {{"{name}": "{header}"}}' in str(caught.value)
    confirmed = map_columns(headers, CARD, caught.value.proposals)
    assert next(column for column in confirmed.columns if column.feature == name).method == "explicit"


def test_a_confirmation_also_names_what_is_missing_outright():
    with pytest.raises(MappingNeedsConfirmation) as caught:
        map_columns(["customerID", "tenuree", "Contract"], CARD)
    assert caught.value.proposals == {"tenure": "tenuree"}
    assert caught.value.missing == ("InternetService",)
    assert "Not found: InternetService (no similar header). Rename" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "instead_of"),
    [
        ("months_inactive", "tenure"), ("months without us", "tenure"), ("inactive months", "tenure"),
        ("Months since last purchase", "tenure"), ("Months until contract end", "tenure"),
        ("Subscription tier", "Contract"), ("Contact", "Contract"), ("Contract status", "Contract"),
        ("Intranet Service", "InternetService"), ("Internal Service", "InternetService"),
        ("No internet", "InternetService"),
    ],
)  # fmt: skip
def test_an_opposite_is_not_even_proposed(header: str, instead_of: str):
    headers = [header if name == instead_of else name for name in NEEDED]
    with pytest.raises(RequiredColumnsMissing) as caught:
        map_columns(headers, CARD)
    assert caught.value.missing == (instead_of,)


def test_an_optional_feature_that_is_only_similar_is_not_used():
    mapping = map_columns([*NEEDED, "Streming TV Bakup", "Online Bakup", "Device Protectoin"], CARD)
    assert "OnlineBackup" not in mapping.features
    assert mapping.features["DeviceProtection"].method == "fuzzy"
    assert mapping.conflicts == (
        "Column “Online Bakup” could be OnlineBackup and was not used. "
        "To use it, add it to the column mapping.",
    )


def test_a_file_without_an_id_is_refused():
    with pytest.raises(RequiredColumnsMissing, match="customer_id"):
        map_columns(NEEDED[1:], CARD)


def test_what_rejected_csv_adds_is_ignored():
    assert {column.name for column in REJECTED_COLUMNS} == IGNORED_HEADERS
    mapping = map_columns([*NEEDED, *sorted(IGNORED_HEADERS)], CARD)
    assert mapping.unused == ()
    assert mapping == map_columns(NEEDED, CARD)


def test_value_of_a_customer_is_read_only_where_the_mapping_says_so():
    assert CUSTOMER_VALUE == prediction_requested.CUSTOMER_VALUE
    headers = [*NEEDED, "customer_value", "Revenue (cents)"]
    mapping = map_columns(headers, CARD)
    assert mapping.customer_value is None
    assert mapping.unused == ("customer_value", "Revenue (cents)")
    mapping = map_columns(headers, CARD, {CUSTOMER_VALUE: "Revenue (cents)"})
    assert mapping.unused == ("customer_value",)
    value = mapping.customer_value
    assert value is not None
    assert (value.feature, value.position, value.method) == (CUSTOMER_VALUE, 5, "explicit")
    assert (value.factor, value.conversion) == (0.01, "cents to currency")
    assert value not in mapping.columns


@pytest.mark.parametrize("explicit", [{}, {"MonthlyCharges": "Monthly revenue"}])
def test_value_of_a_customer_can_be_a_column_that_the_model_reads_too(explicit: dict[str, str]):
    mapping = map_columns([*NEEDED, "Monthly revenue"], CARD, {**explicit, CUSTOMER_VALUE: "Monthly revenue"})
    assert mapping.customer_value is not None
    assert mapping.customer_value.position == mapping.features["MonthlyCharges"].position == 4
    assert mapping.unused == ()


def test_value_of_a_customer_needs_its_column():
    with pytest.raises(InvalidMapping, match="reads customer_value from “Revenue”"):
        map_columns(NEEDED, CARD, {CUSTOMER_VALUE: "Revenue"})
    with pytest.raises(InvalidMapping, match="You can map: customer_id, customer_value, tenure"):
        map_columns(NEEDED, CARD, {"Income": "Revenue"})


def test_no_header_belongs_to_two_features():
    spellings: dict[str, str] = {}
    for feature in CARD.features:
        for text in {normalise(text) for text in (feature.name, feature.label, *feature.aliases)}:
            assert spellings.setdefault(text, feature.name) == feature.name


@pytest.mark.parametrize(
    ("header", "feature"),
    [
        ("Vertragsart", "Contract"), ("Internetdienst", "InternetService"),
        ("GERÄTESCHUTZ", "DeviceProtection"), ("Geraeteschutz", "DeviceProtection"),
        ("Monatliche Kosten (EUR)", "MonthlyCharges"),
        ("Ancienneté (mois)", "tenure"), ("ANCIENNETE", "tenure"), ("Ancienneté en mois", "tenure"),
        ("Frais mensuels", "MonthlyCharges"), ("Protection de l'appareil", "DeviceProtection"),
        ("Antigüedad", "tenure"), ("Cuota mensual (€)", "MonthlyCharges"),
        ("Copia de seguridad", "OnlineBackup"),
        ("Tempo de contrato", "tenure"), ("Mensalidade (R$)", "MonthlyCharges"), ("Não", None),
        ("Anzianità [mesi]", "tenure"), ("Codice cliente", CUSTOMER_ID),
        ("Modalità di pagamento", "PaymentMethod"),
        ("Looptijd in maanden", "tenure"), ("Klantnummer", CUSTOMER_ID),
        ("Apparaatbescherming", "DeviceProtection"),
        ("Monthly charge in $", "MonthlyCharges"), ("Monthly charge (US$)", "MonthlyCharges"),
    ],
)  # fmt: skip
def test_headers_are_known_in_six_languages(header: str, feature: str | None):
    mapping = map_beside_needed(header)
    assert {column.feature for column in mapping.columns if column.header == header} == {feature} - {None}


@pytest.mark.parametrize(
    ("header", "conversion"),
    [
        ("Vertragsdauer (Jahre)", "years to months"), ("Ancienneté (jours)", "days to months"),
        ("années d'ancienneté", "years to months"), ("Antigüedad (años)", "years to months"),
        ("Tempo de contrato (dias)", "days to months"), ("Anzianità (anni)", "years to months"),
        ("Looptijd (weken)", "weeks to months"), ("Jahre als Kunde", "years to months"),
        ("mois d'ancienneté", None),
    ],
)  # fmt: skip
def test_units_are_known_in_six_languages(header: str, conversion: str | None):
    assert map_beside_needed(header).features["tenure"].conversion == conversion


def test_cents_are_no_euros_and_a_contradiction_is_no_unit():
    mapping = map_columns([*NEEDED, "Monthly charge (€ cents)"], CARD)
    assert mapping.features["MonthlyCharges"].factor == 0.01
    with pytest.raises(RequiredColumnsMissing):
        map_columns(["customerID", "tenure (days, not months)", "Contract", "InternetService"], CARD)


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("Contract", None), ("Contract length", None), ("Contract length (months)", "months"),
        ("contract_months", "months"), ("Contract (years)", "years"), ("Durée du contrat (mois)", "months"),
    ],
)  # fmt: skip
def test_a_unit_says_what_the_numbers_of_a_category_mean(header: str, unit: str | None):
    column = map_beside_needed(header).features["Contract"]
    assert (column.header, column.unit) == (header, unit)
    assert (column.factor, column.conversion) == (1.0, None)


def test_an_unknown_unit_of_a_category_is_no_match():
    with pytest.raises(RequiredColumnsMissing):
        map_columns(["customerID", "tenure", "Contract (days)", "InternetService"], CARD)


@pytest.mark.parametrize(
    ("gate", "kind"),
    [
        ("Internet Service", "Internet Type"), ("InternetService", "InternetType"),
        ("Internet", "Internet Connection"), ("Has internet", "Internet type"),
        ("Internet Service", "Connection type"), ("Internetdienst", "Internetart"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_one_column_can_say_whether_and_one_which(gate: str, kind: str, order: int):
    mapping = map_columns(["customerID", "tenure", "Contract", *[gate, kind][::order]], CARD)
    assert mapping.features["InternetService"].header == kind
    assert mapping.gates["InternetService"].header == gate
    assert mapping.conflicts == mapping.unused == ()


def test_a_gate_alone_is_no_feature_and_an_explicit_mapping_has_no_gate():
    with pytest.raises(RequiredColumnsMissing):
        map_columns(["customerID", "tenure", "Contract", "Has internet"], CARD)
    assert map_columns(NEEDED, CARD).gates == {}
    headers = ["customerID", "tenure", "Contract", "Internet Service", "Internet Type"]
    mapping = map_columns(headers, CARD, {"InternetService": "Internet Type"})
    assert (mapping.features["InternetService"].header, mapping.gates) == ("Internet Type", {})


@pytest.mark.parametrize(
    "header",
    [
        "Churn", "Churn Value", "Churn Label", "Churned", "churn_flag", "is_churned", "Customer Status",
        "Status", "Attrition_Flag", "Exited", "Left", "Cancelled", "Abwanderung", "Gekündigt", "GEKUENDIGT",
        "Résilié",
        "Baja", "Cancelado", "Abbandono", "Opgezegd",
    ],
)  # fmt: skip
def test_the_column_of_who_left_is_found(header: str):
    mapping = map_columns([*NEEDED, header], CARD)
    assert mapping.outcome is not None
    assert mapping.outcome.header == header
    assert header not in mapping.unused
    assert "Churn" not in mapping.features


@pytest.mark.parametrize(
    "header",
    ["Churn Score", "Churn Risk", "Churn Reason", "churn_probability", "Retained", "Stayed", "Active",
     "Not churned", "Lefthanded", "Months left", "Contract status", "Chrun", "Churms"],
)  # fmt: skip
def test_other_columns_do_not_say_who_left(header: str):
    assert map_columns([*NEEDED, header], CARD).outcome is None


def test_the_outcome_can_be_named_in_the_mapping():
    mapping = map_columns([*NEEDED, "Churn", "gone"], CARD, {"Churn": "gone"})
    assert mapping.outcome is not None
    assert (mapping.outcome.header, mapping.outcome.method) == ("gone", "explicit")


def test_sentences_are_bounded_whatever_the_headers():
    spelt = ["".join(letters) for letters in product(*zip("tenure", "TENURE", strict=True))]
    mapping = map_columns([*NEEDED, *spelt[1:], "x" * 5_000], CARD)
    assert len(mapping.conflicts) == 21
    assert mapping.conflicts[-1] == "43 more columns have ambiguous names and were not used."
    headers = ["customerID", "tenure", "Contract", "internet connection type of the household " * 3]
    with pytest.raises(RequiredColumnsMissing) as caught:
        map_columns(headers, CARD)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("header", ["Customer since", "signup_date", "Datum Vertragsbeginn", "start date"])
def test_a_column_of_dates_is_pointed_out(header: str):
    with pytest.raises(
        RequiredColumnsMissing, match=rf"If “{header}” has dates, convert them to the number of"
    ):
        map_columns(["customerID", header, "Contract", "InternetService"], CARD)
