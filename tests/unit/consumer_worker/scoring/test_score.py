import threading

import polars as pl
import pytest

from consumer_worker.scoring import ScoringCancelled, ScoringFailed, ScoringReport
from ml_models.runtime import ChurnModel
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.results import QualityGrade, RiskLevel, RowRejection, risk_level
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import HEADERS, PLAIN, changed, customers, table


class CancelledAfter(threading.Event):
    """Set once it has been looked at this often."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_cancelling_ends_between_two_blocks_and_leaves_no_parts(score: ScoreBytes, tmp_path):
    cancelled = CancelledAfter(2)
    with pytest.raises(ScoringCancelled):
        score(table(customers(500)), block_bytes=2_000, cancelled=cancelled)
    assert cancelled.looks == -1
    assert not [path for path in tmp_path.rglob("*") if "parts" in path.name]
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_file_larger_than_allowed_fails(score: ScoreBytes):
    with pytest.raises(ScoringFailed) as caught:
        score(PLAIN, max_bytes=100)
    assert caught.value.code == FailureCode.FILE_TOO_LARGE
    assert caught.value.detail == f"It has {len(PLAIN):,} bytes; the limit is 100."


def test_half_bad_rows_are_scored_and_one_more_is_not(score: ScoreBytes):
    report, _ = score(changed("tenure", *["Doe"] * 5))
    assert (report.rows.scored, report.rows.rejected) == (5, 5)
    assert report.summary.quality.grade == QualityGrade.POOR
    with pytest.raises(ScoringFailed) as caught:
        score(changed("tenure", "1", *["Doe"] * 6))
    assert caught.value.detail == (
        "6 of 10 rows cannot be scored (not a number in “tenure”: 6, first in row 3: “D*** (3 characters)”). "
        "Enter a plain number of months."
    )


def test_too_many_bad_rows_fail_with_the_hint_of_the_most_frequent_cause(score: ScoreBytes):
    with pytest.raises(ScoringFailed) as caught:
        score(changed("tenure", "Doe", "Doe", *["-1"] * 4), confirmed=frozenset({"tenure"}))
    assert caught.value.detail == (
        "6 of 10 rows cannot be scored (out of range in “tenure”: 4, first in row 4: “-1”; "
        "not a number in “tenure”: 2, first in row 2: “D*** (3 characters)”). "
        "Enter a value from 0 to 1,200 months."
    )


@pytest.mark.parametrize(
    ("unit", "of_unit", "in_unit"),
    [
        ("months", " of months", " months"),
        ("currency", "", ""),
        ("percent", " of percent", " percent"),
        (None, "", ""),
    ],
)
def test_hints_name_the_unit_where_it_has_a_word(
    score: ScoreBytes,
    model: ChurnModel,
    monkeypatch: pytest.MonkeyPatch,
    unit: str | None,
    of_unit: str,
    in_unit: str,
):
    features = [
        feature.model_copy(update={"unit": unit}) if feature.name == "tenure" else feature
        for feature in model.card.features
    ]
    monkeypatch.setattr(model, "card", model.card.model_copy(update={"features": tuple(features)}))
    _, folder = score(changed("tenure", "Doe", "-1"))
    assert pl.read_csv(folder / "rejected.csv", infer_schema=False)["rejected_hint"].to_list() == [
        f"Enter a plain number{of_unit}.",
        f"Enter a value from 0 to 1,200{in_unit}.",
    ]


@pytest.mark.parametrize("word", ["Total", " GRAND TOTAL ", "Summe", "total:"])
@pytest.mark.parametrize("cells", [HEADERS[1:], HEADERS[1:3]], ids=["as wide as the header", "short"])
def test_a_row_of_totals_is_no_customer(score: ScoreBytes, word: str, cells: list[str]):
    row = ",".join([word, *("35" if header == "tenure" else "" for header in cells)])
    report, folder = score(PLAIN + row + "\n")
    assert (report.rows.scored, report.rows.rejected) == (10, 1)
    rejected = pl.read_csv(folder / "rejected.csv", infer_schema=False).row(0, named=True)
    assert rejected["rejected_code"] == RowRejection.MISSING_ID
    assert rejected["rejected_hint"] == "This is a row of totals, not a customer. Remove it."


def test_a_customer_whose_id_begins_like_a_total_is_scored(score: ScoreBytes):
    report, _ = score(changed("customerID", "Total Energies", "sum41", "Gesamtschule 3"))
    assert report.rows.rejected == 0


def test_summary_covers_all_rows(score: ScoreBytes):
    report, folder = score(table(customers(1_000)), block_bytes=9_000)
    summary = report.summary
    scores = pl.read_parquet(folder / "scores.parquet")
    probability = scores["churn_probability"]
    assert summary.mean_probability == pytest.approx(probability.mean(), abs=1e-6)
    assert summary.expected_churners == pytest.approx(probability.sum(), abs=1e-3)
    levels = scores["risk_level"].value_counts()
    counts = dict(zip(levels["risk_level"], levels["count"], strict=True))
    assert summary.risk_distribution.model_dump() == {
        level.value.lower(): counts.get(level.value, 0)
        for level in (RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH)
    }
    assert scores["risk_level"].to_list() == [risk_level(value).value for value in probability]
    top = scores.sort(["churn_probability", "row_number"], descending=[True, False]).head(5)
    assert [customer.row_number for customer in summary.highest_risk] == top["row_number"].to_list()
    first = summary.highest_risk[0]
    assert first.customer_id == top["customer_id"][0]
    assert [reason.text for reason in first.reasons] == [top[f"reason_{rank}_text"][0] for rank in (1, 2, 3)]
    assert [reason.effect for reason in first.reasons] == pytest.approx(
        [top[f"reason_{rank}_effect"][0] for rank in (1, 2, 3)], abs=1e-6
    )


def test_first_rows_are_listed_of_customers_with_the_same_risk(score: ScoreBytes):
    twins = [dict(customers(1)[0], customerID=str(number)) for number in range(60)]
    highest = score(table(twins), block_bytes=2_000)[0].summary.highest_risk
    assert [customer.row_number for customer in highest] == [2, 3, 4, 5, 6]


def test_drivers_are_ranked_by_their_weight_over_the_file(score: ScoreBytes, model: ChurnModel):
    terms = len(model.card.terms)
    report, folder = score(table(customers(200)), reasons=terms)
    scores = pl.read_parquet(folder / "scores.parquet")
    effects = pl.concat(
        scores.select(feature=f"reason_{rank}", effect=f"reason_{rank}_effect")
        for rank in range(1, terms + 1)
    ).drop_nulls()
    for driver in report.summary.drivers:
        own = effects.filter(pl.col("feature") == driver.feature)["effect"]
        assert driver.mean_absolute_effect == pytest.approx(own.abs().sum() / 200, abs=1e-5)
        assert driver.mean_effect == pytest.approx(own.sum() / 200, abs=1e-5)
    weights = [driver.mean_absolute_effect for driver in report.summary.drivers]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0


def test_summary_says_how_the_file_was_read(score: ScoreBytes):
    rows = [dict(row, tenure=str(years)) for years, row in enumerate(customers(3))]
    headers = table(rows, delimiter=";").replace("tenure", "Tenure (years)").encode("utf-16")
    report, _ = score(headers)
    source = report.summary.source
    assert (source.encoding, source.delimiter, source.header_row) == ("utf-16-le", ";", 1)
    mapped = {column.feature: column for column in report.summary.mapping}
    assert (mapped["tenure"].header, mapped["tenure"].conversion) == ("Tenure (years)", "years to months")
    assert mapped["customer_id"].header == "customerID"
    assert report.summary.unused_columns == ("gender", "Partner", "Dependents", "TotalCharges")


def test_several_files_score_at_once_as_they_do_alone(score: ScoreBytes):
    contents = [table(customers(300, seed)) for seed in range(4)]
    alone = [score(content, block_bytes=4_000)[0] for content in contents]
    together: dict[int, ScoringReport] = {}

    def run(number: int) -> None:
        together[number] = score(contents[number], block_bytes=4_000)[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(4)] == alone


def test_second_header_in_another_order_fails(score: ScoreBytes):
    header, first, *rest = PLAIN.splitlines()
    swapped = ",".join(["customerID", *reversed(header.split(",")[1:])])
    report, _ = score("\n".join([header, first, header, *rest]))
    assert report.rows.rejected == 1
    with pytest.raises(ScoringFailed) as caught:
        score("\n".join([header, first, swapped, *rest]))
    assert caught.value.code == FailureCode.NOT_A_CSV
    assert "row 3 is another header" in caught.value.detail


def test_rare_number_does_not_change_what_the_others_mean(score: ScoreBytes):
    rows = customers(300)
    with_phone = [row for row in rows if row["PhoneService"] == "Yes"]
    for row in rows:
        row["MultipleLines"] = "1" if row["MultipleLines"] == "Yes" else "0"
    with_phone[0]["MultipleLines"] = "2"
    _, folder = score(table(rows))
    known = pl.read_parquet(folder / "scores.parquet")["inputs_known"]
    assert known.round(6).eq(1.0).sum() == 299
