"""The product as a customer meets it: a file in, an answer out. Nothing else here imports it."""

import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from consumer_worker.scoring import ScoringFailed, ScoringRequest, score_file
from ml_models.card import UNSEEN_CODE, Card, NumericFeature
from ml_models.runtime import ChurnModel, load_model
from retainwise_contracts.failures import FAILURES
from retainwise_contracts.results import Summary
from tests.files.inspection import find_differences
from tests.files.outcomes import Case
from tests.files.table import Customer, Customers

MODEL = "telco-churn@1.0.0"

Model = ChurnModel


@dataclass(frozen=True)
class ScoredCustomer:
    """A line of `scores.parquet`. The last three are None where there is no such column."""

    row_number: int
    customer_id: str
    probability: float
    inputs_known: float | None
    already_left: bool | None
    data_quality: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came out: a refusal, an unexpected error, or scores."""

    refusal: tuple[str, str] | None = None
    """Code and the whole text a customer reads."""
    crash: str | None = None
    customers: tuple[ScoredCustomer, ...] = ()
    grade: str = ""
    sentences: tuple[str, ...] = ()
    highest_risk: tuple[str, ...] = ()
    """Ids."""
    expected_churners: float = 0.0
    rejected: tuple[Mapping[str, str], ...] = ()
    """The rows of `rejected.csv`."""
    csv_bytes: bytes = b""
    """`scores.csv`."""
    inspected_otherwise: tuple[str, ...] = ()
    """Where the API's inspection of the file disagrees with this answer."""


def load() -> ChurnModel:
    return load_model(MODEL)


def score(case: Case, model: ChurnModel, folder: Path) -> Answer:
    """Score a case's file in an empty folder."""
    source = folder / "upload"
    source.write_bytes(case.content)
    optional: dict[str, Any] = {"confirmed": case.confirmed} if case.confirmed else {}
    try:
        request = ScoringRequest(uuid.UUID(int=8), "ab" * 32, case.mapping, **optional)
        report = score_file(source, folder, model, request, cancelled=threading.Event())
        return replace(
            _scored(folder, report.summary),
            inspected_otherwise=tuple(find_differences(case, report, model.card)),
        )
    except ScoringFailed as error:
        return Answer(
            refusal=(error.code.value, f"{FAILURES[error.code].sentence} {error.detail}"),
            inspected_otherwise=tuple(find_differences(case, error.code, model.card)),
        )
    except Exception as error:  # a case that ends so has failed, and the others go on
        return Answer(crash=re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:300])


def _scored(folder: Path, summary: Summary) -> Answer:
    return Answer(
        customers=tuple(_customers(folder / "scores.parquet")),
        grade=summary.quality.grade.value,
        sentences=summary.quality.sentences,
        highest_risk=tuple(customer.customer_id for customer in summary.highest_risk),
        expected_churners=summary.expected_churners,
        rejected=tuple(_rejected(folder / "rejected.csv", summary.source.delimiter)),
        csv_bytes=(folder / "scores.csv").read_bytes(),
    )


def _customers(path: Path) -> Sequence[ScoredCustomer]:
    frame = pl.read_parquet(path)
    return [
        ScoredCustomer(
            row["row_number"],
            row["customer_id"],
            row["churn_probability"],
            row.get("inputs_known"),
            _as_bool(row.get("already_left")),
            row.get("data_quality"),
        )
        for row in frame.iter_rows(named=True)
    ]


def _as_bool(value: object) -> bool | None:
    return None if value is None else str(value).lower() == "true"


def _rejected(path: Path, delimiter: str) -> Sequence[Mapping[str, str]]:
    # Not with the csv module, which reads no cell of 131,073 characters.
    return pl.read_csv(path, separator=delimiter, infer_schema=False).to_dicts()


def probabilities(model: ChurnModel, customers: Customers) -> list[float]:
    """What the model says of customers, with no file in between."""
    codes = np.array([_codes(model.card, customer) for customer in customers], np.float32)
    return [float(probability) for probability in model.predict(codes).probability]


def least_known(model: ChurnModel, customer: Customer) -> Literal["known", "beyond", "unknown"]:
    """How well the least known of a customer's inputs is known; `beyond` is outside of the training data."""
    least: Literal["known", "beyond"] = "known"
    for feature in model.card.features:
        value = customer.get(feature.name)
        if value is None:
            return "unknown"
        if isinstance(feature, NumericFeature):
            if not feature.statistics.min <= float(value) <= feature.statistics.max:
                least = "beyond"
        elif value not in feature.categories:
            return "unknown"
    return least


def _codes(card: Card, customer: Customer) -> list[float]:
    codes = []
    for feature in card.features:
        value = customer.get(feature.name)
        if value is None:
            codes.append(np.nan)
        elif isinstance(feature, NumericFeature):
            codes.append(float(value))
        elif value in feature.categories:
            codes.append(float(feature.categories.index(value)))
        else:
            codes.append(UNSEEN_CODE)
    return codes
