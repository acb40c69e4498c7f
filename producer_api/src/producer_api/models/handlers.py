"""The handlers of `/v1/models`."""

from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from ml_models.card import Card, CategoricalFeature, NumericFeature
from producer_api.http.route import Route
from producer_api.models.catalog import MODELS


async def list_models(request: web.Request) -> web.Response:
    """Answer the installed models and the columns each one reads."""
    models = request.app[MODELS]
    listed = [_model(card, is_default=ref == models.default) for ref, card in models.cards.items()]
    return web.Response(body=orjson.dumps({"models": listed}), content_type="application/json")


def _model(card: Card, *, is_default: bool) -> dict[str, Any]:
    return {
        "model": card.ref,
        "name": card.name,
        "version": card.version,
        "description": card.description,
        "is_default": is_default,
        "features": [_feature(feature) for feature in card.features],
    }


def _feature(feature: NumericFeature | CategoricalFeature) -> dict[str, Any]:
    described = {
        "name": feature.name,
        "label": feature.label,
        "kind": feature.kind,
        "required": feature.required,
        "also_known_as": feature.aliases,
    }
    if feature.kind == "numeric":
        return described | {"unit": feature.unit}
    return described | {"categories": feature.categories}


class ModelList(BaseModel):
    """The installed models."""

    models: list[dict[str, Any]]


ROUTES = (
    Route(
        *("GET", "/v1/models", list_models, "The models that are installed and what each one reads."),
        answers={200: ModelList},
    ),
)
