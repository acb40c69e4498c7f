from collections import Counter

import pytest

from ml_models.card import CategoricalSpecification, normalise
from ml_models.telco_churn import EXCLUDED_COLUMNS, ID_ALIASES, PROTECTED, SPECIFICATION, TOTAL_CHARGES

CATEGORICAL = [feature for feature in SPECIFICATION if isinstance(feature, CategoricalSpecification)]


def test_no_header_stands_for_two_features():
    headers = Counter(
        header
        for names in (ID_ALIASES, *((feature.name, *feature.aliases) for feature in SPECIFICATION))
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
    ],
)
def test_other_spellings_of_a_category(name, text, category):
    feature = next(feature for feature in CATEGORICAL if feature.name == name)
    assert feature.category(text) == category
