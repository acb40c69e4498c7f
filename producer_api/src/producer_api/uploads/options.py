"""The parameters of an upload: model, mapping, reasons, confirm and deadline, from the query or the form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ml_models.card import Card
from ml_models.intake.columns import InvalidMapping
from producer_api.http.errors import InvalidParameter
from producer_api.models.catalog import Models
from retainwise_contracts.prediction_requested import MAX_REASONS, ModelReference, ScoringOptions

MAX_FIELD_BYTES = 16_384
"""For one parameter. Ten messages with a mapping of this size fit into one request to SQS."""

PARAMETERS = ("model", "mapping", "reasons", "confirm", "deadline")


@dataclass(frozen=True)
class PredictionOptions:
    """How a file is to be scored."""

    card: Card
    mapping: Mapping[str, str]
    """Feature to header, as sent; checked against the card and the file later."""
    scoring: ScoringOptions
    deadline: datetime | None

    @property
    def model(self) -> ModelReference:
        """The model to score with."""
        return ModelReference(name=self.card.name, version=self.card.version)


def read_options(parameters: Iterable[tuple[str, str]], models: Models) -> PredictionOptions:
    """Read the parameters of a request; each is optional.

    Raises:
        InvalidParameter: one is unknown, given twice or cannot be read.
        InvalidMapping: the mapping is not a JSON object of strings.
        ModelNotFound: the model is not installed.
    """
    given: dict[str, str] = {}
    for name, text in parameters:
        if name not in PARAMETERS:
            raise InvalidParameter(name, f"unknown parameter. The parameters are {', '.join(PARAMETERS)}.")
        if name in given:
            raise InvalidParameter(name, "it was sent more than once.")
        given[name] = text
    card = models.card(given.get("model", models.default))
    return PredictionOptions(
        card=card,
        mapping=_mapping(given["mapping"]) if "mapping" in given else {},
        scoring=_scoring(given, card),
        deadline=_deadline(given["deadline"]) if "deadline" in given else None,
    )


def _mapping(text: str) -> Mapping[str, str]:
    try:
        mapping = orjson.loads(text)
    except ValueError as error:
        raise InvalidMapping(f"It is not JSON: {error}.") from error
    if not isinstance(mapping, dict) or not all(isinstance(header, str) for header in mapping.values()):
        raise InvalidMapping('Send a JSON object of feature and header: {"tenure": "Months with us"}.')
    return mapping


def _scoring(given: Mapping[str, str], card: Card) -> ScoringOptions:
    chosen: dict[str, Any] = {}
    if "reasons" in given:
        if given["reasons"] not in {str(number) for number in range(MAX_REASONS + 1)}:
            raise InvalidParameter("reasons", f"send an integer from 0 to {MAX_REASONS}.")
        chosen["reasons"] = int(given["reasons"])
    if "confirm" in given:
        chosen["confirmed"] = _confirmed(given["confirm"], card)
    return ScoringOptions(**chosen)


def _confirmed(text: str, card: Card) -> tuple[str, ...]:
    """Read the names of features, separated by commas; each is kept once, in the order of the card."""
    names = {name.strip() for name in text.split(",") if name.strip()}
    features = [feature.name for feature in card.features]
    if not names or not names.issubset(features):
        raise InvalidParameter(
            "confirm",
            f"send names of features of {card.ref}, separated by commas. They are: {', '.join(features)}.",
        )
    return tuple(name for name in features if name in names)


def _deadline(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        deadline = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidParameter("deadline", "send an ISO 8601 time, such as 2026-12-01T12:00:00Z.") from error
    if moment.tzinfo is None:
        raise InvalidParameter("deadline", "send it with a time zone, such as 2026-12-01T12:00:00Z.")
    if deadline <= datetime.now(UTC):
        raise InvalidParameter("deadline", "it is in the past.")
    return deadline
