from ml_models.runtime import ChurnModel
from tests.unit.consumer_worker.scoring.fuzzing import score_broken_files

BROKEN_FILES = 300
"""A part of the 10,000 that `python -m tests.benchmarks.scoring.fuzz` scores."""


def test_every_broken_file_ends_in_a_typed_outcome(model: ChurnModel):
    outcomes = score_broken_files(BROKEN_FILES, model)
    assert outcomes.total() == BROKEN_FILES
    assert outcomes["scored"] > BROKEN_FILES // 4
    assert len(outcomes) > 5
