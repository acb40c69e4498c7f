"""How a file is to be scored: from a JSON body, or from the query or the form that comes with a file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from ml_models.card import Card
from ml_models.intake.columns import InvalidMapping
from producer_api.http.body import MAX_ERRORS, validate
from producer_api.http.errors import FieldError, InvalidParameter, InvalidRequest
from producer_api.models.catalog import Models
from producer_api.predictions.models import ChosenOptions, RetryPrediction
from producer_api.predictions.store import Prediction
from retainwise_contracts.prediction_requested import ModelReference, ScoringOptions

MAX_FIELD_BYTES = 16_384
"""For one parameter, and for mapping and values together. Ten messages with so much of them fit into one
request to SQS."""

PARAMETERS = (
    "model",
    "mapping",
    "values",
    "reasons",
    "confirm",
    "currency",
    "customer_value_period",
    "label",
    "metadata",
    "deadline",
)

_NUMBER = re.compile(r"[0-9]{1,9}")
_JSON = frozenset({"values", "metadata"})
_OF_SCORING = frozenset({"reasons", "confirm", "customer_value_period"})
_OF_FEATURES = frozenset({"confirmed", "values"})


@dataclass(frozen=True)
class PredictionOptions:
    """How a file is to be scored, and what its tenant writes on the prediction."""

    card: Card
    mapping: Mapping[str, str]
    """Feature to header, as sent; checked against the card and the file later."""
    scoring: ScoringOptions
    deadline: datetime | None
    label: str | None
    metadata: Mapping[str, Any] | None

    @property
    def model(self) -> ModelReference:
        """The model to score with."""
        return ModelReference(name=self.card.name, version=self.card.version)


def read_options(parameters: Iterable[tuple[str, str]], models: Models) -> PredictionOptions:
    """Read the parameters that come with a file, as text; each is optional.

    Raises:
        InvalidRequest: one is unknown, given twice or cannot be read.
        InvalidMapping: the mapping is not a JSON object of strings.
        ModelNotFound: the model is not installed.
    """
    given: dict[str, Any] = {}
    for name, text in parameters:
        if name not in PARAMETERS:
            raise InvalidParameter(name, f"unknown parameter. The parameters are {', '.join(PARAMETERS)}.")
        if name in given:
            raise InvalidParameter(name, "it was sent more than once.")
        given[name] = text
    content = {name: _parse(name, text) for name, text in given.items()}
    scoring = {name: content.pop(name) for name in _OF_SCORING if name in content}
    wanted = validate(RetryPrediction, {**content, "options": validate(ChosenOptions, scoring)})
    return choose_options(wanted, models)


def choose_options(
    wanted: RetryPrediction, models: Models, before: Prediction | None = None
) -> PredictionOptions:
    """Complete and check how a file is to be scored.

    Args:
        wanted: what the request says.
        models: the installed models.
        before: the prediction that is retried: what the request leaves out is as it was there. What belongs
            to a model's features is taken over for the same model only.

    Raises:
        InvalidRequest: something does not fit the model.
        ModelNotFound: the model is not installed.
    """
    card = models.card(wanted.model or (str(before.model) if before else models.default))
    same_model = before is not None and before.model_name == card.name
    mapping = _parse_row(before.mapping) if before and same_model else {}
    scoring = _parse_row(before.options) if before else {}
    if not same_model:
        scoring = {name: scoring[name] for name in scoring.keys() - _OF_FEATURES}
    chosen = {
        "reasons": wanted.options.reasons,
        "confirmed": wanted.options.confirm,
        "customer_value_period": wanted.options.customer_value_period,
        "values": wanted.values,
        "currency": wanted.currency,
    }
    scoring |= {name: value for name, value in chosen.items() if value is not None}
    options = PredictionOptions(
        card=card,
        mapping=mapping if wanted.mapping is None else wanted.mapping,
        scoring=ScoringOptions.model_validate(scoring, extra="ignore"),
        deadline=wanted.deadline,
        label=wanted.label or (before.label if before else None),
        metadata=wanted.metadata if wanted.metadata is not None else _metadata_of(before),
    )
    _check(options)
    return replace(options, scoring=_in_order(options.scoring, card))


def _parse(name: str, text: str) -> object:
    """Read one parameter; what has the wrong form is left as text, which its model refuses."""
    if name == "mapping":
        return _mapping(text)
    if name in _JSON:
        try:
            return orjson.loads(text)
        except ValueError as error:
            raise InvalidParameter(name, f"it is not JSON: {error}.") from error
    if name == "reasons" and _NUMBER.fullmatch(text):
        return int(text)
    if name == "confirm":
        return tuple(part.strip() for part in text.split(",") if part.strip()) or text
    return text


def _mapping(text: str) -> Mapping[str, str]:
    try:
        mapping = orjson.loads(text)
    except ValueError as error:
        raise InvalidMapping(f"It is not JSON: {error}.") from error
    if not isinstance(mapping, dict) or not all(isinstance(header, str) for header in mapping.values()):
        raise InvalidMapping('Send a JSON object of feature and header: {"tenure": "Months with us"}.')
    return mapping


def _parse_row(document: str | None) -> dict[str, Any]:
    return orjson.loads(document) if document is not None else {}


def _metadata_of(before: Prediction | None) -> dict[str, Any] | None:
    return None if before is None or before.metadata is None else _parse_row(before.metadata)


def _check(options: PredictionOptions) -> None:
    """Check what the card can judge. The mapping is checked with the file's headers.

    Raises:
        InvalidRequest: it does not fit.
    """
    errors = [*_errors_of_confirmed(options), *_errors_of_values(options)]
    size = len(orjson.dumps([options.mapping, options.scoring.values]))
    if size > MAX_FIELD_BYTES:
        detail = f"with values, the maximum is {MAX_FIELD_BYTES:,} bytes."
        errors.append(FieldError(field="mapping", detail=detail))
    if options.deadline is not None and options.deadline <= datetime.now(UTC):
        errors.append(FieldError(field="deadline", detail="it is in the past."))
    if errors:
        raise InvalidRequest(errors[:MAX_ERRORS])


def _errors_of_confirmed(options: PredictionOptions) -> Iterator[FieldError]:
    features = [feature.name for feature in options.card.features]
    if not set(options.scoring.confirmed) <= set(features):
        yield FieldError(
            field="confirm",
            detail=f"send names of features of {options.card.ref}. They are: {', '.join(features)}.",
        )


def _errors_of_values(options: PredictionOptions) -> Iterator[FieldError]:
    categories = {
        feature.name: feature.categories for feature in options.card.features if feature.kind == "categorical"
    }
    for name, spellings in options.scoring.values.items():
        if name not in categories:
            yield FieldError(
                field="values", detail=f"send features with categories. They are: {', '.join(categories)}."
            )
        elif not set(spellings.values()) <= set(categories[name]):
            yield FieldError(
                field=f"values.{name}", detail=f"send its categories: {', '.join(categories[name])}."
            )


def _in_order(scoring: ScoringOptions, card: Card) -> ScoringOptions:
    """Keep each confirmed feature once, in the order of the card: equal requests give equal bytes."""
    confirmed = tuple(feature.name for feature in card.features if feature.name in scoring.confirmed)
    return scoring.model_copy(update={"confirmed": confirmed})
