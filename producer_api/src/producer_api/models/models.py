"""What requests about models are answered with."""

from typing import Literal

from pydantic import BaseModel, Field

from ml_models.card import Card


class ListedFeature(BaseModel):
    """What a model reads of a customer."""

    name: str
    label: str
    kind: Literal["numeric", "categorical"]
    required: bool = Field(description="Whether a file without it is refused")
    changeable: bool = Field(description="Whether it could be another one for the same customer")
    also_known_as: list[str] = Field(description="Headers that are read as this feature")
    action: str | None = Field(description="What could be done for a customer whose risk it raises")
    unit: str | None = Field(default=None, description="Of a number")
    categories: list[str] | None = Field(default=None, description="The categories that the model knows")


class ListedModel(BaseModel):
    """An installed model and what it reads."""

    model: str
    name: str
    version: str
    description: str
    is_default: bool = Field(description="Whether it scores files for which no model is named")
    features: list[ListedFeature]


class ModelList(BaseModel):
    """The installed models."""

    models: list[ListedModel]


class ModelCard(Card):
    """A model's card, with the terms that its scores are made of."""

    model: str
    is_default: bool
