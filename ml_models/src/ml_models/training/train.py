"""One training from the data to the artifact."""

import hashlib
import json
import platform
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ml_models.card import (
    CARD_FILE,
    MODEL_FILE,
    Card,
    Evaluation,
    ModelFile,
    TrainingData,
    installed_models,
    load_card,
)
from ml_models.telco_churn import (
    ACTIONS,
    CUSTOMER_VALUE,
    DESCRIPTION,
    EXCLUDED_COLUMNS,
    ID_ALIASES,
    LABEL,
    NAME,
    OUTCOME,
    PROTECTED,
    SPECIFICATION,
    TOTAL_CHARGES,
    TRADE,
    VERSION,
)
from ml_models.training import export
from ml_models.training.data import TrainingSet, read_training_set
from ml_models.training.errors import TrainingNeeded, VersionTaken
from ml_models.training.evaluation import (
    ALTERNATIVES,
    SHIPPED,
    Folds,
    OutOfFold,
    cross_validate,
    measure,
    reliability,
)
from ml_models.training.findings import gather
from ml_models.training.model_card import write_model_card
from ml_models.training.models import AdditiveModel
from ml_models.training.pictures import draw_reliability, draw_shapes
from ml_models.training.statistics import describe

MODEL_CARD_FILE = "MODEL_CARD.md"
RELIABILITY_FILE = "reliability.png"
SHAPES_FILE = "shapes.png"
LIBRARIES = ("interpret-core", "lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class Validation:
    """How the cross-validation is done."""

    folds: int = 10
    repeats: int = 5

    @property
    def steps(self) -> int:
        """How many models it trains."""
        return self.folds * self.repeats * (1 + len(ALTERNATIVES))


def train(
    data_path: Path,
    output: Path,
    *,
    seed: int,
    validation: Validation,
    on_progress: Callable[[], None],
) -> Path:
    """Validate, train, export and check the model, then write its artifact.

    Args:
        data_path: a CSV file in the form of the Telco Customer Churn sample.
        output: the directory of models; the artifact is `<output>/<name>/<version>/`.
        seed: of the folds and models; the same seed, data and libraries give the same bytes.
        validation: how to cross-validate.
        on_progress: called after each of `validation.steps`.

    Returns:
        The directory of the artifact.

    Raises:
        DataNotUsable: the data does not match the features' specification.
        ExportDisagrees: the exported graph and the trained model differ.
        VersionTaken: the output has another model with this name and version.
        ProtectedAttributesMatter: reading protected attributes would gain more than the limit.
    """
    everything = read_training_set(data_path, (*SPECIFICATION, *PROTECTED, TOTAL_CHARGES))
    data = everything.select(SPECIFICATION)
    folds = Folds.draw(data.churned, count=validation.folds, repeats=validation.repeats, seed=seed)
    model = AdditiveModel(data, seed=seed)
    onnx_file = export.to_onnx(model)
    difference = export.check(onnx_file, model, data.features)
    _require_version_free(output, onnx_file)  # before the long part
    candidates = (SHIPPED, *ALTERNATIVES)
    predictions = cross_validate(everything, candidates, folds, seed=seed, on_progress=on_progress)
    findings = gather(everything, folds, predictions, greatest_difference=difference)
    findings.require_protected_unneeded()
    card = _card(
        model,
        data,
        onnx_file,
        seed=seed,
        evaluation=_evaluation(data, folds, predictions),
        required=findings.required,
    )
    bins = reliability(data.churned, predictions[SHIPPED.name].probability[0])
    ranges = list(zip(np.nanmin(data.features, axis=0), np.nanmax(data.features, axis=0), strict=True))
    return _write(
        output / NAME / VERSION,
        {
            RELIABILITY_FILE: draw_reliability(bins),
            SHAPES_FILE: draw_shapes(model.shapes, ranges),
            MODEL_CARD_FILE: write_model_card(
                card,
                model.shapes,
                findings,
                bins,
                reliability_picture=RELIABILITY_FILE,
                shapes_picture=SHAPES_FILE,
            ).encode(),
            MODEL_FILE: onnx_file,
            CARD_FILE: _card_file(card),
        },
    )


def _card_file(card: Card) -> bytes:
    return (card.model_dump_json(indent=1) + "\n").encode()


def update_card(output: Path) -> Path:
    """Write what `telco_churn.py` says now into the installed card, without a training.

    Headers, spellings, wording, actions and limits of what is possible are people's knowledge. What was
    learnt from the data (statistics, required columns, importances, evaluation) is taken from the present
    card and the tables of the terms from the model's file, which is not touched.

    Returns:
        The directory of the artifact.

    Raises:
        TrainingNeeded: there is no card, or what the model reads has changed: the features, their order,
            their units or their categories.
    """
    directory = output / NAME / VERSION
    path = directory / CARD_FILE
    try:
        # Not as a Card: the present file may lack what a card has by now.
        present = json.loads(path.read_bytes())
        features = {feature["name"]: feature for feature in present["features"]}
        importances = [term["importance"] for term in present["terms"]]
        onnx_file = (directory / MODEL_FILE).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingNeeded(f"{path} is not a card of a model, so there is nothing to update") from error
    if [_inputs(feature) for feature in features.values()] != [
        _inputs(feature.model_dump()) for feature in SPECIFICATION
    ]:
        raise TrainingNeeded("the features, their units or their categories have changed: train the model")
    learnt = ("statistics", "required")
    card = Card.model_validate(
        {
            **present,
            "description": DESCRIPTION,
            "trade": TRADE,
            "features": [
                {**feature.model_dump(), **{key: features[feature.name][key] for key in learnt}}
                for feature in SPECIFICATION
            ],
            "terms": [term.model_dump() for term in export.read_terms(onnx_file, SPECIFICATION, importances)],
            "customer_value": CUSTOMER_VALUE.model_dump(),
            "actions": ACTIONS,
            "id_aliases": ID_ALIASES,
            "outcome": OUTCOME.model_dump(),
            "excluded_columns": [column.model_dump() for column in EXCLUDED_COLUMNS],
        }
    )
    return _write(directory, {CARD_FILE: _card_file(card)})


def _inputs(feature: Mapping[str, object]) -> tuple[object, ...]:
    """Return what the model's input column depends on."""
    categories = feature.get("categories")
    ordered = tuple(categories) if isinstance(categories, list | tuple) else None
    return feature["name"], feature["kind"], feature.get("unit"), ordered


def _evaluation(data: TrainingSet, folds: Folds, predictions: Mapping[str, OutOfFold]) -> Evaluation:
    metrics = {
        name: measure(data.churned, of_candidate.probability, folds)
        for name, of_candidate in predictions.items()
    }
    return Evaluation(
        folds=folds.count,
        repeats=len(folds.assignment),
        metrics=metrics.pop(SHIPPED.name),
        baselines=metrics,
    )


def _card(
    model: AdditiveModel,
    data: TrainingSet,
    onnx_file: bytes,
    *,
    seed: int,
    evaluation: Evaluation,
    required: Collection[str],
) -> Card:
    importances = np.abs(model.contributions(data.features)).mean(axis=0)
    return Card(
        name=NAME,
        version=VERSION,
        description=DESCRIPTION,
        trade=TRADE,
        features=tuple(
            describe(feature, data.features[:, column], required=feature.name in required)
            for column, feature in enumerate(data.specification)
        ),
        terms=export.read_terms(
            onnx_file, data.specification, [round(float(importance), 6) for importance in importances]
        ),
        intercept=float(np.float32(model.intercept)),
        customer_value=CUSTOMER_VALUE,
        actions=ACTIONS,
        id_aliases=ID_ALIASES,
        outcome=OUTCOME,
        excluded_columns=EXCLUDED_COLUMNS,
        evaluation=evaluation,
        training_data=TrainingData(
            sha256=data.sha256,
            rows=len(data.churned),
            label=LABEL,
            churn_rate=round(float(data.churned.mean()), 6),
        ),
        model_file=ModelFile(
            sha256=hashlib.sha256(onnx_file).hexdigest(),
            size_bytes=len(onnx_file),
            input=export.INPUT,
            contributions=export.CONTRIBUTIONS,
            probability=export.PROBABILITY,
        ),
        seed=seed,
        versions={
            "python": ".".join(platform.python_version_tuple()[:2]),
            **{library: version(library) for library in LIBRARIES},
        },
    )


def _require_version_free(output: Path, onnx_file: bytes) -> None:
    """Raise VersionTaken if writing this model would change an existing one."""
    ref = f"{NAME}@{VERSION}"
    if ref not in installed_models(output):
        return
    if load_card(ref, output).model_file.sha256 != hashlib.sha256(onnx_file).hexdigest():
        raise VersionTaken(
            f"{output} already has another model as {ref}: raise VERSION in telco_churn.py, or write to "
            "another directory with --output"
        )


def _write(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write an artifact. The card is written last: it is what makes the model installed."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory
