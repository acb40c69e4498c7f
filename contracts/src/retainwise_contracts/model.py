"""The base classes and field types that all contract models share."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Contract(BaseModel):
    """A frozen model that refuses unknown fields when it is built, so that a writer's typo is found.

    Readers ignore unknown fields: the codec reads with `extra="ignore"`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", protected_namespaces=())


class OpenEnum(StrEnum):
    """An enum that may get new members: a reader maps an unknown value to UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get("UNKNOWN") if isinstance(value, str) else None


@dataclass(frozen=True)
class Unit:
    """What a number counts or measures: `unit` in the JSON schema, so that a change of it is noticed."""

    name: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the unit to the field's JSON schema."""
        return {**handler(schema), "unit": self.name}


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Bytes = Annotated[int, Unit("bytes")]
Rows = Annotated[int, Unit("rows")]
Customers = Annotated[int, Unit("customers")]
Attempts = Annotated[int, Unit("attempts")]

Probability = Annotated[float, Unit("probability from 0 to 1")]
Share = Annotated[float, Unit("share from 0 to 1")]

LogOdds = Annotated[float, Unit("log-odds")]
"""What is added to ln(p / (1 - p)) of leaving: above 0 raises the risk, 0.7 doubles the odds."""

UtcDatetime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A point in time in UTC, written in ISO 8601 with `Z`. A time without a zone is refused."""

TenantId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A customer company, in characters that are safe in an object key, a log line and an SQS message group."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

TraceParent = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]
"""The sender's span as a W3C Trace Context `traceparent`."""
