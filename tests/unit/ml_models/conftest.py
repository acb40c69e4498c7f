"""A synthetic customer base in the form the training expects, small enough to train on in a second."""

from pathlib import Path

import numpy as np
import pytest

from ml_models.card import NumericSpecification
from ml_models.telco_churn import LABEL, PROTECTED, SPECIFICATION, TOTAL_CHARGES
from ml_models.training.data import TrainingSet, read_training_set
from ml_models.training.models import AdditiveModel

ROWS = 400


@pytest.fixture(scope="session")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(11)
    columns: dict[str, list[str]] = {}
    for feature in (*SPECIFICATION, *PROTECTED):
        if isinstance(feature, NumericSpecification):
            continue
        columns[feature.name] = list(random.choice(feature.categories, ROWS))
    tenure = random.integers(0, 73, ROWS)
    charges = np.round(random.uniform(18, 119, ROWS), 2)
    columns["tenure"] = [str(months) for months in tenure]
    columns["MonthlyCharges"] = [f"{charge:.2f}" for charge in charges]
    columns[TOTAL_CHARGES.name] = [
        f"{total:.2f}" if total else " " for total in np.round(tenure * charges, 2)
    ]
    rolling = np.array(columns["Contract"]) == "Month-to-month"
    leaves = random.random(ROWS) < 1 / (1 + np.exp(tenure / 20 - charges / 60 - rolling))
    columns[LABEL] = ["Yes" if leaving else "No" for leaving in leaves]
    path = tmp_path_factory.mktemp("training") / "customers.csv"
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def training_set(training_file: Path) -> TrainingSet:
    return read_training_set(training_file, (*SPECIFICATION, *PROTECTED, TOTAL_CHARGES))


@pytest.fixture(scope="session")
def trained_model(training_set: TrainingSet) -> AdditiveModel:
    return AdditiveModel(training_set.select(SPECIFICATION), seed=1)
