"""What requests about saved mappings say, and what they are answered with."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ml_models.intake.dialect import MAX_COLUMNS

MAX_PAGE = 100

Header = Annotated[str, StringConstraints(max_length=1_000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class MappingsQuery(_Model):
    """A page of saved mappings."""

    limit: int = Field(default=MAX_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")


class SaveMapping(_Model):
    """How files with these headers are to be read."""

    model: str | None = Field(default=None, max_length=200, description="`name@version`")
    headers: list[Header] = Field(min_length=1, max_length=MAX_COLUMNS, description="All headers of the file")
    mapping: dict[str, str] = Field(description="Feature, or `customer_value`, to header")
    values: dict[str, dict[str, str]] = Field(
        default={}, description="By feature: a spelling in the file, to the category that it means"
    )


class MappingLinks(_Model):
    """Paths of this API."""

    self: str


class MappingResource(_Model):
    """A saved mapping. It is offered by the inspection of files with the same headers, in any order."""

    name: str
    model_name: str
    headers: list[str]
    mapping: dict[str, str]
    values: dict[str, dict[str, str]]
    created_at: datetime
    updated_at: datetime
    links: MappingLinks


class MappingsPage(_Model):
    """A page of saved mappings, by name."""

    items: list[MappingResource]
    next_cursor: str | None
