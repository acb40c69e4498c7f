import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ml_models.card import CARD_FILE, MODEL_FILE, CategoricalFeature, load_card, model_directory
from ml_models.errors import ModelNotFound, ModelRefused
from ml_models.runtime import load_model
from ml_models.telco_churn import NAME, VERSION
from ml_models.terms import CategoricalTerm

REF = f"{NAME}@{VERSION}"
Tree = dict[int, dict[str, Any]]
"""The nodes of one tree by their ids."""

Change = Callable[[onnx.ModelProto], bytes | None]
OUTWARDS = np.array([-np.inf, np.inf], dtype=np.float32)


@pytest.fixture
def models(tmp_path):
    """A directory of models that a test may damage."""
    shutil.copytree(model_directory(REF), tmp_path / NAME / VERSION)
    return tmp_path


@pytest.fixture(scope="module")
def model():
    return load_model(REF)


@pytest.fixture(scope="module")
def customers(model):
    """5,000 encoded customers with missing and never seen values among them."""
    random = np.random.default_rng(5)
    columns = [
        random.integers(-1, len(feature.categories), 5_000)
        if isinstance(feature, CategoricalFeature)
        else random.uniform(feature.statistics.min, feature.statistics.max, 5_000)
        for feature in model.card.features
    ]
    features = np.column_stack(columns).astype(np.float32)
    features[random.random(features.shape) < 0.1] = np.nan
    return features


def _walk(tree: Tree, row: NDArray[np.float32]) -> float:
    """Follow the nodes of one tree for one row, as the ONNX specification describes it."""
    node = 0
    while tree[node]["mode"] != "LEAF":
        x, value = row[tree[node]["feature"]], tree[node]["value"]
        holds = {"BRANCH_LT": x < value, "BRANCH_LEQ": x <= value}[tree[node]["mode"]]
        node = tree[node]["true" if holds else "false"]
    return float(tree[node]["weight"])


def _trees(graph: onnx.GraphProto) -> dict[int, Tree]:
    attributes = {each.name: helper.get_attribute_value(each) for each in graph.node[0].attribute}
    trees: dict[int, Tree] = {}
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    for tree, node, feature, mode, value, true, false in zip(
        *(attributes[f"nodes_{name}"] for name in names), strict=True
    ):
        trees.setdefault(tree, {})[node] = {
            "feature": feature,
            "mode": mode.decode(),
            "value": value,
            "true": true,
            "false": false,
        }
    leaves = (attributes[f"target_{name}"] for name in ("treeids", "nodeids", "weights", "ids"))
    for tree, node, weight, target in zip(*leaves, strict=True):
        assert target == tree
        trees[tree][node]["weight"] = weight
    return trees


def test_scores_are_what_the_trees_say_around_every_threshold(model):
    graph = onnx.load(model_directory(REF) / MODEL_FILE).graph
    trees = _trees(graph)
    assert len(trees) == len(model.card.terms)
    base = np.array(
        [0.0 if isinstance(f, CategoricalFeature) else f.statistics.mean for f in model.card.features]
    )
    rows = []
    for tree in trees.values():
        for node in tree.values():
            value = np.float32(node["value"])
            for x in (
                value,
                *np.nextafter(value, OUTWARDS),
                math.nan,
                math.inf,
                -math.inf,
                -1,
            ):
                row = base.astype(np.float32)
                row[node["feature"]] = x
                rows.append(row)
    features = np.unique(np.array(rows), axis=0)
    scores = model.predict(features)
    expected = np.array([[_walk(tree, row) for tree in trees.values()] for row in features])
    np.testing.assert_allclose(scores.contributions, expected, atol=1e-7, rtol=0)


def test_contributions_add_up_to_the_probability(model, customers):
    scores = model.predict(customers)
    log_odds = scores.contributions.astype(np.float64).sum(axis=1) + model.card.intercept
    np.testing.assert_allclose(scores.probability, 1 / (1 + np.exp(-log_odds)), atol=1e-6, rtol=0)
    assert scores.probability.dtype == scores.contributions.dtype == np.float32
    assert scores.probability.std() > 0.1


def test_a_term_depends_on_its_feature_alone(model, customers):
    column = 3
    changed = customers.copy()
    changed[:, column] = np.roll(changed[:, column], 1)
    before, after = model.predict(customers).contributions, model.predict(changed).contributions
    assert (before[:, column] != after[:, column]).any()
    np.testing.assert_array_equal(np.delete(before, column, axis=1), np.delete(after, column, axis=1))


def test_missing_contributes_nothing(model):
    nothing = np.full((1, len(model.card.features)), np.nan, dtype=np.float32)
    scores = model.predict(nothing)
    np.testing.assert_array_equal(scores.contributions, 0)
    assert scores.probability[0] == pytest.approx(1 / (1 + math.exp(-model.card.intercept)), abs=1e-6)


def test_a_score_does_not_depend_on_its_neighbours(model, customers):
    whole = model.predict(customers).probability
    parts = [model.predict(part).probability for part in np.array_split(customers, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_no_rows_give_no_scores(model):
    scores = model.predict(np.empty((0, len(model.card.features)), dtype=np.float32))
    assert scores.probability.shape == (0,)
    assert scores.contributions.shape == (0, len(model.card.terms))


@pytest.mark.parametrize("memory_order", ["C", "F"])
def test_memory_layout_does_not_matter(model, customers, memory_order):
    same = np.asarray(customers, order=memory_order)
    np.testing.assert_array_equal(model.predict(same).probability, model.predict(customers).probability)


@pytest.mark.parametrize(
    ("rows", "more_columns", "type_"),
    [((2,), 0, np.float64), ((), 0, np.float32), ((2,), -1, np.float32), ((2,), 1, np.float32)],
)
def test_another_type_or_shape_is_an_error(model, rows, more_columns, type_):
    columns = len(model.card.features)
    with pytest.raises(ValueError, match=rf"float32 \[rows, {columns}\]"):
        model.predict(np.zeros((*rows, columns + more_columns), dtype=type_))


def test_threads_share_a_model(model, customers):
    expected = model.predict(customers).probability
    with ThreadPoolExecutor(4) as threads:
        for scores in threads.map(lambda _: model.predict(customers), range(12)):
            np.testing.assert_array_equal(scores.probability, expected)


def test_versions_are_live_side_by_side(models, customers, model):
    def double(content):
        for attribute in content.graph.node[0].attribute:
            if attribute.name == "target_weights":
                attribute.floats[:] = [2 * weight for weight in attribute.floats]

    def doubled(term):
        scores = term.scores
        if isinstance(term, CategoricalTerm):
            return term.model_copy(update={"scores": {name: 2 * score for name, score in scores.items()}})
        return term.model_copy(update={"scores": tuple(2 * score for score in scores)})

    shutil.copytree(models / NAME / VERSION, models / NAME / "1.1.0")
    terms = tuple(map(doubled, model.card.terms))
    _tamper(models, double, version="1.1.0", in_card={"version": "1.1.0", "terms": terms})
    old, new = load_model(REF, models), load_model(f"{NAME}@1.1.0", models)
    np.testing.assert_array_equal(
        new.predict(customers).contributions, 2 * old.predict(customers).contributions
    )
    assert new.card.ref == "telco-churn@1.1.0"


def test_a_model_that_is_not_installed_is_not_found(models):
    with pytest.raises(ModelNotFound):
        load_model(f"{NAME}@2.0.0", models)


def test_a_missing_graph_is_refused(models):
    (models / NAME / VERSION / MODEL_FILE).unlink()
    with pytest.raises(ModelRefused, match=r"model\.onnx could not be read"):
        load_model(REF, models)


def test_a_missing_card_is_refused(models):
    (models / NAME / VERSION / CARD_FILE).unlink()
    with pytest.raises(ModelRefused, match=r"card\.json could not be read"):
        load_model(REF, models)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[:99] + b"\1" + b[100:]]
)
def test_a_changed_byte_is_refused(models, damage):
    path = models / NAME / VERSION / MODEL_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelRefused, match="SHA-256"):
        load_model(REF, models)


def _tamper(
    models: Path, change: Change, *, version: str = VERSION, in_card: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Change a model and let its card vouch for the changed file, so that the digest agrees."""
    folder = models / NAME / version
    content = onnx.load_model_from_string((folder / MODEL_FILE).read_bytes())
    changed = change(content)
    data = changed if isinstance(changed, bytes) else content.SerializeToString()
    (folder / MODEL_FILE).write_bytes(data)
    card = load_card(REF)
    file = card.model_file.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    card = card.model_copy(update={"model_file": file, **in_card})
    (folder / CARD_FILE).write_text(card.model_dump_json())


def _external(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def _external_initializer(content):
    _external(content.graph.initializer[0], "/etc/hostname")


def _external_attribute(content):
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    _external(tensor, "weights.bin")
    content.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def _inner_graph(
    content: onnx.ModelProto,
    *,
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[TensorProto] = (),
) -> None:
    inner = helper.make_graph(
        nodes, "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(initializers)
    )
    condition = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    content.graph.initializer.append(condition)
    content.graph.node.append(
        helper.make_node("If", ["yes"], ["unused"], then_branch=inner, else_branch=inner)
    )


def _external_in_inner_graph(content):
    tensor = helper.make_tensor("y", TensorProto.FLOAT, [1], [0.0])
    _external(tensor, "../secret")
    _inner_graph(content, nodes=[], initializers=[tensor])


def _external_sparse(content):
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    _external(values, "weights.bin")
    content.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2]))


def _foreign_domain(content):
    content.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _foreign_node(content):
    content.graph.node[-1].domain = "com.example.native"


def _foreign_node_in_inner_graph(content):
    _inner_graph(content, nodes=[helper.make_node("Anything", [], ["y"], domain="com.example.native")])


def _own_function(content):
    content.functions.append(
        helper.make_function("", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [])
    )


def _renamed_input(content):
    content.graph.input[0].name = "customers"
    content.graph.node[0].input[0] = "customers"


def _one_more_input(content):
    content.graph.input.append(helper.make_tensor_value_info("prior", TensorProto.FLOAT, ["rows"]))


def _wider_input(content):
    content.graph.input[0].type.tensor_type.shape.dim[1].dim_value += 1


def _double_input(content):
    content.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _fixed_rows(content):
    content.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _no_contributions(content):
    del content.graph.output[0]


def _swapped_outputs(content):
    first, second = list(content.graph.output)
    del content.graph.output[:]
    content.graph.output.extend([second, first])


def _unknown_operator(content):
    content.graph.node[-1].op_type = "Sigmoide"


def _no_graph(content):
    return b"this is no model" + content.SerializeToString()


def _empty(_content):
    return b""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_external_initializer, "'intercept' is stored outside"),
        (_external_attribute, "'hidden' is stored outside"),
        (_external_in_inner_graph, "'y' is stored outside"),
        (_external_sparse, "'w' is stored outside"),
        (_foreign_domain, "operators other than ONNX's own: com.microsoft"),
        (_foreign_node, "operators other than ONNX's own: com.example.native"),
        (_foreign_node_in_inner_graph, "operators other than ONNX's own: com.example.native"),
        (_own_function, "operators other than ONNX's own: its own functions"),
        (_renamed_input, "its inputs and outputs are"),
        (_one_more_input, "its inputs and outputs are"),
        (_wider_input, "its inputs and outputs are"),
        (_double_input, "its inputs and outputs are"),
        (_fixed_rows, "its inputs and outputs are"),
        (_no_contributions, "its inputs and outputs are"),
        (_swapped_outputs, "its inputs and outputs are"),
        (_unknown_operator, "ONNX Runtime cannot run it"),
        (_no_graph, "is not an ONNX model"),
        (_empty, "its inputs and outputs are"),
    ],
)
def test_a_model_that_is_not_what_its_card_says_is_refused(models, change, reason):
    _tamper(models, change)
    with pytest.raises(ModelRefused, match=reason) as refused:
        load_model(REF, models)
    assert refused.value.ref == REF


def _attributes(content: onnx.ModelProto) -> dict[str, onnx.AttributeProto]:
    return {attribute.name: attribute for attribute in content.graph.node[0].attribute}


def _edge_of_a_number(content):
    """Move it by one float32, which hardly any customer would show."""
    attributes = _attributes(content)
    place = list(attributes["nodes_modes"].strings).index(b"BRANCH_LT")
    value = np.float32(attributes["nodes_values"].floats[place])
    attributes["nodes_values"].floats[place] = np.nextafter(value, np.float32(np.inf))


def _score_of_a_category(content):
    weights, trees = (_attributes(content)[f"target_{name}"] for name in ("weights", "treeids"))
    weights.floats[list(trees.ints).index(1) + 1] += 2e-6


def _score_of_missing(content):
    attributes = _attributes(content)
    weights, nodes = attributes["target_weights"].floats, attributes["target_nodeids"].ints
    weights[max(range(len(nodes)), key=lambda n: (attributes["target_treeids"].ints[n] == 3, nodes[n]))] += 1


def _intercept(content):
    content.graph.initializer[0].double_data[:] = [content.graph.initializer[0].double_data[0] + 1e-4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_edge_of_a_number, "its scores of tenure are not those of its card"),
        (_score_of_a_category, "its scores of Contract are not those of its card"),
        (_score_of_missing, "its intercept or its scores of missing values"),
        (_intercept, "its intercept or its scores of missing values"),
    ],
)
def test_model_whose_terms_are_not_those_of_its_card_is_refused(models, change, reason):
    _tamper(models, change)
    with pytest.raises(ModelRefused, match=reason):
        load_model(REF, models)
