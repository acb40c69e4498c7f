import math
from bisect import bisect_right
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from scipy.special import expit

from ml_models.card import NumericSpecification
from ml_models.telco_churn import SPECIFICATION
from ml_models.training import export
from ml_models.training.errors import ExportDisagrees
from ml_models.training.models import AdditiveModel, Shape

OUTWARDS = np.array([-np.inf, np.inf], dtype=np.float32)


def plainly(shape: Shape, value: float) -> float:
    """What a term says of a value, as one would look it up by hand in its table."""
    if math.isnan(value):
        return shape.missing
    if isinstance(shape.feature, NumericSpecification):
        return shape.scores[bisect_right(shape.cuts, value)]
    return shape.scores[int(value)] if 0 <= value < len(shape.scores) else shape.unseen


@pytest.fixture(scope="module")
def onnx_file(trained_model):
    return export.to_onnx(trained_model)


@pytest.fixture(scope="module")
def rows(trained_model, training_set):
    data = training_set.select(SPECIFICATION).features
    return np.vstack([data, export.edge_cases(trained_model, data[0])])


def test_the_graph_is_the_table_at_every_edge(trained_model, onnx_file, rows):
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    probability, contributions = session.run(["probability", "contributions"], {"features": rows})
    expected = np.array(
        [
            [plainly(shape, float(value)) for shape, value in zip(trained_model.shapes, row, strict=True)]
            for row in rows
        ]
    )
    np.testing.assert_allclose(contributions, expected, atol=1e-6, rtol=0)
    logits = expected.sum(axis=1) + trained_model.intercept
    np.testing.assert_allclose(probability, expit(logits), atol=1e-6, rtol=0)


def test_the_trained_model_is_the_table_too(trained_model, rows):
    expected = [
        [plainly(shape, float(value)) for shape, value in zip(trained_model.shapes, row, strict=True)]
        for row in rows
    ]
    np.testing.assert_allclose(trained_model.contributions(rows), expected, atol=1e-12, rtol=0)


def test_edges_hold_each_threshold_with_its_neighbours(trained_model, rows):
    tenure = trained_model.shapes[0]
    assert len(tenure.cuts) > 10
    values = set(rows[:, 0].tolist())
    for cut in tenure.cuts:
        threshold = np.float32(cut)
        down, up = np.nextafter(threshold, OUTWARDS)
        assert {float(threshold), float(down), float(up)} <= values
    assert {math.inf, -math.inf} <= values


@pytest.mark.parametrize("cut", [0.1, 43.32499885559082, 1 / 3, 70.35, 2.0**24 + 1, -0.1, 1.5])
def test_a_float32_threshold_parts_float32_numbers_as_the_cut_does(cut):
    threshold = export._threshold(cut)
    nearest = np.float32(cut)
    for x in (nearest, *np.nextafter(nearest, OUTWARDS)):
        assert (float(x) < cut) == (float(x) < threshold)


def test_missing_and_never_seen_contribute_nothing(training_set):
    """Not even where, in the training data, only those who stayed lack a value."""
    data = training_set.select(SPECIFICATION)
    features = data.features.copy()
    features[np.flatnonzero(data.churned == 0)[:40]] = np.nan
    model = AdditiveModel(replace(data, features=features), seed=1)
    row = data.features[:1]
    np.testing.assert_array_equal(model.contributions(np.full_like(row, np.nan)), 0)
    assert [(shape.missing, shape.unseen) for shape in model.shapes] == [(0, 0)] * len(SPECIFICATION)


def test_one_model_gives_the_same_bytes(trained_model, onnx_file):
    assert export.to_onnx(trained_model) == onnx_file


def test_the_check_passes_on_the_exported_graph(trained_model, onnx_file, training_set):
    assert export.check(onnx_file, trained_model, training_set.select(SPECIFICATION).features) <= 1e-6


def _attributes(model: onnx.ModelProto) -> dict[str, onnx.AttributeProto]:
    return {attribute.name: attribute for attribute in model.graph.node[0].attribute}


def _shift_a_threshold(model):
    """By one float32, which no customer of the data would show."""
    attributes = _attributes(model)
    place = list(attributes["nodes_modes"].strings).index(b"BRANCH_LT")
    value = np.float32(attributes["nodes_values"].floats[place])
    attributes["nodes_values"].floats[place] = np.nextafter(value, np.float32(np.inf))


def _send_infinity_to_missing(model):
    modes = _attributes(model)["nodes_modes"].strings
    modes[:] = [b"BRANCH_LT" if mode == b"BRANCH_LEQ" else mode for mode in modes]


def _bend_a_leaf(model):
    _attributes(model)["target_weights"].floats[3] += 2e-6


def _move_the_intercept(model):
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(1e-4), tensor.name))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_shift_a_threshold, "contributions"),
        (_send_infinity_to_missing, "contributions"),
        (_bend_a_leaf, "contributions"),
        (_move_the_intercept, "probability"),
    ],
)
def test_the_check_finds_a_graph_that_differs(trained_model, onnx_file, training_set, spoil, what):
    model = onnx.load_model_from_string(onnx_file)
    spoil(model)
    with pytest.raises(ExportDisagrees, match=f"disagree on {what}"):
        export.check(model.SerializeToString(), trained_model, training_set.select(SPECIFICATION).features)
