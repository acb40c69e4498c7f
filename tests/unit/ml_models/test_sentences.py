import math

import pytest

from ml_models.card import load_card
from ml_models.sentences import is_unknown, sentence, suggested_actions
from ml_models.telco_churn import NAME, VERSION
from ml_models.terms import Contribution, Value, explain


@pytest.fixture(scope="module")
def card():
    return load_card(f"{NAME}@{VERSION}")


@pytest.mark.parametrize(
    ("name", "value", "effect", "said"),
    [
        ("tenure", 2.0, 0.9, "Tenure of 2 months raises the risk"),
        ("tenure", None, 0.0, "Unknown tenure: scored as average in this respect"),
        ("tenure", math.nan, 0.0, "Unknown tenure: scored as average in this respect"),
        ("Contract", "Weekly", 0.0, "Unfamiliar contract “Weekly”: scored as average in this respect"),
        ("StreamingTV", None, 0.0, "Unknown streaming TV does not change the risk"),
        ("MonthlyCharges", 29.85, -0.2, "Monthly charge of 29.85 lowers the risk"),
    ],
)
def test_a_customer_is_told_as_the_scores_tell_it(card, name, value, effect, said):
    assert sentence(card.feature(name), value, effect) == said


@pytest.mark.parametrize(
    ("name", "value", "unknown"),
    [
        ("tenure", 0.0, False),
        ("tenure", None, True),
        ("tenure", math.nan, True),
        ("Contract", "One year", False),
        ("Contract", "one year", True),  # a spelling is no category
        ("Contract", None, True),
    ],
)
def test_what_the_model_does_not_know_is_unknown(card, name, value, unknown):
    assert is_unknown(card.feature(name), value) is unknown


def test_actions_are_for_what_raises_the_risk_the_greatest_first(card):
    contributions = [
        Contribution("tenure", 0.2),
        Contribution("Contract", 0.9),
        Contribution("TechSupport", -1),
    ]
    assert suggested_actions(card, contributions) == [card.actions["Contract"], card.actions["tenure"]]


def test_every_feature_of_the_shipped_model_has_an_action(card):
    assert set(card.actions) == {feature.name for feature in card.features}
    assert all(action.endswith(".") and len(action) < 160 for action in card.actions.values())


def test_only_the_tenure_cannot_be_changed(card):
    assert [feature.name for feature in card.features if not feature.changeable] == ["tenure"]
    values: dict[str, Value] = {"tenure": 2, "Contract": "Month-to-month"}
    better = explain(card, {**values, "Contract": "Two year"})
    assert better.probability < explain(card, values).probability
