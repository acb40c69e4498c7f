"""Columns that cannot be what the model was trained on are refused, and what is weak says so."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring import ScoringFailed
from consumer_worker.scoring.plausibility import ValueSample
from ml_models.runtime import ChurnModel
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.results import QualityGrade
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import changed, customers, table

MANY = 400
Write = Callable[[str], str]


def refusal(score: ScoreBytes, content: str) -> tuple[FailureCode, str]:
    with pytest.raises(ScoringFailed) as caught:
        score(content)
    return caught.value.code, caught.value.detail


def tenure_as(write: Write, header: str = "tenure") -> str:
    rows = [dict(row, tenure=write(str(n * 73 // MANY))) for n, row in enumerate(customers(MANY))]
    return table(rows).replace("tenure", header, 1)


@pytest.mark.parametrize(
    ("write", "likely"),
    [
        (lambda months: f"{float(months) * 30.4375:.0f}", "look like days: add the unit to the header"),
        (lambda months: f"{41_000 + 13 * int(months)}", "look like dates"),
        (lambda months: f"{1950 + int(months) // 2}", "look like dates"),
        (lambda months: f"{2_000_000_000_000 + int(months)}", "Convert the column to months."),
    ],
)
def test_numbers_out_of_range_are_refused_with_what_they_look_like(
    score: ScoreBytes, write: Write, likely: str
):
    code, detail = refusal(score, tenure_as(write))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    assert likely in detail
    for part in ("Column “tenure” (Tenure)", "0 to 72 months", "such as", "first in row ", "confirm tenure"):
        assert part in detail


def test_years_in_whole_numbers_are_refused_as_years(score: ScoreBytes, model: ChurnModel):
    draw = np.random.default_rng(8)
    statistics = model.card.feature("tenure").statistics
    edges = np.array([0.0, *statistics.edges, 72.0])  # type: ignore[union-attr]  # of a number
    shares = np.array(statistics.shares)
    bins = draw.choice(len(shares), MANY, p=shares / shares.sum())
    months = draw.uniform(edges[bins], edges[bins + 1])
    rows = [dict(row, tenure=str(int(own // 12))) for row, own in zip(customers(MANY), months, strict=True)]
    code, detail = refusal(score, table(rows))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    assert "as “tenure (years)”" in detail
    report, _ = score(table(rows).replace("tenure", "tenure (years)", 1))
    assert report.rows.scored == len(rows)


def test_unit_in_the_header_can_be_the_wrong_one(score: ScoreBytes):
    code, detail = refusal(score, tenure_as(str, "tenure (years)"))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    assert "look like months: change the unit in the header to months" in detail


def test_half_is_scored_more_is_refused_and_confirmed_is_scored(score: ScoreBytes):
    assert score(changed("tenure", *["400"] * 5))[0].rows.scored == 10
    code, _ = refusal(score, changed("tenure", *["400"] * 6))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    report, _ = score(changed("tenure", *["400"] * 6), confirmed=frozenset({"tenure"}))
    assert (report.rows.scored, report.summary.quality.grade) == (10, QualityGrade.FAIR)


def test_rows_rejected_for_the_column_count(score: ScoreBytes):
    code, detail = refusal(score, changed("tenure", "-1", "5000", "Doe", "400", "400", "400"))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    assert "is not a number in 10.0% of the rows" in detail
    assert "in 50.0% of the rows" in detail


def test_words_of_another_trade_are_refused_with_those_the_model_knows(score: ScoreBytes):
    rows = [dict(row, Contract="Basic" if n % 2 else "Pro") for n, row in enumerate(customers(20))]
    code, detail = refusal(score, table(rows))
    assert code == FailureCode.IMPLAUSIBLE_VALUES
    assert "does not know in 100.0% of the rows (“Basic”, “Pro”), first in row 2." in detail
    assert "Month-to-month, One year or Two year" in detail


def test_names_in_place_of_categories_are_not_repeated(score: ScoreBytes):
    rows = [dict(row, Contract=f"Jane Doe {n}") for n, row in enumerate(customers(20))]
    assert "Jane" not in refusal(score, table(rows))[1]


@pytest.mark.parametrize("name", ["tenure", "Contract", "InternetService"])
def test_empty_required_column_is_as_an_absent_one(score: ScoreBytes, name: str):
    code, detail = refusal(score, changed(name, *["n/a"] * 10))
    assert code == FailureCode.REQUIRED_COLUMNS_MISSING
    assert f"“{name}” ({name})" in detail


def test_dates_are_refused_with_how_to_convert_them(score: ScoreBytes):
    code, detail = refusal(score, changed("tenure", *["2019-05-01", "1 May 2019", "01.05.2019"] * 3))
    assert code == FailureCode.TOO_MANY_BAD_ROWS
    assert "a date, not a number, in “tenure”: 9, first in row 2: “2*** (10 characters)”" in detail
    assert "Convert the date to a number of months, for months those from the date until today." in detail


def test_sample_is_the_same_however_the_rows_are_divided():
    values = np.arange(100_000.0)
    whole, parts = ValueSample(), ValueSample()
    whole.add(values)
    for part in np.split(values, [1, 5_000, 5_001, 77_777]):
        parts.add(part)
    assert whole.values.tolist() == parts.values.tolist()
    assert len(whole.values) > 5_000


def test_share_of_known_inputs_is_that_of_the_weights(score: ScoreBytes, model: ChurnModel):
    _, folder = score(changed("tenure", "", "400", "5"))
    weights = {term.feature: term.importance for term in model.card.terms}
    expected = 1 - weights["tenure"] / sum(weights.values())
    assert pl.read_parquet(folder / "scores.parquet")["inputs_known"].to_list() == pytest.approx(
        [expected, expected, *[1.0] * 8]
    )


def test_missing_required_values_are_counted_in_a_sentence(score: ScoreBytes):
    assert score(changed("tenure", ""))[0].summary.quality.sentences == (
        "Tenure is missing for 1 of 10 customers (10.0%). They are scored as average in this respect, "
        "and their inputs_known is lower.",
    )


def with_churn(values: list[str], header: str = "Churn") -> str:
    rows = [{**row, header: value} for row, value in zip(customers(len(values)), values, strict=True)]
    return table(rows, list(rows[0]))


def test_those_who_left_are_marked_and_left_out_of_the_summary(score: ScoreBytes):
    values = ["Yes", "No", "", "?", "no idea", "No"] * 10
    report, folder = score(with_churn(values), block_bytes=2_000)
    summary = report.summary
    scores = pl.read_parquet(folder / "scores.parquet")
    assert scores["already_left"].to_list() == [value == "Yes" for value in values]
    remaining = scores.filter(~pl.col("already_left"))
    assert summary.already_left == 10
    assert summary.mean_probability == pytest.approx(remaining["churn_probability"].mean(), abs=1e-6)
    assert summary.expected_churners == pytest.approx(remaining["churn_probability"].sum(), abs=1e-3)
    distribution = summary.risk_distribution
    assert distribution.low + distribution.medium + distribution.high == 50
    top = remaining.sort(["churn_probability", "row_number"], descending=[True, False]).head(5)
    assert [customer.row_number for customer in summary.highest_risk] == top["row_number"].to_list()
    assert [customer.customer_id for customer in summary.highest_risk] == top["customer_id"].to_list()
    text = " ".join(summary.quality.sentences)
    assert "10 customers have already left, as “Churn” says." in text
    assert "“Churn” does not say in 10 rows whether the customer left" in text


@pytest.mark.parametrize("block_bytes", [1_000, 1 << 20])
def test_outcome_column_that_says_something_else_is_not_used(score: ScoreBytes, block_bytes: int):
    values = ["Yes"] * 20 + ["parcel sent", "parcel lost"] * 20
    report, folder = score(with_churn(values), block_bytes=block_bytes)
    assert not pl.read_parquet(folder / "scores.parquet")["already_left"].any()
    assert "Column “Churn” was not used" in " ".join(report.summary.quality.sentences)


def test_file_of_people_who_all_left_has_nobody_to_call(score: ScoreBytes):
    summary = score(with_churn(["Yes"] * 10))[0].summary
    assert (summary.already_left, summary.highest_risk, summary.mean_probability) == (10, (), 0.0)


@pytest.mark.parametrize("block_bytes", [1_000, 1 << 20])
def test_unit_of_numbers_is_decided_by_the_whole_file(score: ScoreBytes, block_bytes: int):
    months = {"Month-to-month": "1", "One year": "12", "Two year": "24"}
    rows = sorted(customers(60), key=lambda row: row["Contract"])
    _, folder = score(table(rows))
    numbered = table([dict(row, Contract=months[row["Contract"]]) for row in rows])
    _, other = score(numbered, block_bytes=block_bytes)
    assert (
        pl.read_parquet(folder / "scores.parquet")["churn_probability"].to_list()
        == pl.read_parquet(other / "scores.parquet")["churn_probability"].to_list()
    )


def test_garbled_ids_are_counted_and_cap_the_grade(score: ScoreBytes):
    quality = score(changed("customerID", "MÃ¼ller", "Ann"))[0].summary.quality
    assert quality.grade == QualityGrade.FAIR
    assert quality.sentences[0].startswith("1 customer ID looks garbled")


@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_rows_in_quotes_are_scored_as_rows(score: ScoreBytes, block_bytes: int):
    _, folder = score(table(customers(40)))
    wrapped = "".join(f'"{line}"\n' for line in table(customers(40)).splitlines())
    report, other = score(wrapped, block_bytes=block_bytes)
    assert report.rows.scored == 40
    assert pl.read_parquet(folder / "scores.parquet").equals(pl.read_parquet(other / "scores.parquet"))
