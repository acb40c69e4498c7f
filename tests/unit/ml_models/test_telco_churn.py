from collections import Counter

import pytest

from ml_models.card import CategoricalSpecification, normalise
from ml_models.telco_churn import (
    EXCLUDED_COLUMNS,
    ID_ALIASES,
    OUTCOME,
    PROTECTED,
    SPECIFICATION,
    TOTAL_CHARGES,
)

CATEGORICAL = [feature for feature in SPECIFICATION if isinstance(feature, CategoricalSpecification)]


def test_no_header_stands_for_two_features():
    headers = Counter(
        header
        for names in (
            ID_ALIASES,
            (OUTCOME.name, *OUTCOME.aliases),
            *((feature.name, *feature.aliases) for feature in SPECIFICATION),
        )
        for header in {normalise(name).replace(" ", "") for name in names}
    )
    assert [header for header, count in headers.items() if count > 1] == []


def test_what_is_measured_but_not_read_is_said():
    measured = {feature.name for feature in (*PROTECTED, TOTAL_CHARGES)}
    assert {column.name for column in EXCLUDED_COLUMNS} == measured
    assert measured.isdisjoint(feature.name for feature in SPECIFICATION)


@pytest.mark.parametrize("feature", CATEGORICAL, ids=lambda feature: feature.name)
def test_phrases_of_a_features_categories_differ(feature):
    phrases = [*feature.wording.categories.values(), feature.wording.missing]
    assert len(set(phrases)) == len(phrases)


def test_no_two_features_share_a_phrase():
    """Two reasons of one customer must not read the same."""
    phrases = Counter(phrase for feature in CATEGORICAL for phrase in feature.wording.categories.values())
    assert [phrase for phrase, count in phrases.items() if count > 1] == []


@pytest.mark.parametrize(
    ("name", "text", "category"),
    [
        ("Contract", "m2m", "Month-to-month"),
        ("Contract", "12 Months", "One year"),
        ("Contract", "weekly", None),
        ("InternetService", "FTTH", "Fiber optic"),
        ("InternetService", "no internet", "No"),
        ("PaperlessBilling", "TRUE", "Yes"),
        ("PaperlessBilling", "0.0", "No"),
        ("OnlineSecurity", "No Internet Service", "No internet service"),
        ("PaymentMethod", "Credit card", "Credit card (automatic)"),
        ("Contract", "12-month contract", "One year"),
        ("Contract", "Jährlich", "One year"),
        ("Contract", "JAEHRLICH", "One year"),
        ("Contract", "Deux ans", "Two year"),
        ("Contract", "mês a mês", "Month-to-month"),
        ("Contract", "1", None),
        ("InternetService", "Glasvezel", "Fiber optic"),
        ("InternetService", "Sin internet", "No"),
        ("OnlineSecurity", "Geen internet", "No internet service"),
        ("OnlineSecurity", "Não", "No"),
        ("MultipleLines", "Pas de téléphone", "No phone service"),
        ("PhoneService", "Sì", "Yes"),
        ("PaymentMethod", "Bonifico bancario", "Bank transfer (automatic)"),
        ("PaperlessBilling", "-1", None),
        ("PaperlessBilling", "(1)", None),
        ("PaperlessBilling", "0 %", None),
        ("PaperlessBilling", "no" + " " * 200, None),
    ],
)
def test_other_spellings_of_a_category(name, text, category):
    feature = next(feature for feature in CATEGORICAL if feature.name == name)
    assert feature.category(text) == category


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Yes", True), ("1", True), ("1.0", True), ("TRUE", True), ("Churned", True), ("Left", True),
        ("Attrited Customer", True), ("Ja", True), ("Gekündigt", True), ("gekuendigt", True), ("Sí", True),
        ("No", False), ("0", False), ("Stayed", False), ("Joined", False), ("Existing Customer", False),
        ("Nein", False), ("Não", False),
        ("", None), (" ", None), ("Inactive", None), ("-1", None), ("97", None), ("2024-05-01", None),
    ],
)  # fmt: skip
def test_spellings_of_the_outcome(text, left):
    assert OUTCOME.has_left(text) is left


def contract():
    return next(feature for feature in CATEGORICAL if feature.name == "Contract")


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (["1", "12", "24"], "months"),
        (["1.0", "12.0", "24.0", ""], "months"),
        (["12 ", "n/a"], "months"),
        (["1", "2"], None),  # years, or codes
        (["1"], None),
        (["1", "12", "24", "36"], None),
        (["1", "12", "17"], None),
        (["Month-to-month"], None),
        ([], None),
    ],
)
def test_the_unit_of_numbers_is_known_only_if_it_is_certain(texts, unit):
    assert contract().unit_of(texts) == unit


@pytest.mark.parametrize(
    ("text", "unit", "category"),
    [
        ("12", "months", "One year"), ("24.0", "months", "Two year"), ("01", "months", "Month-to-month"),
        ("1", "years", "One year"), ("0", "years", "Month-to-month"), ("36", "months", None),
        ("12.5", "months", None), ("-12", "months", None), ("One year", "months", "One year"),
        ("12", None, None),
    ],
)  # fmt: skip
def test_numbers_are_categories_in_a_known_unit(text, unit, category):
    assert contract().category(text, unit) == category


def test_what_is_certain_of_customers_without_a_service_is_in_the_specification():
    implied = {feature.name: feature.implied for feature in CATEGORICAL if feature.implied}
    assert set(implied) == {
        "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies",
        "MultipleLines",
    }  # fmt: skip
    assert all(each.missing for each in implied.values())


@pytest.mark.parametrize(
    ("name", "texts", "unit"),
    [
        ("MultipleLines", ("0", "1"), None),
        ("MultipleLines", ("0", "1", "2"), "lines"),
        ("MultipleLines", ("Yes", "No"), None),
        ("OnlineSecurity", ("0", "1"), None),
        ("OnlineSecurity", ("0", "1", "2"), "codes"),
        ("PaperlessBilling", ("1", "2", "77"), "codes"),
    ],
)
def test_numbers_above_one_are_not_yes(name, texts, unit):
    feature = next(feature for feature in CATEGORICAL if feature.name == name)
    assert feature.unit_of(texts) == unit
    if unit is not None:
        assert feature.category("1", unit) != "Yes"


@pytest.mark.parametrize(
    ("text", "category"), [("✓", "Yes"), ("✔\ufe0f", "Yes"), ("✗", "No"), ("disabled", "No"), ("•", None)]
)
def test_ticks_and_words_say_whether_a_service_is_booked(text, category):
    feature = next(feature for feature in CATEGORICAL if feature.name == "TechSupport")
    assert feature.category(text) == category


def test_no_hint_of_who_left_is_read_as_something_else():
    hints = {normalise(hint) for hint in OUTCOME.hints}
    assert hints.isdisjoint(map(normalise, OUTCOME.aliases))
    assert hints.isdisjoint(normalise(name) for feature in SPECIFICATION for name in feature.aliases)
