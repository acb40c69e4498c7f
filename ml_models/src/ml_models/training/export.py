"""Exports the trained model as one ONNX graph, and checks that the two agree.

Every term is a balanced tree in one TreeEnsembleRegressor with one target per term, so that a single run
returns the contributions [rows, terms] in log-odds and the probability [rows]. The card's tables of the terms
are read from the graph again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ml_models.card import UNSEEN_CODE, NumericSpecification, Specification
from ml_models.terms import CategoricalTerm, NumericTerm, Term
from ml_models.training.errors import ExportDisagrees
from ml_models.training.models import AdditiveModel, Shape

INPUT, CONTRIBUTIONS, PROBABILITY = "features", "contributions", "probability"
OPSETS = {"": 21, "ai.onnx.ml": 3}
IR_VERSION = 10
TOLERANCE = 1e-6
"""Largest allowed difference, in log-odds and in probability, between the graph and the trained model."""

_INFINITY = np.float32(np.inf)


def to_onnx(model: AdditiveModel) -> bytes:
    """Write a model without interactions as an ONNX file; the same model gives the same bytes."""
    nodes: list[_Node] = []
    for term, shape in enumerate(model.shapes):
        nodes += _tree(term, shape)
    leaves = [node for node in nodes if node.mode == "LEAF"]
    terms = len(model.shapes)
    intercept = helper.make_tensor("intercept", TensorProto.DOUBLE, [1], [float(np.float32(model.intercept))])
    term_axis = helper.make_tensor("term_axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                [INPUT],
                [CONTRIBUTIONS],
                domain="ai.onnx.ml",
                n_targets=terms,
                nodes_treeids=[node.tree for node in nodes],
                nodes_nodeids=[node.id for node in nodes],
                nodes_featureids=[node.tree for node in nodes],  # term i reads feature i
                nodes_modes=[node.mode for node in nodes],
                nodes_values=[node.value for node in nodes],
                nodes_truenodeids=[node.if_true for node in nodes],
                nodes_falsenodeids=[node.if_false for node in nodes],
                target_treeids=[leaf.tree for leaf in leaves],
                target_nodeids=[leaf.id for leaf in leaves],
                target_ids=[leaf.tree for leaf in leaves],
                target_weights=[leaf.weight for leaf in leaves],
            ),
            # In double precision: the rounding of a float32 sum depends on the row's place in the batch, and
            # a customer's score must not depend on the other rows.
            helper.make_node("Cast", [CONTRIBUTIONS], ["addends"], to=TensorProto.DOUBLE),
            helper.make_node("ReduceSum", ["addends", "term_axis"], ["sum"], keepdims=0),
            helper.make_node("Add", ["sum", "intercept"], ["log_odds"]),
            helper.make_node("Sigmoid", ["log_odds"], ["precise_probability"]),
            helper.make_node("Cast", ["precise_probability"], [PROBABILITY], to=TensorProto.FLOAT),
        ],
        "additive_model",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", len(model.specification)])],
        [
            helper.make_tensor_value_info(CONTRIBUTIONS, TensorProto.FLOAT, ["rows", terms]),
            helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, ["rows"]),
        ],
        [intercept, term_axis],
    )
    proto = helper.make_model(
        graph,
        producer_name="retainwise-ml-models",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
    )
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


@dataclass
class _Node:
    tree: int
    id: int
    mode: str = "LEAF"
    value: float = 0.0
    if_true: int = 0
    if_false: int = 0
    weight: float = 0.0


def _tree(term: int, shape: Shape) -> list[_Node]:
    """Build a term's tree: a first node that only NaN fails, then a balanced search for the bin."""
    nodes: list[_Node] = []

    def add_leaf(weight: float) -> int:
        nodes.append(_Node(term, len(nodes), weight=weight))
        return nodes[-1].id

    def add_search(thresholds: Sequence[float], weights: Sequence[float]) -> int:
        if not thresholds:
            return add_leaf(weights[0])
        middle = len(thresholds) // 2
        node = _Node(term, len(nodes), "BRANCH_LT", thresholds[middle])
        nodes.append(node)
        node.if_true = add_search(thresholds[:middle], weights[: middle + 1])
        node.if_false = add_search(thresholds[middle + 1 :], weights[middle + 1 :])
        return node.id

    # An infinite value is a number: it falls into the outermost bin, as in the trained model.
    present = _Node(term, 0, "BRANCH_LEQ", float(_INFINITY))
    nodes.append(present)
    present.if_true = add_search(*_steps(shape))
    present.if_false = add_leaf(shape.missing)
    return nodes


def _steps(shape: Shape) -> tuple[list[float], list[float]]:
    """Return a term's float32 thresholds and the scores below, between and above them."""
    if isinstance(shape.feature, NumericSpecification):
        return [_threshold(cut) for cut in shape.cuts], list(shape.scores)
    codes = range(len(shape.scores) + 1)
    return [code - 0.5 for code in codes], [shape.unseen, *shape.scores, shape.unseen]


def _threshold(cut: float) -> float:
    """Return the least float32 not below a float64 cut: for every float32 x, `x < cut` is `x < threshold`."""
    nearest = np.float32(cut)
    # Compared as float64: beside a float32, NumPy rounds a Python float to float32 first.
    return float(nearest if float(nearest) >= cut else np.nextafter(nearest, _INFINITY))


def read_terms(
    content: bytes, specification: Sequence[Specification], importances: Sequence[float]
) -> tuple[Term, ...]:
    """Read the tables of the terms from an exported graph.

    Args:
        content: the ONNX file, as `to_onnx` writes it.
        specification: the model's features.
        importances: the mean absolute contribution of each term.
    """
    [ensemble] = (
        node
        for node in onnx.load_model_from_string(content).graph.node
        if node.op_type == "TreeEnsembleRegressor"
    )
    attributes = {each.name: helper.get_attribute_value(each) for each in ensemble.attribute}
    return tuple(
        _term(feature, importance, _nodes_of(attributes, tree))
        for tree, (feature, importance) in enumerate(zip(specification, importances, strict=True))
    )


def _nodes_of(attributes: Mapping[str, Sequence[Any]], tree: int) -> Mapping[int, _Node]:
    """Return one tree's nodes by their ids."""
    names = ("treeids", "nodeids", "modes", "values", "truenodeids", "falsenodeids")
    columns = (attributes[f"nodes_{name}"] for name in names)
    nodes = {
        node: _Node(tree, node, mode.decode(), value, if_true, if_false)
        for of_tree, node, mode, value, if_true, if_false in zip(*columns, strict=True)
        if of_tree == tree
    }
    leaves = (attributes[f"target_{name}"] for name in ("treeids", "nodeids", "weights"))
    for of_tree, node, weight in zip(*leaves, strict=True):
        if of_tree == tree:
            nodes[node].weight = weight
    return nodes


def _term(feature: Specification, importance: float, nodes: Mapping[int, _Node]) -> Term:
    root = nodes[0]
    missing = nodes[root.if_false].weight
    thresholds: list[float] = []
    weights: list[float] = []

    def walk(node: _Node) -> None:
        if node.mode == "LEAF":
            weights.append(node.weight)
        else:
            walk(nodes[node.if_true])
            thresholds.append(node.value)
            walk(nodes[node.if_false])

    walk(nodes[root.if_true])
    if isinstance(feature, NumericSpecification):
        return NumericTerm(
            feature=feature.name,
            importance=importance,
            missing=missing,
            edges=tuple(thresholds),
            scores=tuple(weights),
        )
    unseen, *scores, _ = weights
    return CategoricalTerm(
        feature=feature.name,
        importance=importance,
        missing=missing,
        scores=dict(zip(feature.categories, scores, strict=True)),
        unseen=unseen,
    )


def check(content: bytes, model: AdditiveModel, features: NDArray[np.float32]) -> float:
    """Check that an exported graph agrees with the trained model, and return the greatest difference.

    Args:
        content: the ONNX file.
        model: the trained model.
        features: float32 `[rows, features]`, all training rows; edge cases are added.

    Raises:
        ExportDisagrees: a contribution or a probability differs by more than the tolerance.
    """
    rows = np.vstack([features, edge_cases(model, features[0])])
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exported = session.run([CONTRIBUTIONS, PROBABILITY], {INPUT: rows})
    trained = [model.contributions(rows), model.probability(rows)]
    greatest = 0.0
    for name, ours, theirs in zip((CONTRIBUTIONS, PROBABILITY), trained, exported, strict=True):
        difference = np.abs(ours - theirs)
        if not difference.max() <= TOLERANCE:  # so that NaN fails too
            worst = np.unravel_index(np.argmax(difference), difference.shape)
            raise ExportDisagrees(
                name, row=int(worst[0]), expected=float(ours[worst]), exported=float(theirs[worst])
            )
        greatest = max(greatest, float(difference.max()))
    return greatest


def edge_cases(model: AdditiveModel, row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Build rows at and around every boundary of the model: float32 `[rows, features]`.

    From one real row, a feature at a time: each threshold with its two float32 neighbours, or each category
    with one code before the first and one past the last; both infinities; missing. Then all features missing
    at once, and all never seen.
    """
    rows = []
    for column, shape in enumerate(model.shapes):
        if isinstance(shape.feature, NumericSpecification):
            thresholds = np.array(_steps(shape)[0], dtype=np.float32)
            below, above = np.nextafter(thresholds, -_INFINITY), np.nextafter(thresholds, _INFINITY)
            boundaries = np.concatenate([thresholds, below, above])
        else:
            boundaries = np.arange(UNSEEN_CODE, len(shape.scores) + 1, dtype=np.float32)
        values = np.concatenate([boundaries, [-_INFINITY, _INFINITY, np.nan]])
        block = np.tile(row, (len(values), 1))
        block[:, column] = values
        rows.append(block)
    rows.append(np.stack([np.full_like(row, np.nan), np.full_like(row, UNSEEN_CODE)]))
    return np.vstack(rows).astype(np.float32)
