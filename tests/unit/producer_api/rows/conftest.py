"""Results as the worker writes them."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumer_worker.scoring import ScoringReport, ScoringRequest, score_file
from ml_models.runtime import ChurnModel, load_model

Score = Callable[..., tuple[ScoringReport, Path]]


@pytest.fixture(scope="session")
def model() -> ChurnModel:
    return load_model("telco-churn@1.0.0")


@pytest.fixture(scope="session")
def score(model, tmp_path_factory) -> Score:
    """Score a file's content; returns the report and the folder of the results."""

    def score_bytes(content: str | bytes, **options: Any) -> tuple[ScoringReport, Path]:
        folder = tmp_path_factory.mktemp("result")
        source = folder / "upload"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        request = ScoringRequest(uuid.UUID(int=7), "ab" * 32, **options)
        return score_file(source, folder, model, request, cancelled=threading.Event()), folder

    return score_bytes


@pytest.fixture(scope="session")
def customers() -> bytes:
    """2,000 customers; some have left, some have no charges, two have one id."""
    lines = ["customerID,tenure,Contract,MonthlyCharges,InternetService,Churn"]
    for number in range(2_000):
        name = f"c-{min(number, 1_998):05}"
        contract = ("Month-to-month", "One year", "Two year", "By the hour")[number % 11 % 4]
        charges = "" if number % 13 == 0 else f"{20 + number * 7 % 9_000 / 100:.2f}"
        internet = ("DSL", "Fiber optic", "No", "")[number % 7 % 4]
        lines.append(
            f"{name},{number * 5 % 72},{contract},{charges},{internet},{'Yes' if number % 17 == 0 else 'No'}"
        )
    return "\n".join(lines).encode()


@pytest.fixture(scope="session")
def result(score, customers) -> Path:
    """The folder of the scored customers."""
    report, folder = score(customers)
    assert report.rows.scored == 2_000
    return folder
