import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring import duplicates
from consumer_worker.scoring.duplicates import DuplicateIds
from consumer_worker.scoring.quality import FeatureTally
from consumer_worker.scoring.values import Notation, read_values
from ml_models.intake.disclosure import mask, mask_if_personal, printable
from ml_models.runtime import ChurnModel
from retainwise_contracts.results import QualityGrade
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import changed, customers, table


def tally_of(model: ChurnModel, name: str, texts: list[str]) -> FeatureTally:
    tally = FeatureTally(model.card.feature(name))
    tally.add(read_values(pl.DataFrame({name: texts}), model.card, Notation("."))[name])
    return tally


def as_trained(model: ChurnModel, name: str, count: int) -> list[str]:
    """Draw values that are distributed as in the training data."""
    feature = model.card.feature(name)
    shares = np.asarray(feature.statistics.shares) / sum(feature.statistics.shares)
    draws = np.repeat(np.arange(len(shares)), np.round(shares * count).astype(int))
    if feature.kind == "categorical":
        return [feature.categories[draw] for draw in draws]
    edges = (feature.statistics.min, *feature.statistics.edges)
    return [str(edges[draw]) for draw in draws]


def test_psi_is_the_sum_over_the_training_bins(model: ChurnModel):
    contract = model.card.feature("Contract")
    tally = tally_of(model, "Contract", ["Month-to-month"] * 90 + ["One year"] * 10 + ["Two year"] * 100)
    expected = sum(
        (actual - share) * math.log(actual / share)
        for actual, share in zip((0.45, 0.05, 0.5), contract.statistics.shares, strict=True)
    )
    assert tally.psi == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["tenure", "MonthlyCharges", "Contract", "OnlineBackup"])
def test_psi_is_nearly_nothing_for_data_as_in_training(model: ChurnModel, name: str):
    psi = tally_of(model, name, as_trained(model, name, 5_000)).psi
    assert psi is not None
    assert psi < 0.001


def test_psi_of_few_values_is_none(model: ChurnModel):
    assert tally_of(model, "Contract", ["One year"] * 99).psi is None
    assert tally_of(model, "Contract", ["One year"] * 100).psi is not None


def test_a_category_that_disappeared_gives_a_finite_psi(model: ChurnModel):
    psi = tally_of(model, "Contract", ["One year"] * 1_000).psi
    assert psi is not None
    assert 0.25 < psi < 20


def test_rates_are_of_the_rows(model: ChurnModel):
    quality = tally_of(model, "Contract", ["One year", "", "Weekly", "Weekly"]).quality()
    assert (quality.missing_rate, quality.unseen_rate, quality.out_of_range_rate) == (0.25, 0.5, 0)
    quality = tally_of(model, "tenure", ["1", "", "100", "500"]).quality()
    assert (quality.missing_rate, quality.unseen_rate, quality.out_of_range_rate) == (0.25, 0, 0.5)


def test_the_loss_is_what_the_model_was_not_trained_on(model: ChurnModel):
    assert tally_of(model, "tenure", ["1", "2", "3", "4"]).loss == 0
    assert tally_of(model, "tenure", ["1", "", "100", "bad"]).loss == 0.75
    assert tally_of(model, "Contract", ["One year", "", "Weekly", "Two year"]).loss == 0.5


def test_tallies_add_up_over_chunks(model: ChurnModel):
    texts = ["One year", "", "Weekly", "Daily"] * 60
    whole = tally_of(model, "Contract", texts)
    parts = FeatureTally(model.card.feature("Contract"))
    for start in range(0, len(texts), 7):
        chunk = pl.DataFrame({"Contract": texts[start : start + 7]})
        parts.add(read_values(chunk, model.card, Notation("."))["Contract"])
    assert parts.quality() == whole.quality()
    assert parts.unseen_values == whole.unseen_values


def test_a_file_as_in_training_is_good(score: ScoreBytes, model: ChurnModel):
    columns = {feature.name: as_trained(model, feature.name, 1_000) for feature in model.card.features}
    rows = min(map(len, columns.values()))
    draw = np.random.default_rng(1)
    frame = pl.DataFrame({name: draw.permutation(values)[:rows] for name, values in columns.items()})
    # Drawn one by one they would contradict each other: online security without internet.
    frame = frame.with_columns(
        pl.when(pl.col(implied.feature) == implied.category)
        .then(pl.lit(implied.means))
        .otherwise(pl.col(feature.name).replace(implied.means, implied.written))
        .alias(feature.name)
        for feature in model.card.features
        if feature.kind == "categorical" and (implied := feature.implied)
    )
    report, _ = score(frame.with_row_index("customer_id").write_csv())
    assert (report.summary.quality.grade, report.summary.quality.sentences) == (QualityGrade.GOOD, ())


def test_a_file_of_another_business_is_poor(score: ScoreBytes):
    rows = [dict(row, Contract="Freemium", PaymentMethod="Crypto") for row in customers(200)]
    quality = score(table(rows), confirmed=frozenset({"Contract"}))[0].summary.quality
    assert quality.grade == QualityGrade.POOR
    sentences = " ".join(quality.sentences)
    assert (
        "Payment method has a value the model has never seen, in 100.0% of the rows: “Crypto”." in sentences
    )


def test_scores_without_a_required_feature_are_poor_and_say_so_once(score: ScoreBytes, model: ChurnModel):
    for feature in map(model.card.feature, model.card.required):
        half = score(changed(feature.name, *["N/A"] * 5))[0].summary.quality
        assert "not reliable" not in " ".join(half.sentences)
        content = changed(feature.name, *["N/A"] * 6)
        quality = score(content, confirmed=frozenset({feature.name}))[0].summary.quality
        assert quality.grade == QualityGrade.POOR
        assert [sentence for sentence in quality.sentences if feature.label in sentence] == [
            f"{feature.label} is missing or unknown to the model in 60.0% of the rows. "
            "Without it the scores are not reliable."
        ]


def test_unseen_values_of_a_required_feature_are_named_in_its_one_sentence(score: ScoreBytes):
    content = changed("Contract", *["Weekly"] * 3, *["", "n/a", "null"])
    quality = score(content, confirmed=frozenset({"Contract"}))[0].summary.quality
    assert quality.grade == QualityGrade.POOR
    assert [sentence for sentence in quality.sentences if "Contract" in sentence] == [
        "Contract is missing or unknown to the model (“Weekly”) in 60.0% of the rows. "
        "Without it the scores are not reliable."
    ]


def unseen_sentences(score: ScoreBytes, column: str, *values: str) -> str:
    sentences = score(changed(column, *values))[0].summary.quality.sentences
    return " ".join(sentence for sentence in sentences if "never seen" in sentence)


def test_no_names_are_repeated_where_a_column_was_mistaken(score: ScoreBytes):
    for count in (5, 60):
        rows = [dict(row, PaymentMethod=f"Jane Doe {n}") for n, row in enumerate(customers(count))]
        quality = score(table(rows))[0].summary.quality
        assert f"has {count} values the model has never seen" in " ".join(quality.sentences)
        assert "Jane" not in quality.model_dump_json()


def test_few_unseen_values_among_known_ones_are_named(score: ScoreBytes):
    assert unseen_sentences(score, "PaymentMethod", "Crypto", "Barter", "Shells") == (
        "Payment method has 3 values the model has never seen, in 30.0% of the rows: "
        "“Barter”, “Crypto”, “Shells”."
    )


def test_values_that_are_most_of_a_column_and_each_its_own_are_only_counted(score: ScoreBytes):
    names = [f"Jane {letter}. Doe" for letter in "ABCDEF"]
    assert unseen_sentences(score, "PaymentMethod", *names) == (
        "Payment method has 6 values the model has never seen, in 60.0% of the rows. "
        "Check that this is the right column."
    )
    # One namesake among many names does not make categories of them.
    assert "“" not in unseen_sentences(score, "PaymentMethod", *names, names[0])


def test_values_that_repeat_are_named_of_many_unseen_ones(score: ScoreBytes):
    values = ["Crypto"] * 5 + ["Barter", "Shells", "Gold"]
    assert unseen_sentences(score, "PaymentMethod", *values).endswith(
        "has 4 values the model has never seen, in 80.0% of the rows: “Crypto” and 3 more."
    )


def test_what_looks_personal_is_masked(score: ScoreBytes):
    values = ("ann@mail.example", "+49 151 23456", "24 mo")
    sentences = unseen_sentences(score, "PaymentMethod", *values, *values)
    assert "“a*** (16 characters)”" in sentences
    assert "“+*** (13 characters)”" in sentences
    assert "“24 mo”" in sentences


def test_rejected_rows_are_counted_by_cause(score: ScoreBytes):
    sentence = score(changed("tenure", "x", "-1", "y"))[0].summary.quality.sentences[0]
    assert sentence == (
        "3 of 10 rows (30.0%) were not scored (not a number in “tenure”: 2; out of range in “tenure”: 1). "
        "Fix or remove them in rejected.csv and upload it again."
    )


@pytest.mark.parametrize("held", [10, 1_000_000])
def test_duplicate_ids_are_counted_in_memory_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
):
    monkeypatch.setattr(duplicates, "_HELD", held)
    ids = DuplicateIds(tmp_path)
    for chunk in (["a", "b", "c"], ["d", "a"], [str(n) for n in range(100)], ["a", "c"]):
        ids.add(pl.Series(chunk))
    assert ids.count() == (2, 5)
    ids.close()
    assert bool(list(tmp_path.iterdir())) == (held == 10)


def test_no_ids_are_no_duplicates(tmp_path: Path):
    assert DuplicateIds(tmp_path).count() == (0, 0)


@pytest.mark.parametrize(
    "value", ["", "-5", "1,5", "1500", "9999", "12345.67", "99999.99", "1,500", "12,345.67", "12.345,67"]
)
def test_numbers_of_the_size_of_a_tenure_or_charge_are_shown(value: str):
    assert mask(f" {value} ") == value


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("Jane Doe", "J*** (8 characters)"), ("a@b.example", "a*** (11 characters)"),
        ("4915112345678", "4*** (13 characters)"), ("5551234", "5*** (7 characters)"),
        ("555.1234", "5*** (8 characters)"), ("078051120", "0*** (9 characters)"),
        ("078.05.1120", "0*** (11 characters)"), ("12.05.80", "1*** (8 characters)"),
        ("\x00bad", "*** (4 characters)"), ("Bo", "*** (2 characters)"), (" x ", "*** (1 character)"),
    ],
)  # fmt: skip
def test_what_may_identify_a_person_is_masked(value: str, masked: str):
    assert mask(value) == masked


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("24 mo", "24 mo"), ("2024", "2024"), ("12345", "1*** (5 characters)"),
        ("99999.99", "9*** (8 characters)"), ("078051120", "0*** (9 characters)"),
        ("a@", "*** (2 characters)"),
    ],
)  # fmt: skip
def test_category_of_more_than_four_digits_is_masked(value: str, shown: str):
    assert mask_if_personal(value, 40) == shown


def test_what_is_shown_is_printable_and_short():
    assert printable("a\x00b\nc", 10) == "a\ufffdb\ufffdc"
    assert printable("x" * 50, 10) == "x" * 9 + "…"


def test_values_that_another_column_rules_out_are_said_and_less_known(score: ScoreBytes):
    rows = customers(200)
    without = [row for row in rows if row["InternetService"] == "No"]
    for row in without[:3]:
        row["TechSupport"] = "Yes"
    report, folder = score(table(rows))
    [sentence] = [text for text in report.summary.quality.sentences if "rules out" in text]
    assert "Internet service is “No”" in sentence
    assert "Tech support (3 rows)" in sentence
    known = pl.read_parquet(folder / "scores.parquet")["inputs_known"]
    assert known.round(6).lt(1.0).sum() == 3
