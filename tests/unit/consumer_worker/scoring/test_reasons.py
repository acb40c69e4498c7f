from typing import Any

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring.reasons import find_reasons
from consumer_worker.scoring.values import FeatureValues, Notation, read_values
from ml_models.card import LOWERS, RAISES
from ml_models.runtime import ChurnModel

ADD_ONS = (
    *("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies"),
)


@pytest.fixture
def values(model: ChurnModel) -> dict[str, FeatureValues]:
    texts = pl.DataFrame(
        {
            "tenure": ["1", "24", "3", "2.5"],
            "MonthlyCharges": ["29.85", "70", "N/A", "1234.5"],
            "Contract": ["Month-to-month", "two year", "One year", "one year"],
            "InternetService": ["DSL", "No", "DSL", "Fiber optic"],
            "PaymentMethod": ["Mailed check", "mailed check", "", "Barter"],
        }
    )
    return read_values(texts, model.card, Notation("."))


def test_reasons_are_the_largest_effects_worded_as_the_card_words_them(
    model: ChurnModel, values: dict[str, FeatureValues]
):
    card = model.card
    contributions = np.random.default_rng(7).normal(size=(4, len(card.terms))).astype(np.float32)
    reasons = find_reasons(contributions, values, card, 3)
    cells: dict[str, list[Any]] = {
        "tenure": [1.0, 24.0, 3.0, 2.5],
        "MonthlyCharges": [29.85, 70.0, None, 1234.5],
        "Contract": ["Month-to-month", "Two year", "One year", "One year"],
        "InternetService": ["DSL", "No", "DSL", "Fiber optic"],
        "PaymentMethod": ["Mailed check", "Mailed check", None, "Barter"],
        **{name: [None, "No internet service", None, None] for name in ADD_ONS},
    }
    for row in range(4):
        largest = sorted(range(len(card.terms)), key=lambda term: -abs(contributions[row, term]))[:3]
        assert [reason.feature for reason in reasons.of_row(row)] == [
            card.terms[term].feature for term in largest
        ]
        for term, reason in zip(largest, reasons.of_row(row), strict=True):
            feature = card.feature(reason.feature)
            cell = cells.get(reason.feature, [None] * 4)[row]
            effect = float(contributions[row, term])
            assert reason.effect == pytest.approx(effect, abs=1e-6)
            assert reason.text == feature.reason(cell, effect)
            assert reason.text.endswith(RAISES if effect > 0 else LOWERS)
            assert reason.value == (f"{cell:.10g}" if isinstance(cell, float) else cell)


def test_every_term_is_worded_in_both_directions(model: ChurnModel, values: dict[str, FeatureValues]):
    card = model.card
    for position, term in enumerate(card.terms):
        contributions = np.zeros((4, len(card.terms)), np.float32)
        contributions[:, position] = [0.5, -0.5, 0.25, -0.25]
        columns = find_reasons(contributions, values, card, 2).columns()
        assert columns["reason_1"].to_list() == [term.feature] * 4
        assert [text.endswith(RAISES) for text in columns["reason_1_text"]] == [True, False, True, False]
        assert columns["reason_1_effect"].to_list() == [0.5, -0.5, 0.25, -0.25]


def test_what_has_no_effect_is_no_reason(model: ChurnModel, values: dict[str, FeatureValues]):
    contributions = np.zeros((4, len(model.card.terms)), np.float32)
    contributions[1, 2] = -1.0
    reasons = find_reasons(contributions, values, model.card, 2)
    assert [len(reasons.of_row(row)) for row in range(4)] == [0, 1, 0, 0]
    assert all(series.null_count() >= 3 for series in reasons.columns().values())


def test_of_equal_effects_the_first_term_comes_first(model: ChurnModel, values: dict[str, FeatureValues]):
    contributions = np.full((4, len(model.card.terms)), 0.5, np.float32)
    reasons = find_reasons(contributions, values, model.card, 3)
    assert reasons.terms[:, 0].tolist() == [0, 1, 2]


def test_there_are_no_more_reasons_than_terms(model: ChurnModel, values: dict[str, FeatureValues]):
    contributions = np.ones((4, len(model.card.terms)), np.float32)
    assert len(find_reasons(contributions, values, model.card, 99).terms) == len(model.card.terms)
    assert find_reasons(contributions, values, model.card, 0).columns() == {}


def test_unknown_required_value_takes_the_place_of_the_weakest_reason(model: ChurnModel):
    texts = pl.DataFrame(
        {
            "tenure": ["1", "", "", ""],
            "Contract": ["One year", "One year", "Weekly", "One year"],
            "InternetService": ["DSL"] * 4,
        }
    )
    values = read_values(texts, model.card, Notation("."))
    features = [term.feature for term in model.card.terms]
    contributions = np.zeros((4, len(features)), np.float32)
    contributions[:, features.index("InternetService")] = 0.25
    contributions[:, features.index("PhoneService")] = -0.5
    contributions[:, features.index("MultipleLines")] = 0.75
    reasons = find_reasons(contributions, values, model.card, 3)

    def shown(row: int) -> list[tuple[str, float, str | None]]:
        return [(reason.feature, reason.effect, reason.value) for reason in reasons.of_row(row)]

    lines, phone = ("MultipleLines", 0.75, None), ("PhoneService", -0.5, None)
    assert shown(0) == [lines, phone, ("InternetService", 0.25, "DSL")]
    assert shown(1) == [lines, phone, ("tenure", 0.0, None)]
    assert shown(2) == [lines, ("tenure", 0.0, None), ("Contract", 0.0, "Weekly")]
    texts_of_row = [reason.text for reason in reasons.of_row(2)[1:]]
    assert texts_of_row == [
        "Unknown tenure: scored as average in this respect",
        "Unfamiliar contract “Weekly”: scored as average in this respect",
    ]
    assert reasons.columns()["reason_3_text"][1] == "Unknown tenure: scored as average in this respect"
    assert [reason.feature for reason in find_reasons(contributions, values, model.card, 1).of_row(2)] == [
        "MultipleLines"
    ]
