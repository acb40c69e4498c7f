import polars as pl
import pytest
from polars.testing import assert_frame_equal

from consumer_worker.scoring import ScoringFailed
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import ODD_FILES, PLAIN, OddFile

SCORABLE = [odd for odd in ODD_FILES if odd.failure is None]
FAILING = [odd for odd in ODD_FILES if odd.failure is not None]


def named(odd: OddFile) -> str:
    return odd.name


def test_the_corpus_is_large_and_its_files_are_different():
    assert len(ODD_FILES) >= 60
    assert len({odd.name for odd in ODD_FILES}) == len(ODD_FILES)


@pytest.mark.parametrize("odd", SCORABLE, ids=named)
def test_odd_files_are_scored(odd: OddFile, score: ScoreBytes):
    report, folder = score(odd.content, mapping=odd.mapping)
    scores = pl.read_parquet(folder / "scores.parquet")
    rejected = pl.read_csv(
        folder / "rejected.csv", separator=report.manifest.csv.delimiter, infer_schema=False
    )
    assert (report.rows.scored, report.rows.rejected) == (odd.scored, odd.rejected)
    assert (scores.height, rejected.height) == (odd.scored, odd.rejected)
    assert tuple(rejected["rejected_code"]) == tuple(code.value for code in odd.rejections)
    assert odd.says in " ".join(report.summary.quality.sentences)
    if odd.same_scores:
        _, plain = score(PLAIN)
        # Blank rows count, and what is said about the file as a whole may differ.
        of_the_file = ("row_number", "data_quality")
        expected = pl.read_parquet(plain / "scores.parquet").drop(of_the_file)
        # 2985 cents are not 29.85 to the last bit.
        assert_frame_equal(scores.drop(of_the_file), expected, rel_tol=1e-12, abs_tol=0)


@pytest.mark.parametrize("odd", FAILING, ids=named)
def test_what_cannot_be_scored_fails_with_its_code(odd: OddFile, score: ScoreBytes):
    with pytest.raises(ScoringFailed) as caught:
        score(odd.content, mapping=odd.mapping)
    assert caught.value.code == odd.failure
    assert odd.says in caught.value.detail
    assert caught.value.detail
