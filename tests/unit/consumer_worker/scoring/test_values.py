from typing import Literal

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring.values import (
    CategoricalValues,
    Notation,
    NumericValues,
    read_numbers,
    read_values,
)
from ml_models.card import UNSEEN_CODE, CategoricalFeature, NumericFeature
from ml_models.intake.numbers import NotANumber, is_missing, parse_number
from ml_models.runtime import ChurnModel

NUMBERS = [
    ("29.85", ".", 29.85), ("29,85", ",", 29.85), ("1.234,56", ",", 1234.56), ("1,234.56", ".", 1234.56),
    ("1.234", ",", 1234), ("1,234", ".", 1234), ("1.234", ".", 1.234), ("1,234", ",", 1.234),
    ("29,85", ".", 29.85), ("29.85", ",", 29.85), ("1.234.567", ",", 1_234_567),
    ("12,34,567", ".", 1_234_567), ("1,234,567", ",", 1_234_567), ("$29.99", ".", 29.99),
    ("29,99 €", ",", 29.99), ("€ 29,99", ",", 29.99), ("USD 1,000", ".", 1000), ("1 000 kr", ".", 1000),
    ("1'234.50", ".", 1234.5), ("1\u202f234,5", ",", 1234.5), ("-$5.00", ".", -5), ("(5.00)", ".", -5),
    ("5-", ".", -5), ("\u22125", ".", -5), ("'-5", ".", -5), ("+7", ".", 7), (".5", ".", 0.5),
    (",5", ",", 0.5), ("5.", ".", 5), ("1E+03", ".", 1000), ("1,5e2", ",", 150), ("12 %", ".", 0.12),
    ("12,5%", ",", 0.125), (" 42 ", ".", 42), ("007", ".", 7),
]  # fmt: skip
NO_NUMBERS = [
    "abc",
    "12a",
    "1.2.3",
    "1,23,4",
    "--5",
    "5 apples",
    "inf",
    "1e999",
    "0x10",
    "1_000",
    "١٢",
    "1" * 400,
]
MISSING = [
    "",
    " ",
    "N/A",
    "n/a",
    "NA",
    "null",
    "NULL",
    "None",
    "NaN",
    "-",
    "\u2014",
    "?",
    "#N/A",
    "Unknown",
    "\\N",
    "#NV",
]


@pytest.fixture
def tenure(model: ChurnModel) -> NumericFeature:
    feature = model.card.feature("tenure")
    assert isinstance(feature, NumericFeature)
    return feature


@pytest.mark.parametrize(("text", "decimal", "value"), NUMBERS)
def test_numbers_are_read_as_they_are_written(text: str, decimal: Literal[".", ","], value: float):
    assert parse_number(text, decimal) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("decimal", [".", ","])
def test_what_is_no_number_is_refused(text: str, decimal: Literal[".", ","]):
    with pytest.raises(NotANumber):
        parse_number(text, decimal)


@pytest.mark.parametrize("text", MISSING)
def test_words_for_missing_are_no_numbers_and_no_faults(text: str):
    assert is_missing(text)
    assert parse_number(text, ".") is None


def test_a_percentage_is_read_by_the_features_unit():
    assert parse_number("12 %", ".", percent=1.0) == 12
    with pytest.raises(NotANumber):
        parse_number("12 %", ".", percent=None)


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_column_reads_as_its_cells_do(decimal: Literal[".", ","], tenure: NumericFeature):
    anything = tenure.model_copy(update={"unit": None, "valid_min": -1e12, "valid_max": 1e12})
    texts = [text.strip() for text, _, _ in NUMBERS] + NO_NUMBERS + [text.strip() for text in MISSING]
    column = read_numbers(pl.Series("tenure", texts), anything, decimal, factor=1.0)
    for row, text in enumerate(texts):
        try:
            value = parse_number(text, decimal)
        except NotANumber:
            assert column.not_a_number[row], text
            assert np.isnan(column.values[row]), text
        else:
            assert not column.not_a_number[row], text
            assert column.values[row] == (pytest.approx(np.nan, nan_ok=True) if value is None else value), (
                text
            )


def test_impossible_values_are_marked_and_not_read(tenure: NumericFeature):
    column = read_numbers(pl.Series("tenure", ["0", "-1", "100", "99999"]), tenure, ".", factor=12.0)
    assert column.out_of_range.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(column.encoded, np.array([0, np.nan, 1200, np.nan], np.float32))


def test_categories_have_codes_and_so_have_missing_and_unseen_ones(model: ChurnModel):
    texts = pl.DataFrame({"Contract": ["Two year", "MONTH_TO_MONTH", "n/a", "Weekly", "", "Weekly", "m2m"]})
    contract = read_values(texts, model.card, Notation("."))["Contract"]
    assert isinstance(contract, CategoricalValues)
    expected = [2, 0, np.nan, UNSEEN_CODE, np.nan, UNSEEN_CODE, 0]
    np.testing.assert_array_equal(contract.encoded, np.array(expected, np.float32))
    values, positions = contract.distinct(np.arange(7))
    assert [values[position] for position in positions] == [
        "Two year", "Month-to-month", None, "Weekly", None, "Weekly", "Month-to-month"
    ]  # fmt: skip


def test_a_feature_without_a_column_is_missing_everywhere(model: ChurnModel):
    values = read_values(pl.DataFrame({"tenure": ["1", "2"]}), model.card, Notation("."))
    assert list(values) == [feature.name for feature in model.card.features]
    assert isinstance(values["tenure"], NumericValues)
    assert all(of_rows.missing.all() for name, of_rows in values.items() if name != "tenure")


def test_a_word_is_read_with_the_feature_that_makes_it_certain(model: ChurnModel):
    texts = pl.DataFrame(
        {
            "InternetService": ["No", "No", "No", "DSL", ""],
            "OnlineSecurity": ["No", "No internet service", "Yes", "No", "No"],
            "PhoneService": ["No", "Yes", "No", "", "No"],
            "MultipleLines": ["No", "No", "", "No", "no"],
        }
    )
    values = read_values(texts, model.card, Notation("."))

    def words(name):
        of_feature = values[name]
        assert isinstance(of_feature, CategoricalValues)
        return [of_feature.texts[position] for position in of_feature.positions]

    none = "No internet service"
    assert words("OnlineSecurity") == [none, none, "Yes", "No", "No"]
    assert words("MultipleLines") == [
        *("No phone service", "No", "No phone service", "No", "No phone service")
    ]
    security = model.card.feature("OnlineSecurity")
    assert isinstance(security, CategoricalFeature)
    assert values["OnlineSecurity"].encoded.tolist() == [
        security.categories.index(word) for word in words("OnlineSecurity") if word
    ]


@pytest.mark.parametrize("text", ["-1", "+1", "(1)", "1-", "0%", "0 %", "\u22121", "-1 month"])
def test_a_number_with_a_sign_is_no_word_for_yes_or_no(model: ChurnModel, text):
    for name in ("PaperlessBilling", "Contract"):
        feature = model.card.feature(name)
        assert isinstance(feature, CategoricalFeature)
        assert feature.category(text) is None


def test_currency_is_removed_on_either_side_of_spaces():
    assert parse_number("-  $ 5", ".") == -5
    assert parse_number("$" + " " * 20 + "5" + " " * 20 + "€", ".") == 5


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("27 mths", 27), ("2 years 3 months", 27), ("2y3m", 27), ("P2Y3M", 27), ("2 Jahre und 3 Monate", 27),
        ("1 an, 1 mois", 13), ("2.5 years", 30), ("0 months", 0),
    ],
)  # fmt: skip
def test_durations_are_read_as_months(tenure: NumericFeature, text: str, months: float):
    [read] = read_numbers(pl.Series("tenure", [text]), tenure, ".", 1.0).values
    assert read == pytest.approx(months)


def test_unit_in_cell_overrides_unit_of_header(tenure: NumericFeature):
    assert read_numbers(pl.Series("tenure", ["2", "6 months"]), tenure, ".", 12.0).values.tolist() == [24, 6]


@pytest.mark.parametrize(
    "text", ["0-12 months", "12+ months", "-3 months", "3 apples", "May 2019", "P", "2 y 3"]
)
def test_other_text_is_no_duration(tenure: NumericFeature, text: str):
    assert read_numbers(pl.Series("tenure", [text]), tenure, ".", 1.0).not_a_number.all()


def test_amounts_are_not_durations_and_name_their_currencies(model: ChurnModel):
    charges = model.card.feature("MonthlyCharges")
    assert isinstance(charges, NumericFeature)
    texts = pl.Series("MonthlyCharges", ["$5", "USD 6", "7 eur", "8", "9 months"])
    values = read_numbers(texts, charges, ".", 1.0)
    assert values.currencies == {"$", "€"}
    assert values.not_a_number.tolist() == [False, False, False, False, True]


def test_contract_is_read_from_its_duration(model: ChurnModel):
    texts = pl.DataFrame({"Contract": ["12 mths", "2 yrs", "1 mth", "18 mths"]})
    contract = read_values(texts, model.card, Notation("."))["Contract"]
    assert contract.encoded.tolist() == [1, 2, 0, UNSEEN_CODE]
