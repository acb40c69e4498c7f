"""The handlers of `/v1/models`."""

from typing import Any

from aiohttp import hdrs, web

from ml_models.card import Card, CategoricalFeature, NumericFeature
from producer_api.http.answers import REVALIDATED, json_answer
from producer_api.http.conditional import etag, if_none_match
from producer_api.http.route import Route
from producer_api.models.catalog import MODELS
from producer_api.models.errors import UnknownModel
from producer_api.models.models import ModelCard, ModelList


async def list_models(request: web.Request) -> web.Response:
    """Answer the installed models and the columns each one reads."""
    models = request.app[MODELS]
    listed = [_model(card, is_default=ref == models.default) for ref, card in models.cards.items()]
    return _revalidated(request, {"models": listed})


async def get_model(request: web.Request) -> web.Response:
    """Answer a model's card, with the terms that its scores are made of."""
    models, ref = request.app[MODELS], request.match_info["ref"]
    card = models.cards.get(ref)
    if card is None:
        raise UnknownModel(models.cards)
    named = {"model": ref, "is_default": ref == models.default}
    return _revalidated(request, named | card.model_dump(mode="json"))


def _revalidated(request: web.Request, content: dict[str, Any]) -> web.Response:
    answer = json_answer(content)
    tag = etag(answer.body)
    answer.headers.update({hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED})
    return if_none_match(request, tag) or answer


def _model(card: Card, *, is_default: bool) -> dict[str, Any]:
    return {
        "model": card.ref,
        "name": card.name,
        "version": card.version,
        "description": card.description,
        "is_default": is_default,
        "features": [_feature(card, feature) for feature in card.features],
    }


def _feature(card: Card, feature: NumericFeature | CategoricalFeature) -> dict[str, Any]:
    described = {
        "name": feature.name,
        "label": feature.label,
        "kind": feature.kind,
        "required": feature.required,
        "changeable": feature.changeable,
        "also_known_as": feature.aliases,
        "action": card.actions.get(feature.name),
    }
    if feature.kind == "numeric":
        return described | {"unit": feature.unit}
    return described | {"categories": feature.categories}


ROUTES = (
    Route(
        "GET",
        "/v1/models",
        list_models,
        "List the models that are installed and what each one reads.",
        answers={200: ModelList, 304: None},
    ),
    Route(
        "GET",
        "/v1/models/{ref}",
        get_model,
        "Get a model's card, with the terms that its scores are made of.",
        answers={200: ModelCard, 304: None},
        errors=(UnknownModel,),
    ),
)
