import math
import subprocess
import sys

import numpy as np
import pytest

from ml_models.card import UNSEEN_CODE, CategoricalFeature, load_card
from ml_models.runtime import load_model
from ml_models.telco_churn import NAME, VERSION
from ml_models.terms import CategoricalTerm, NumericTerm, as_float32, explain

REF = f"{NAME}@{VERSION}"
OUTWARDS = np.array([-np.inf, np.inf], dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    return load_model(REF)


@pytest.fixture(scope="module")
def card():
    return load_card(REF)


def value_of(feature, encoded):
    """What a customer has whom the model reads as this number."""
    if math.isnan(encoded):
        return None
    if not isinstance(feature, CategoricalFeature):
        return encoded
    return feature.categories[int(encoded)] if 0 <= encoded < len(feature.categories) else "never seen"


def greatest_difference(model, rows):
    scores = model.predict(rows)
    greatest = 0.0
    for row, probability, contributions in zip(rows, scores.probability, scores.contributions, strict=True):
        values = {
            feature.name: value_of(feature, float(encoded))
            for feature, encoded in zip(model.card.features, row, strict=True)
        }
        explained = explain(model.card, values)
        effects = [effect for _, effect in explained.contributions]
        greatest = max(greatest, abs(explained.probability - probability))
        greatest = max(greatest, np.abs(np.array(effects) - contributions).max())
    return greatest


def test_explanations_of_10_000_customers_are_the_models(model):
    random = np.random.default_rng(5)
    columns = [
        random.integers(-1, len(feature.categories), 10_000)
        if isinstance(feature, CategoricalFeature)
        else random.uniform(feature.statistics.min - 5, feature.statistics.max * 1.2, 10_000)
        for feature in model.card.features
    ]
    rows = np.column_stack(columns).astype(np.float32)
    rows[random.random(rows.shape) < 0.1] = np.nan
    assert greatest_difference(model, rows) <= 1e-6


def test_explanations_are_the_models_at_every_edge(model):
    rows = [np.full(len(model.card.terms), number, np.float32) for number in (np.nan, UNSEEN_CODE)]
    for column, term in enumerate(model.card.terms):
        if isinstance(term, NumericTerm):
            edges = np.array(term.edges, np.float32)
            assert len(edges) > 10
            around = np.concatenate([edges, *(np.nextafter(edges, beyond) for beyond in OUTWARDS), OUTWARDS])
        else:
            around = np.arange(UNSEEN_CODE, len(term.scores) + 1, dtype=np.float32)
        for number in (*around, np.float32(np.nan)):
            row = np.zeros(len(model.card.terms), np.float32)
            row[column] = number
            rows.append(row)
    assert greatest_difference(model, np.array(rows)) <= 1e-6


def test_a_number_is_compared_as_the_float32_that_the_model_reads(card):
    term = next(term for term in card.terms if isinstance(term, NumericTerm))
    edge = term.edges[3]
    below = math.nextafter(edge, -math.inf)
    assert as_float32(below) == edge
    assert term.score(below) == term.score(edge) == term.scores[4]
    assert term.score(float(np.nextafter(np.float32(edge), np.float32(-np.inf)))) == term.scores[3]


@pytest.mark.parametrize(("value", "rounded"), [(1e300, math.inf), (-1e300, -math.inf), (0.1, 0.10000000149)])
def test_numbers_are_rounded_to_what_the_model_reads(value, rounded):
    assert as_float32(value) == pytest.approx(rounded, rel=1e-9)


def test_what_is_not_of_a_features_kind_is_missing(card):
    for term in card.terms:
        odd = (None, math.nan, "12") if isinstance(term, NumericTerm) else (None, math.nan, 1)
        assert [term.score(value) for value in odd] == [term.missing] * 3
        if isinstance(term, CategoricalTerm):
            assert term.score("never seen") == term.unseen


def test_contributions_add_up_to_the_probability(card):
    explained = explain(card, {"tenure": 1, "Contract": "Month-to-month"})
    log_odds = explained.intercept + sum(effect for _, effect in explained.contributions)
    assert explained.probability == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-12)
    assert [feature for feature, _ in explained.contributions] == [term.feature for term in card.terms]
    assert [feature for feature, effect in explained.contributions if effect] == ["tenure", "Contract"]


@pytest.mark.parametrize(("intercept", "probability"), [(800.0, 1.0), (-800.0, 0.0), (0.0, 0.5)])
def test_probability_of_any_log_odds_is_a_number(card, intercept, probability):
    extreme = card.model_copy(update={"intercept": intercept})
    assert explain(extreme, {}).probability == pytest.approx(probability, abs=1e-12)


def test_explaining_needs_no_numpy_and_no_model_runtime():
    program = (
        "import sys; from ml_models.card import load_card; from ml_models.terms import explain;"
        "from ml_models.sentences import suggested_actions;"
        f"card = load_card({REF!r}); suggested_actions(card, explain(card, {{}}).contributions);"
        "print(*{'numpy', 'onnx', 'onnxruntime', 'polars'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stdout == "\n"
