import shutil
from collections.abc import Callable
from typing import Any

import pytest

from ml_models.card import (
    ARTIFACTS,
    CARD_FILE,
    Card,
    CategoricalFeature,
    NumericFeature,
    installed_models,
    load_card,
    model_directory,
    normalise,
)
from ml_models.errors import ModelNotFound, ModelRefused
from ml_models.telco_churn import (
    ACTIONS,
    CUSTOMER_VALUE,
    DESCRIPTION,
    EXCLUDED_COLUMNS,
    ID_ALIASES,
    NAME,
    OUTCOME,
    SPECIFICATION,
    TRADE,
    VERSION,
)

REF = f"{NAME}@{VERSION}"


@pytest.fixture
def models(tmp_path):
    """A directory of models that a test may damage."""
    shutil.copytree(model_directory(REF), tmp_path / NAME / VERSION)
    return tmp_path


def test_the_shipped_model_is_installed():
    assert REF in installed_models()
    assert load_card(REF).ref == REF


def test_the_shipped_card_says_what_the_specification_says():
    """Whoever edits telco_churn.py runs `python -m ml_models.training --card-only`."""
    card = load_card(REF)
    for feature, specification in zip(card.features, SPECIFICATION, strict=True):
        assert feature.model_dump(exclude={"statistics", "required"}) == specification.model_dump()
    assert card.outcome == OUTCOME
    assert card.id_aliases == ID_ALIASES
    assert card.excluded_columns == EXCLUDED_COLUMNS
    assert (card.description, card.trade) == (DESCRIPTION, TRADE)
    assert (card.customer_value, card.actions) == (CUSTOMER_VALUE, ACTIONS)


def test_installed_models_are_sorted_by_version_as_numbers(models):
    for version in ("1.10.0", "1.2.0"):
        shutil.copytree(models / NAME / VERSION, models / NAME / version)
    (models / NAME / "draft").mkdir()
    (models / NAME / "2.0.0").mkdir()  # without a card it is not installed
    assert installed_models(models) == tuple(f"{NAME}@{v}" for v in ("1.0.0", "1.2.0", "1.10.0"))


@pytest.mark.parametrize(
    "ref",
    [
        "",
        NAME,
        f"{NAME}@",
        f"{NAME}@9.9.9",
        f"{NAME}@1.0",
        "../telco-churn@1.0.0",
        f"{NAME}/1.0.0",
        f"{REF}\n",
    ],
)
def test_a_reference_that_names_no_installed_model_is_not_found(ref):
    with pytest.raises(ModelNotFound, match=r"installed: telco-churn@1\.0\.0"):
        load_card(ref)


def test_a_card_that_is_missing_is_refused(models):
    (models / NAME / VERSION / CARD_FILE).unlink()
    with pytest.raises(ModelRefused, match="could not be read"):
        load_card(REF, models)


@pytest.mark.parametrize("content", ["", "{}", '{"name": 3}', "not JSON"])
def test_a_card_that_is_none_is_refused(models, content):
    (models / NAME / VERSION / CARD_FILE).write_text(content)
    with pytest.raises(ModelRefused, match="is not a model card"):
        load_card(REF, models)


def test_a_card_of_another_version_is_refused(models):
    (models / NAME / VERSION).rename(models / NAME / "1.0.1")
    with pytest.raises(ModelRefused, match=r"belongs to telco-churn@1\.0\.0"):
        load_card(f"{NAME}@1.0.1", models)


@pytest.mark.parametrize("text", [" Month-to-month", "month_to_month", "MONTH  TO  MONTH", "Month/to.Month."])
def test_spellings_are_normalised(text):
    assert normalise(text) == "month to month"


@pytest.mark.parametrize(
    ("name", "value", "contribution", "sentence"),
    [
        ("Contract", "Month-to-month", 0.5, "Month-to-month contract raises the risk"),
        ("Contract", "Two year", -1.0, "Two-year contract lowers the risk"),
        ("Contract", None, 0.0, "Unknown contract does not change the risk"),
        ("Contract", "Weekly", 0.0, "Unfamiliar contract “Weekly” does not change the risk"),
        ("tenure", 2.0, 0.9, "Tenure of 2 months raises the risk"),
        ("tenure", 1, 0.9, "Tenure of 1 month raises the risk"),
        ("tenure", 2.345, 0.9, "Tenure of 2.3 months raises the risk"),
        ("tenure", 11.992, -0.9, "Tenure of 12 months lowers the risk"),  # 365 days
        ("tenure", 0.986, 0.9, "Tenure of 1 month raises the risk"),
        ("tenure", float("nan"), 0.0, "Unknown tenure does not change the risk"),
        ("MonthlyCharges", 29.8500003, -0.2, "Monthly charge of 29.85 lowers the risk"),
        ("StreamingTV", "No", -0.1, "No streaming TV lowers the risk"),
    ],
)
def test_a_reason_reads_as_a_sentence(name, value, contribution, sentence):
    assert load_card(REF).feature(name).reason(value, contribution) == sentence


def test_statistics_are_shares():
    for feature in load_card(REF).features:
        assert sum(feature.statistics.shares) == pytest.approx(1, abs=1e-5)


def _spoiled(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Callable[[], Card]:
    card = load_card(REF)
    content = card.model_dump()
    change({feature["name"]: feature for feature in content["features"]}, content)
    return lambda: type(card).model_validate(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, _: f["Contract"]["category_aliases"].update(weekly="Weekly"), "does not exist"),
        (lambda f, _: f["Contract"]["category_aliases"].pop("one year"), "missing among its aliases"),
        (lambda f, _: f["Contract"]["wording"]["categories"].pop("One year"), "wording is needed"),
        (lambda f, _: f["Contract"]["statistics"].update(shares=(1.0,)), "one training share per category"),
        (lambda f, _: f["tenure"]["statistics"].update(shares=(1.0,)), "one share more than edges"),
        (lambda f, _: f["OnlineBackup"]["implied"].update(means="Never"), "implied that does not exist"),
        (lambda f, _: f["OnlineBackup"]["implied"].update(category="Maybe"), "implied by one that does not"),
        (lambda f, _: f["tenure"].update(name="Contract"), "one name"),
        (lambda _, c: c["terms"][0].update(feature="Weather"), "does not exist"),
        (lambda _, c: c["terms"][0].update(feature="Contract"), "two terms are of one feature"),
        (lambda _, c: c["terms"][0].update(edges=c["terms"][0]["edges"][1:]), "one score more than edges"),
        (lambda _, c: c["terms"][0].update(edges=c["terms"][0]["edges"][::-1]), "edges must rise"),
        (lambda _, c: c["terms"][0].update(edges=(0.1, *c["terms"][0]["edges"][1:])), "not a float32 number"),
        (lambda _, c: c["terms"][1]["scores"].pop("One year"), "a score for each category"),
        (lambda _, c: c.update(actions={"Weather": "Wait."}), "an action is for"),
        (lambda _, c: c["customer_value"].update(feature="Contract"), "not a numeric feature"),
        (lambda _, c: c.update(colour="blue"), "colour"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        _spoiled(change)()


def test_features_are_of_their_kind():
    card = load_card(REF)
    assert isinstance(card.feature("tenure"), NumericFeature)
    assert isinstance(card.feature("Contract"), CategoricalFeature)
    assert card.required == ("tenure", "Contract", "InternetService")


def test_the_shipped_artifact_holds_nothing_else():
    names = {path.name for path in (ARTIFACTS / NAME / VERSION).iterdir()}
    assert names == {"card.json", "model.onnx", "MODEL_CARD.md", "reliability.png", "shapes.png"}
