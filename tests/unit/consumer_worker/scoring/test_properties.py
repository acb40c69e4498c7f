"""What is true of every file: how it is written and read never changes a score, and scores add up."""

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer_worker.scoring.parquet import SCORES_PARQUET
from consumer_worker.scoring.results import SCORES_CSV
from ml_models.runtime import ChurnModel
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import HEADERS, customers, table

CELLS = st.sampled_from(
    ["", "N/A", "Yes", "no", "12", "-3", "1,5", "29.99", "$1,234.50", "Weekly", 'a "b"\nc', "=1"]
)
FAULTS = st.lists(st.tuples(st.integers(0, 29), st.sampled_from(HEADERS[1:]), CELLS), max_size=8)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def with_faults(faults: list[tuple[int, str, str]]) -> list[dict[str, str]]:
    rows = customers(30)
    for row, header, cell in faults:
        rows[row][header] = cell
    return rows


def parquet(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / SCORES_PARQUET)


@few
@given(faults=FAULTS, block_bytes=st.integers(200, 5_000))
def test_the_block_size_changes_nothing(
    score: ScoreBytes, faults: list[tuple[int, str, str]], block_bytes: int
):
    content = table(with_faults(faults))
    report, folder = score(content)
    other_report, other_folder = score(content, block_bytes=block_bytes)
    assert [file.sha256 for file in report.files] == [file.sha256 for file in other_report.files]
    assert report.summary == other_report.summary
    for file in report.files:
        assert (folder / file.name).read_bytes() == (other_folder / file.name).read_bytes()


@few
@given(faults=FAULTS, headers=st.permutations(HEADERS), delimiter=st.sampled_from(",;\t|"))
def test_neither_delimiter_nor_column_order_changes_a_score(
    score: ScoreBytes, faults: list[tuple[int, str, str]], headers: list[str], delimiter: str
):
    rows = with_faults(faults)
    _, folder = score(table(rows))
    _, other_folder = score(table(rows, headers, delimiter=delimiter))
    assert parquet(folder).equals(parquet(other_folder))
    other_csv = pl.read_csv(other_folder / SCORES_CSV, separator=delimiter, infer_schema=False)
    assert pl.read_csv(folder / SCORES_CSV, infer_schema=False).equals(other_csv)


@few
@given(faults=FAULTS)
def test_all_contributions_add_up_to_the_probability(
    score: ScoreBytes, model: ChurnModel, faults: list[tuple[int, str, str]]
):
    terms = len(model.card.terms)
    _, folder = score(table(with_faults(faults)), reasons=terms)
    scores = parquet(folder)
    effects = scores.select(pl.col(f"reason_{rank}_effect").fill_null(0.0) for rank in range(1, terms + 1))
    assert [list(row) for row in np.abs(effects.to_numpy())] == [
        sorted(row, reverse=True) for row in np.abs(effects.to_numpy())
    ]
    probability = 1 / (1 + np.exp(-(effects.to_numpy().sum(axis=1) + model.card.intercept)))
    np.testing.assert_allclose(probability, scores["churn_probability"], atol=1e-6)
