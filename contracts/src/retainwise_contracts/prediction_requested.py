"""`retainwise.prediction.requested.v1`: the API asks a worker to score an uploaded file."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from retainwise_contracts.model import Contract, Sha256, TenantId, UtcDatetime

MAX_REASONS = 5

CUSTOMER_VALUE = "customer_value"
"""The name under which a mapping maps the column of what a customer pays. No model has such a feature."""

ValuePeriod = Literal["month", "year"]
"""The time for which a customer's value is paid."""


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("only printable characters, without spaces around them")
    return text


Currency = Annotated[str, Field(min_length=1, max_length=8), AfterValidator(_printable)]
"""How a currency is written: `€`, `USD`. It is only shown."""


class UploadReference(Contract):
    """The object a worker reads. `sha256` and `size_bytes` are those of the uploaded bytes."""

    bucket: str
    key: str
    version_id: str | None = Field(description="Null if the bucket is not versioned")
    size_bytes: int = Field(gt=0)
    sha256: Sha256


class ModelReference(Contract):
    """A model by name and version, written `name@version` in text."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class ScoringOptions(Contract):
    """The options a tenant may set."""

    reasons: int = Field(default=3, ge=0, le=MAX_REASONS, description="Reasons for each customer's score")
    confirmed: tuple[str, ...] = Field(
        default=(),
        description="Features whose values the tenant confirms although most of them are unlike those the "
        "model was trained on",
    )
    values: dict[str, dict[str, str]] = Field(
        default={},
        description="By feature: a spelling in the file, to the model's category that it means. It goes "
        "before what the model knows of spellings",
    )
    currency: Currency | None = Field(default=None, description="Of the customers' values; only shown")
    customer_value_period: ValuePeriod = Field(
        default="month", description=f"What the column mapped as `{CUSTOMER_VALUE}` is paid for"
    )


class PredictionRequestedV1(Contract):
    """A file to score.

    `mapping` maps the model's features, and `customer_value`, to headers and overrides automatic mapping.
    """

    TYPE: ClassVar[str] = "retainwise.prediction.requested.v1"

    prediction_id: UUID
    tenant_id: TenantId
    upload: UploadReference
    model: ModelReference
    mapping: dict[str, str]
    options: ScoringOptions
    requested_at: UtcDatetime
    deadline: UtcDatetime | None = Field(
        description="No attempt starts after this time; the prediction is then EXPIRED. "
        "Null: it never expires"
    )
