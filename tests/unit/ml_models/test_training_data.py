from pathlib import Path

import numpy as np
import pytest

from ml_models.card import NumericStatistics
from ml_models.telco_churn import SPECIFICATION, TOTAL_CHARGES
from ml_models.training.data import TrainingSet, read_training_set
from ml_models.training.errors import DataNotUsable
from ml_models.training.statistics import describe

FEATURES = {feature.name: feature for feature in (*SPECIFICATION, TOTAL_CHARGES)}


def read(path: Path, content: str, *names: str) -> TrainingSet:
    path.write_text(content)
    return read_training_set(path, [FEATURES[name] for name in names])


def test_values_are_encoded_as_the_model_reads_them(tmp_path):
    content = "Churn,Contract,tenure,TotalCharges\nYes,One year,3,\nNo,m2m, 4 , \nNo,,5,7.5\n"
    data = read(tmp_path / "data.csv", content, "tenure", "Contract", "TotalCharges")
    nan = np.nan
    np.testing.assert_array_equal(
        data.features, np.array([[3, 1, nan], [4, 0, nan], [5, nan, 7.5]], dtype=np.float32)
    )
    assert data.churned.tolist() == [1, 0, 0]
    assert data.select([FEATURES["Contract"]]).features.shape == (3, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "could not be read as CSV"),
        ("tenure,Contract\n1,One year\n", "lacks the columns Churn"),
        ("Churn\nYes\nNo\n", "lacks the columns Contract, tenure"),
        ("tenure,Contract,Churn\nx,One year,Yes\n", "tenure has 1 invalid values.*'x'"),
        ("tenure,Contract,Churn\n-1,One year,Yes\n", "tenure has 1 invalid values"),
        ("tenure,Contract,Churn\ninf,One year,Yes\n", "tenure has 1 invalid values"),
        ("tenure,Contract,Churn\n1,Weekly,Yes\n", "Contract has 1 invalid values.*'Weekly'"),
        ("tenure,Contract,Churn\n1,One year,Maybe\n", "Churn must be No or Yes, found 'Maybe'"),
        ("tenure,Contract,Churn\n1,One year,\n", "Churn must be No or Yes, found None"),
        ("tenure,Contract,Churn\n1,One year,Yes\n", "must have both"),
    ],
)
def test_data_that_is_not_understood_stops_the_training(tmp_path, content, message):
    with pytest.raises(DataNotUsable, match=message):
        read(tmp_path / "data.csv", content, "tenure", "Contract")


def test_a_file_that_does_not_exist_stops_the_training(tmp_path):
    with pytest.raises(DataNotUsable, match="could not be read"):
        read_training_set(tmp_path / "none.csv", SPECIFICATION)


def test_statistics_of_a_number():
    values = np.array([1, 1, 1, 1, 1, 2, 3, 4, 5, 6, np.nan, np.nan], dtype=np.float32)
    statistics = describe(FEATURES["tenure"], values, required=False).statistics
    assert isinstance(statistics, NumericStatistics)
    assert statistics.missing_rate == pytest.approx(2 / 12, abs=1e-6)
    assert (statistics.min, statistics.max, statistics.mean) == (1, 6, 2.5)
    assert statistics.edges == (1.5, 2.5, 3.5, 4.5)  # between the values, none where half of them lie
    assert statistics.shares == (0.5, 0.1, 0.1, 0.1, 0.2)


def test_statistics_of_a_number_that_never_changes():
    statistics = describe(FEATURES["tenure"], np.full(5, 3, dtype=np.float32), required=False).statistics
    assert isinstance(statistics, NumericStatistics)
    assert (statistics.edges, statistics.shares) == ((), (1.0,))


def test_statistics_of_a_category():
    statistics = describe(
        FEATURES["Contract"], np.array([0, 0, 2, np.nan], dtype=np.float32), required=False
    ).statistics
    assert statistics.missing_rate == 0.25
    assert statistics.shares == pytest.approx((2 / 3, 0, 1 / 3), abs=1e-6)
