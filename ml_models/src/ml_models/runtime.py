"""Runs a churn model: takes encoded customers, returns probabilities and their exact explanations."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,  # noqa: A004 (ONNX Runtime's word for a missing kernel)
    RuntimeException,
)

from ml_models.card import (
    ARTIFACTS,
    MODEL_FILE,
    UNSEEN_CODE,
    Card,
    installed_models,
    load_card,
    model_directory,
)
from ml_models.errors import ModelNotFound, ModelRefused
from ml_models.terms import NumericTerm, Term, explain

__all__ = ["ChurnModel", "ModelNotFound", "ModelRefused", "Scores", "installed_models", "load_model"]

TOLERANCE = 1e-6
"""The greatest difference, in log-odds and in probability, between a card's terms and its model."""

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_REFUSALS = (InvalidGraph, InvalidProtobuf, InvalidArgument, NotImplemented, RuntimeException, Fail)


@dataclass(frozen=True, slots=True)
class Scores:
    """A model's output for each row.

    `probability` is float32 `[rows]`; `contributions` is float32 `[rows, terms]` in log-odds, in the order
    of the card's terms, without the intercept: sigmoid(sum of contributions + intercept) = probability.
    """

    probability: NDArray[np.float32]
    contributions: NDArray[np.float32]


class ChurnModel:
    """A loaded model. Threads can share it: a run keeps no state and releases the GIL."""

    def __init__(self, card: Card, session: onnxruntime.InferenceSession) -> None:
        self.card = card
        self._session = session
        self._outputs = [card.model_file.probability, card.model_file.contributions]

    def predict(self, features: NDArray[np.float32]) -> Scores:
        """Score encoded customers.

        Args:
            features: float32 `[rows, features]` in the order of the card's features. A number, or a
                category's code; NaN is missing, -1 a category the model has never seen.

        Raises:
            ValueError: `features` has another type or shape.
        """
        expected = len(self.card.features)
        if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] != expected:
            raise ValueError(
                f"features must be float32 [rows, {expected}], not {features.dtype} {list(features.shape)}"
            )
        probability, contributions = self._session.run(self._outputs, {self.card.model_file.input: features})
        return Scores(probability, contributions)


def load_model(ref: str, directory: Path | None = None) -> ChurnModel:
    """Load an installed model, addressed `name@version`. Several can be loaded at once.

    The file runs only after it has been checked to match its card and to need nothing outside itself; then
    the card's terms are compared with what it says.

    Raises:
        ModelNotFound: no such model is installed.
        ModelRefused: a file is missing or damaged, or the model does not match its card.
    """
    directory = directory or ARTIFACTS
    card = load_card(ref, directory)
    content = _read(ref, model_directory(ref, directory) / MODEL_FILE)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.model_file.sha256:
        raise ModelRefused(
            ref, f"{MODEL_FILE} has the SHA-256 {digest}, but its card says {card.model_file.sha256}"
        )
    _inspect(ref, content, card)
    model = ChurnModel(card, _session(ref, content))
    _compare_terms(ref, model)
    return model


def _read(ref: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(ref, f"its {path.name} could not be read: {error.strerror}") from error


def _inspect(ref: str, content: bytes, card: Card) -> None:
    """Refuse a graph with data outside its file, custom operators, or an interface unlike its card's."""
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelRefused(ref, f"{MODEL_FILE} is not an ONNX model") from error
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelRefused(ref, f"the tensor {tensor.name!r} is stored outside {MODEL_FILE}")
    domains = {opset.domain for opset in model.opset_import}
    domains |= {node.domain for node in _nodes(model.graph)}
    if model.functions or not domains <= _DOMAINS:
        foreign = ", ".join(sorted(domains - _DOMAINS)) or "its own functions"
        raise ModelRefused(ref, f"it needs operators other than ONNX's own: {foreign}")
    found = [_signature(value) for value in (*model.graph.input, *model.graph.output)]
    expected = _interface(card)
    if found != expected:
        raise ModelRefused(ref, f"its inputs and outputs are {found}, but its card says {expected}")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield a graph's nodes, including those of branches and loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Yield all tensors of a graph: initializers and attributes, including sparse ones and inner graphs."""
    sparse = list(graph.sparse_initializer)
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += (attribute.sparse_tensor, *attribute.sparse_tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _interface(card: Card) -> list[str]:
    file = card.model_file
    return [
        f"{file.input}: FLOAT[rows, {len(card.features)}]",
        f"{file.contributions}: FLOAT[rows, {len(card.terms)}]",
        f"{file.probability}: FLOAT[rows]",
    ]


def _signature(value: onnx.ValueInfoProto) -> str:
    """Describe an input or output as `_interface` does; a variable dimension is shown by its name."""
    tensor = value.type.tensor_type
    shape = ", ".join(
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim
    )
    return f"{value.name}: {TensorProto.DataType.Name(tensor.elem_type)}[{shape}]"


def _session(ref: str, content: bytes) -> onnxruntime.InferenceSession:
    """Open a session that uses one thread: scoring files in parallel uses the cores better."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they come as exceptions as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise ModelRefused(ref, f"ONNX Runtime cannot run it: {error}") from error


def _compare_terms(ref: str, model: ChurnModel) -> None:
    """Refuse a card whose terms say something else than its model, at any edge or category."""
    columns = {feature.name: column for column, feature in enumerate(model.card.features)}
    nothing = np.full((1, len(columns)), np.nan, np.float32)
    expected = explain(model.card, {}).probability
    if not abs(model.predict(nothing).probability[0] - expected) <= TOLERANCE:  # so that NaN fails too
        raise ModelRefused(ref, "its intercept or its scores of missing values are not those of its card")
    for position, term in enumerate(model.card.terms):
        inputs, scores = _table(term)
        rows = np.repeat(nothing, len(inputs), axis=0)
        rows[:, columns[term.feature]] = inputs
        contributions = model.predict(rows).contributions[:, position]
        if not np.abs(contributions - scores).max() <= TOLERANCE:
            raise ModelRefused(ref, f"its scores of {term.feature} are not those of its card")


def _table(term: Term) -> tuple[NDArray[np.float32], list[float]]:
    """Return the inputs at which a term could differ from its model, and the term's scores of them.

    Of a number: every edge with its float32 neighbours, both infinities, missing. Of a category: every code,
    one before and one after them, missing.
    """
    if isinstance(term, NumericTerm):
        edges = np.array(term.edges, np.float32)
        infinite = np.array([-np.inf, np.inf], np.float32)
        around = [edges, *(np.nextafter(edges, beyond) for beyond in infinite)]
        inputs = np.concatenate([*around, infinite, np.array([np.nan], np.float32)])
        return inputs, [term.score(value) for value in inputs.tolist()]
    codes = np.array([UNSEEN_CODE, *range(len(term.scores) + 1), np.nan], np.float32)
    return codes, [term.unseen, *term.scores.values(), term.unseen, term.missing]
