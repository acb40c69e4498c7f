"""The models that predictions can use, described by their cards. The API never loads a model itself."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from ml_models.card import Card, CategoricalFeature, NumericFeature
from ml_models.errors import ModelNotFound


class Models:
    """The cards of the installed models, by `name@version`."""

    def __init__(self, cards: Mapping[str, Card], *, default: str) -> None:
        self.cards = cards
        self.default = default

    def card(self, ref: str) -> Card:
        """Return a model's card. Raises ModelNotFound."""
        try:
            return self.cards[ref]
        except KeyError:
            raise ModelNotFound(ref, installed=tuple(self.cards)) from None


MODELS = web.AppKey("models", Models)


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
