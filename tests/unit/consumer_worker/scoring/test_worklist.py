import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring.parquet import SCORES_PARQUET, WORKLIST_PARQUET
from consumer_worker.scoring.worklist import Worklist
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import HEADERS, customers, table


def best(probability, left, size):
    """The positions by definition: all rows ranked at once, in the order of the file."""
    ranked = sorted(np.flatnonzero(~left), key=lambda row: (-probability[row], row))
    return sorted(ranked[:size])


@pytest.mark.parametrize("size", [1, 7, 100, 5_000])
@pytest.mark.parametrize("kind", ["random", "rising", "falling", "equal", "few"])
def test_worklist_is_the_best_of_all_rows_whatever_their_order(size: int, kind: str):
    random = np.random.default_rng(size)
    probability = random.random(3_000)
    probability = {
        "random": probability,
        "rising": np.sort(probability),
        "falling": np.sort(probability)[::-1].copy(),
        "equal": np.full(3_000, 0.5),
        "few": np.round(probability, 1),  # many ties at the threshold
    }[kind]
    left = random.random(3_000) < 0.1
    worklist = Worklist(size)
    for rows in np.array_split(np.arange(3_000), 37):
        worklist.add(probability[rows], left[rows])
        assert len(worklist._probability) <= 2 * size + len(rows)
    assert worklist.positions().tolist() == best(probability, left, size)


def test_worklist_of_nobody_is_empty():
    worklist = Worklist(3)
    worklist.add(np.array([0.5, 0.1]), np.array([True, True]))
    assert worklist.positions().tolist() == []


@pytest.fixture
def sample() -> list[dict[str, str]]:
    return [dict(row, Churn="Yes" if n % 7 == 0 else "No") for n, row in enumerate(customers(400))]


@pytest.mark.parametrize("block_bytes", [2_000, 1 << 20])
@pytest.mark.parametrize("size", [25, 100_000])
def test_worklist_file_has_the_rows_of_highest_risk_in_order(
    score: ScoreBytes,
    sample: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    block_bytes: int,
    size: int,
):
    monkeypatch.setattr("consumer_worker.scoring.score.MAX_WORKLIST_ROWS", size)
    report, folder = score(table(sample, [*HEADERS, "Churn"]), block_bytes=block_bytes)
    assert report.summary.already_left == 58
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    worklist = pl.read_parquet(folder / WORKLIST_PARQUET)
    expected = (
        scores.filter(~pl.col("already_left"))
        .sort("churn_probability", "row_number", descending=[True, False])
        .head(size)
    )
    assert worklist.drop("value_at_risk").equals(expected)
    at_risk = expected["churn_probability"] * expected["customer_value"]
    assert worklist["value_at_risk"].equals(at_risk.alias("value_at_risk"))
    assert [each.customer_id for each in report.summary.highest_risk] == worklist["customer_id"][:5].to_list()


def test_parquet_does_not_depend_on_the_blocks(
    score: ScoreBytes, sample: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("consumer_worker.scoring.parquet._ROW_GROUP_ROWS", 50)
    sample[399]["Contract"] = "Sometimes"  # only the last block has text that is no category
    folders = [score(table(sample), block_bytes=size)[1] for size in (2_000, 9_000, 1 << 20)]
    for name in (SCORES_PARQUET, WORKLIST_PARQUET):
        first, *others = (pl.read_parquet(folder / name) for folder in folders)
        assert first.schema["value_Contract"] == pl.String
        assert first.schema["value_TechSupport"] == pl.Enum
        assert all(first.equals(other) and first.schema == other.schema for other in others)
