import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml_models.card import Estimate, load_card
from ml_models.runtime import load_model
from ml_models.telco_churn import NAME, SPECIFICATION, VERSION
from ml_models.training.errors import (
    DataNotUsable,
    ProtectedAttributesMatter,
    TrainingNeeded,
    VersionTaken,
)
from ml_models.training.evaluation import (
    ALTERNATIVES,
    BOOSTED_TREES,
    LOGISTIC,
    WITH_INTERACTIONS,
    Folds,
    by_fold,
    calibration_error,
    estimate,
    measure,
    reliability,
)
from ml_models.training.findings import Absence, Findings
from ml_models.training.models import LogisticModel
from ml_models.training.train import Validation, train, update_card

REF = f"{NAME}@{VERSION}"


@pytest.fixture(scope="module")
def trained_twice(training_file, tmp_path_factory):
    """Two directories of models, trained from the same file with the same seed, and the steps reported.

    The shipped model is trained for real. The alternatives, which cost most of the time and leave nothing but
    their metrics, are quick logistic regressions on their own features.
    """
    directories, steps = [], []
    alternatives = tuple(replace(candidate, fit=LogisticModel) for candidate in ALTERNATIVES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml_models.training.train.ALTERNATIVES", alternatives)
        for name in ("first", "second"):
            directory = tmp_path_factory.mktemp(name)
            validation = Validation(folds=2, repeats=1)
            train(
                training_file, directory, seed=3, validation=validation, on_progress=lambda: steps.append(1)
            )
            directories.append(directory)
    return directories, len(steps)


def test_one_seed_gives_the_same_bytes(trained_twice):
    (first, second), _ = trained_twice
    files = {path.relative_to(first): path.read_bytes() for path in first.rglob("*.*") if path.is_file()}
    assert {path.name for path in files} == {
        "card.json",
        "model.onnx",
        "MODEL_CARD.md",
        "reliability.png",
        "shapes.png",
    }
    for path, content in files.items():
        assert (second / path).read_bytes() == content, path


def test_progress_is_reported_for_every_model(trained_twice):
    _, steps = trained_twice
    assert steps == 2 * Validation(folds=2, repeats=1).steps == 2 * 2 * (1 + len(ALTERNATIVES))


def test_the_runtime_scores_as_the_card_promises(trained_twice, training_set):
    (directory, _), _ = trained_twice
    model = load_model(REF, directory)
    data = training_set.select(SPECIFICATION)
    assert roc_auc_score(data.churned, model.predict(data.features).probability) > 0.75
    assert model.card.training_data.rows == len(data.churned)
    assert model.card.training_data.sha256 == data.sha256
    assert model.card.training_data.churn_rate == pytest.approx(data.churned.mean(), abs=1e-6)
    assert set(model.card.evaluation.baselines) == {candidate.name for candidate in ALTERNATIVES}
    importance = np.abs(model.predict(data.features).contributions).mean(axis=0)
    assert [term.importance for term in model.card.terms] == pytest.approx(importance, abs=1e-5)


def test_model_card_has_the_figures(trained_twice):
    (directory, _), _ = trained_twice
    card = load_card(REF, directory)
    text = (directory / NAME / VERSION / "MODEL_CARD.md").read_text()
    assert f"{card.evaluation.metrics.roc_auc.mean:.4f}" in text
    assert all(name in text for name in card.evaluation.baselines)
    assert card.model_file.sha256 in text
    assert "$" not in text
    for feature in card.features:
        assert f"| {feature.name} | {'**required**' if feature.required else ''} |" in text


def test_a_version_that_is_there_is_not_replaced_by_another_model(trained_twice, training_file, tmp_path):
    (directory, _), _ = trained_twice
    shutil.copytree(directory, tmp_path / "models")
    card = tmp_path / "models" / NAME / VERSION / "card.json"
    released = card.read_text().replace(load_card(REF, directory).model_file.sha256, "0" * 64)
    card.write_text(released)
    with pytest.raises(
        VersionTaken, match=r"another model as telco-churn@1\.0\.0: raise VERSION in telco_churn\.py"
    ):
        train(
            training_file,
            tmp_path / "models",
            seed=3,
            validation=Validation(folds=2, repeats=1),
            on_progress=lambda: pytest.fail("it should have stopped before the long part"),
        )
    assert card.read_text() == released


def test_a_card_is_updated_without_a_training(trained_twice, tmp_path, monkeypatch):
    (directory, _), _ = trained_twice
    shutil.copytree(directory, tmp_path / "models")
    folder = tmp_path / "models" / NAME / VERSION
    trained = {path.name: path.read_bytes() for path in folder.iterdir()}
    # The card of a release that knew fewer words.
    present = json.loads(trained["card.json"])
    present["id_aliases"] = ["id"]
    del present["outcome"], present["trade"], present["customer_value"], present["actions"]
    # As written by releases that had no tables of the terms.
    present["terms"] = [
        {"name": term["feature"], "features": [term["feature"]], "importance": term["importance"]}
        for term in present["terms"]
    ]
    for feature in present["features"]:
        feature["aliases"] = []
    (folder / "card.json").write_text(json.dumps(present))
    assert update_card(tmp_path / "models") == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == trained

    monkeypatch.setattr("ml_models.training.train.SPECIFICATION", SPECIFICATION[::-1])
    with pytest.raises(TrainingNeeded, match="have changed: train the model"):
        update_card(tmp_path / "models")
    with pytest.raises(TrainingNeeded, match="is not a card of a model"):
        update_card(tmp_path)


def findings_with(*, gain: float = 0.0, loss: float = 0.0) -> Findings:
    gains = {candidate.name: Estimate(mean=gain, std=0.0) for candidate in ALTERNATIVES}
    absence = Absence(Estimate(mean=-loss, std=0.0), 0.0)
    return Findings(gains, {"tenure": absence}, absence, (), 0.0)


def test_a_column_is_required_if_a_file_loses_too_much_without_it():
    assert findings_with(loss=0.0051).required == {"tenure"}
    assert findings_with(loss=0.005).required == frozenset()


def test_training_stops_when_protected_attributes_gain_too_much():
    findings_with(gain=0.005).require_protected_unneeded()
    with pytest.raises(ProtectedAttributesMatter, match=r"\+0.0051 ROC-AUC, more than 0.005"):
        findings_with(gain=0.0051).require_protected_unneeded()


def test_the_command_line_says_what_is_wrong(tmp_path):
    data = tmp_path / "customers.csv"
    data.write_text("tenure\n1\n")
    command = [sys.executable, "-m", "ml_models.training", "--data", str(data), "--output", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("training failed: customers.csv lacks the columns")
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "candidate", [WITH_INTERACTIONS, LOGISTIC, BOOSTED_TREES], ids=lambda candidate: candidate.name
)
def test_alternatives_learn_and_take_what_is_missing(training_set, candidate):
    data = training_set.select(candidate.specification)
    model = candidate.fit(data, seed=1)
    probability = model.probability(data.features)
    assert roc_auc_score(data.churned, probability) > 0.75
    incomplete = data.features.copy()
    incomplete[:, 0] = np.nan
    assert np.isfinite(model.probability(incomplete)).all()
    assert (model.probability(incomplete) != probability).any()


def test_folds_are_stratified_and_test_each_row_once_a_repeat():
    churned = np.array([1] * 20 + [0] * 60, dtype=np.int8)
    folds = Folds.draw(churned, count=4, repeats=2, seed=1)
    times = np.zeros((2, 80), dtype=int)
    for repeat, tested in folds.tested:
        times[repeat] += tested
        assert churned[tested].sum() == 5
    assert (times == 1).all()
    assert (folds.assignment[0] != folds.assignment[1]).any()


def test_too_few_leavers_for_the_folds_stop_the_training():
    churned = np.array([1] * 3 + [0] * 60, dtype=np.int8)
    with pytest.raises(DataNotUsable, match="at least 4 customers who left and who stayed, not 3"):
        Folds.draw(churned, count=4, repeats=1, seed=1)


def test_metrics_are_means_over_the_folds():
    random = np.random.default_rng(2)
    churned = random.integers(0, 2, 200).astype(np.int8)
    probability = np.clip(0.5 + 0.2 * (churned - 0.5) + random.normal(0, 0.1, (3, 200)), 0.01, 0.99)
    folds = Folds.draw(churned, count=5, repeats=3, seed=1)
    each = [roc_auc_score(churned[tested], probability[repeat, tested]) for repeat, tested in folds.tested]
    np.testing.assert_array_equal(by_fold(roc_auc_score, churned, probability, folds), each)
    metrics = measure(churned, probability, folds)
    assert metrics.roc_auc == Estimate(mean=round(np.mean(each), 6), std=round(np.std(each, ddof=1), 6))
    assert metrics.brier.mean == pytest.approx(((probability - churned) ** 2).mean(), abs=1e-6)


def test_calibration_error_by_hand():
    churned = np.array([0, 1] * 10, dtype=np.int8)
    assert calibration_error(churned, np.full(20, 0.5)) == pytest.approx(0)
    assert calibration_error(churned, np.full(20, 0.8)) == pytest.approx(0.3)
    rising = np.linspace(0, 1, 20)
    bins = reliability(churned, rising)
    assert [each.rows for each in bins] == [2] * 10
    assert bins[0].predicted == pytest.approx(rising[:2].mean())
    assert bins[0].observed == 0.5


def test_one_measurement_has_no_spread():
    assert estimate(np.array([0.5])) == Estimate(mean=0.5, std=0.0)
