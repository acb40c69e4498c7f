"""What `scores.parquet` says of each customer's values, and what can be told from it and the card alone."""

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring import ScoringFailed
from consumer_worker.scoring.parquet import SCORES_PARQUET, WORKLIST_PARQUET
from consumer_worker.scoring.results import SCORES_CSV
from ml_models.card import CategoricalFeature, NumericFeature
from ml_models.runtime import ChurnModel
from ml_models.sentences import sentence
from ml_models.terms import explain
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.results import HIGH_FROM, ValueSummary
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import HEADERS, PLAIN, TEN, changed, customers, german, table


@pytest.fixture
def odd() -> list[dict[str, str]]:
    """Customers with missing and unfamiliar values among them."""
    draw = np.random.default_rng(3)
    rows = customers(600)
    for row in rows:
        for name in row:
            if name != "customerID" and draw.random() < 0.04:
                row[name] = "" if draw.random() < 0.5 or name in ("tenure", "MonthlyCharges") else "Something"
    return rows


def test_scores_are_explained_from_the_file_and_the_card_alone(
    score: ScoreBytes, model: ChurnModel, odd: list[dict[str, str]]
):
    _, folder = score(table(odd), reasons=5)
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    card = model.card
    told = 0
    for row in scores.iter_rows(named=True):
        values = {feature.name: row[f"value_{feature.name}"] for feature in card.features}
        explained = explain(card, values)
        assert explained.probability == pytest.approx(row["churn_probability"], abs=1e-6)
        effects = dict(explained.contributions)
        for rank in range(1, 6):
            name = row[f"reason_{rank}"]
            if name is None:
                continue
            assert row[f"reason_{rank}_effect"] == pytest.approx(effects[name], abs=1e-6)
            text = sentence(card.feature(name), values[name], effects[name])
            assert row[f"reason_{rank}_text"] == text
            told += text.endswith("scored as average in this respect")
    assert scores.height == 600
    assert told > 10


def test_values_are_those_the_model_read(score: ScoreBytes, model: ChurnModel):
    _, plain = score(PLAIN)
    _, other = score(german())
    scores = pl.read_parquet(plain / SCORES_PARQUET)
    for feature in model.card.features:
        values = scores[f"value_{feature.name}"]
        if isinstance(feature, NumericFeature):
            assert values.to_list() == [float(row[feature.name]) for row in TEN]
        else:
            assert values.dtype == pl.Enum(feature.categories)
    assert scores["value_Contract"].to_list() == [row["Contract"] for row in TEN]
    # Without internet, "No" is what that makes certain.
    implied = scores.filter(pl.col("value_InternetService") == "No")
    assert "No" not in set(implied["value_TechSupport"])
    columns = [name for name in scores.columns if name.startswith("value_")]
    assert pl.read_parquet(other / SCORES_PARQUET).select(columns).equals(scores.select(columns))


def test_unfamiliar_category_is_the_text_of_the_upload(score: ScoreBytes):
    _, folder = score(changed("PaymentMethod", " Barter ", "", "n/a"))
    values = pl.read_parquet(folder / SCORES_PARQUET)["value_PaymentMethod"]
    assert values[:3].to_list() == ["Barter", None, None]
    assert values[3] == TEN[3]["PaymentMethod"]


def test_missing_columns_have_no_values(score: ScoreBytes):
    headers = [header for header in HEADERS if header not in ("MonthlyCharges", "StreamingTV")]
    report, folder = score(table(TEN, headers))
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    assert scores["value_MonthlyCharges"].null_count() == scores["customer_value"].null_count() == 10
    assert set(scores["value_StreamingTV"]) <= {None, "No internet service"}
    assert pl.read_parquet(folder / WORKLIST_PARQUET)["value_at_risk"].null_count() == 10
    assert report.summary.value is None


def test_request_says_what_a_spelling_means_before_the_card_does(score: ScoreBytes):
    content = changed("Contract", "Flex 12", "flex_12", "Monthly", "-1", "—", "N/A")
    means = {"Flex 12": "One year", "monthly": "Two year", "—": "Month-to-month", "N/A": "One year"}
    report, folder = score(content, values={"Contract": means}, confirmed=frozenset({"Contract"}))
    values = pl.read_parquet(folder / SCORES_PARQUET)["value_Contract"].to_list()
    # Punctuation and case do not count, but a text without letters stands for itself only.
    assert values[:6] == ["One year", "One year", "Two year", "-1", "Month-to-month", "One year"]
    assert values[6:] == [row["Contract"] for row in TEN[6:]]
    plain, _ = score(content, confirmed=frozenset({"Contract"}))
    assert plain.summary.mean_probability != report.summary.mean_probability


def test_spelling_that_implies_is_what_the_request_says(score: ScoreBytes):
    content = changed("InternetService", *["Offline"] * 10)
    _, folder = score(content, values={"InternetService": {"Offline": "No"}})
    assert set(pl.read_parquet(folder / SCORES_PARQUET)["value_TechSupport"]) == {
        "No internet service",
        "Yes",
    }


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"Weather": {"sunny": "Yes"}}, "“Weather”, which is not a feature with categories"),
        ({"tenure": {"new": "0"}}, "“tenure”, which is not a feature with categories"),
        ({"Contract": {"Flex": "Weekly"}}, "“Weekly”, which is not one of its categories: Month-to-month,"),
    ],
)
def test_meanings_that_do_not_fit_the_model_are_refused(
    score: ScoreBytes, values: dict[str, dict[str, str]], says: str
):
    with pytest.raises(ScoringFailed, match=says) as caught:
        score(PLAIN, values=values)
    assert caught.value.code == FailureCode.INVALID_MAPPING


def test_customers_value_is_their_monthly_charge_by_default(score: ScoreBytes):
    report, folder = score(PLAIN, currency="€", customer_value_period="year")
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    assert scores["customer_value"].equals(scores["value_MonthlyCharges"].alias("customer_value"))
    high = scores.filter(pl.col("churn_probability") >= HIGH_FROM)
    assert report.summary.value == ValueSummary(
        feature="MonthlyCharges",
        period="month",
        currency="€",
        customers=10,
        total=round(scores["customer_value"].sum(), 2),
        at_risk=round(high["customer_value"].sum(), 2),
        expected_loss=round((scores["customer_value"] * scores["churn_probability"]).sum(), 2),
    )


AMOUNTS = ("1,200.50", "$300", "n/a", "(5.00)", "1e13", "12 %", "free", "", "0", "99.99")
READ = (1200.5, 300.0, None, None, None, None, None, None, 0.0, 99.99)


def test_customers_value_is_the_column_that_the_mapping_names(score: ScoreBytes):
    rows = [row | {"ACV": amount} for row, amount in zip(TEN, AMOUNTS, strict=True)]
    report, folder = score(
        table(rows, [*HEADERS, "ACV"]), mapping={"customer_value": "ACV"}, customer_value_period="year"
    )
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    assert scores["customer_value"].to_list() == list(READ)
    assert scores["value_MonthlyCharges"].to_list() == [float(row["MonthlyCharges"]) for row in TEN]
    value = report.summary.value
    assert value is not None
    assert (value.feature, value.period, value.currency) == ("customer_value", "year", None)
    assert (value.customers, value.total) == (4, 1600.49)
    mapped = {column.feature: column for column in report.summary.mapping}
    assert (mapped["customer_value"].header, mapped["customer_value"].method) == ("ACV", "explicit")
    assert "ACV" not in report.summary.unused_columns


def test_amounts_in_cents_and_with_decimal_commas_are_read(score: ScoreBytes):
    rows = [row | {"Umsatz (Cent)": "1.234,50"} for row in TEN]
    for row in rows:
        row["MonthlyCharges"] = row["MonthlyCharges"].replace(".", ",")
    content = table(rows, [*HEADERS[:-1], "Umsatz (Cent)"], delimiter=";")
    _, folder = score(content, mapping={"customer_value": "Umsatz (Cent)"})
    values = pl.read_parquet(folder / SCORES_PARQUET)["customer_value"].to_list()
    assert values == pytest.approx([12.345] * 10)


def test_value_of_customers_who_left_is_not_at_stake(score: ScoreBytes):
    rows = [row | {"Churn": "Yes" if n < 4 else "No"} for n, row in enumerate(TEN)]
    report, _ = score(table(rows, [*HEADERS, "Churn"]))
    value = report.summary.value
    assert value is not None
    assert value.customers == 6
    assert value.total == pytest.approx(sum(float(row["MonthlyCharges"]) for row in TEN[4:]), abs=0.01)


def test_histogram_counts_the_customers_who_have_not_left(score: ScoreBytes):
    rows = [row | {"Churn": "Yes" if n < 100 else "No"} for n, row in enumerate(customers(900))]
    report, folder = score(table(rows, [*HEADERS, "Churn"]), block_bytes=20_000)
    summary = report.summary
    probability = pl.read_parquet(folder / SCORES_PARQUET)["churn_probability"][100:].to_numpy()
    expected, _ = np.histogram(probability, bins=20, range=(0, 1))
    assert summary.histogram == tuple(expected.tolist())
    levels = summary.risk_distribution
    assert (levels.low, levels.medium, levels.high) == tuple(
        sum(summary.histogram[begin:end]) for begin, end in ((0, 6), (6, 12), (12, 20))
    )


def test_rejected_rows_have_no_value(score: ScoreBytes):
    report, folder = score(
        changed("tenure", "bad", "12", "bad"), mapping={"customer_value": "MonthlyCharges"}
    )
    values = pl.read_parquet(folder / SCORES_PARQUET)["customer_value"].to_list()
    assert values == [float(TEN[n]["MonthlyCharges"]) for n in (1, *range(3, 10))]
    assert report.summary.value is not None
    assert report.summary.value.customers == 8


def test_csv_has_the_same_bytes_with_and_without_a_value(score: ScoreBytes):
    _, plain = score(PLAIN)
    _, valued = score(PLAIN, mapping={"customer_value": "TotalCharges"}, currency="USD")
    assert (plain / SCORES_CSV).read_bytes() == (valued / SCORES_CSV).read_bytes()


def test_categories_of_the_model_need_no_escape(model: ChurnModel):
    """`scores.csv` escapes values only where a block has other texts than these."""
    for feature in model.card.features:
        if isinstance(feature, CategoricalFeature):
            assert all(category[0].isalnum() for category in feature.categories)
