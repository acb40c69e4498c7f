"""The models that predictions can use, described by their cards. The API never loads a model itself."""

from collections.abc import Mapping

from aiohttp import web

from ml_models.card import Card
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
