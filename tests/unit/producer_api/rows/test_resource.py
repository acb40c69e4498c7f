"""A customer's explanation is the model's, and its words are those of the result file."""

import polars as pl
import pytest

from producer_api.rows.resource import TOLERANCE, explained_resource, row_resource
from producer_api.rows.results import RowFilter, find_rows, read_row, values_of


@pytest.fixture(scope="module")
def features(model):
    return [feature.name for feature in model.card.features]


@pytest.fixture(scope="module")
def rows(result):
    return pl.read_parquet(result / "scores.parquet").to_dicts()


def test_explanations_are_those_of_the_model(model, rows, features, caplog):
    worst = 0.0
    for row in rows:
        shown = explained_resource(row, 3, model.card, values_of(row, features))
        effects = {item["feature"]: item["effect"] for item in shown["contributions"]}
        assert len(effects) == len(model.card.terms)
        for rank in (1, 2, 3):
            if row[f"reason_{rank}_effect"]:
                worst = max(worst, abs(effects[row[f"reason_{rank}"]] - row[f"reason_{rank}_effect"]))
    assert worst <= TOLERANCE


def test_words_are_those_of_the_result_file(model, rows, features):
    for row in rows:
        shown = explained_resource(row, 3, model.card, values_of(row, features))
        texts = {item["feature"]: item["text"] for item in shown["contributions"]}
        for reason in shown["reasons"]:
            assert reason["text"] == texts[reason["feature"]]
            assert reason["label"] == model.card.feature(reason["feature"]).label


def test_contributions_are_the_greatest_first(model, rows, features):
    shown = explained_resource(rows[0], 3, model.card, values_of(rows[0], features))
    sizes = [abs(item["effect"]) for item in shown["contributions"]]
    assert sizes == sorted(sizes, reverse=True)


def test_only_what_raises_the_risk_has_an_action(model, rows, features):
    actions = 0
    for row in rows[:50]:
        shown = explained_resource(row, 3, model.card, values_of(row, features))
        for item in (*shown["contributions"], *shown["reasons"]):
            expected = model.card.actions.get(item["feature"]) if item["effect"] > 0 else None
            assert item["action"] == expected
            actions += expected is not None
    assert actions > 0


def test_sentences_say_the_risk_the_reasons_and_what_is_not_known(model, rows, features):
    left = next(row for row in rows if row["already_left"])
    sentences = explained_resource(left, 3, model.card, values_of(left, features))["sentences"]
    assert sentences[0].startswith("The probability of leaving is ")
    assert sentences[1] == left["reason_1_text"] + "."
    assert sentences[-1] == "The file says that this customer has left already."
    unsure = min(rows, key=lambda row: row["inputs_known"])
    sentences = explained_resource(unsure, 3, model.card, values_of(unsure, features))["sentences"]
    assert any(text.startswith("Only ") for text in sentences) == (unsure["inputs_known"] < 0.9)


@pytest.mark.parametrize("lacking", ["card", "values"])
def test_what_cannot_be_explained_is_null(model, rows, features, lacking):
    row = rows[0]
    card = None if lacking == "card" else model.card
    values = None if lacking == "values" else values_of(row, features)
    shown = explained_resource(row, 3, card, values)
    assert (shown["contributions"], shown["intercept"]) == (None, None)
    assert shown["sentences"][1] == row["reason_1_text"] + "."
    assert shown["reasons"][0]["text"] == row["reason_1_text"]


def test_an_explanation_of_another_score_is_not_shown(model, rows, features):
    row = rows[0] | {"churn_probability": rows[0]["churn_probability"] + 2 * TOLERANCE}
    assert explained_resource(row, 3, model.card, values_of(row, features))["contributions"] is None


def test_row_of_an_older_release_has_nulls(model, rows):
    old = {name: value for name, value in rows[0].items() if name not in ("already_left", "customer_value")}
    shown = row_resource(old, 3, model.card)
    assert (shown["already_left"], shown["customer_value"], shown["value_at_risk"]) == (None, None, None)


def test_found_and_read_rows_are_shown_the_same(model, result):
    path = result / "scores.parquet"
    for row in find_rows(path, RowFilter(), "file", start=0, at_most=20).rows:
        one = read_row(path, row["row_number"])
        assert row_resource(row, 3, model.card) == row_resource(one.rows[0], one.reasons, model.card)
