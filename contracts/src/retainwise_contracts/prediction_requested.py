"""`retainwise.prediction.requested.v1`: the API asks a worker to score an uploaded file."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from retainwise_contracts.model import Contract, Sha256, TenantId, UtcDatetime

MAX_REASONS = 5


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
    """The options a tenant may set.

    `reasons` is the number of reasons given for each customer's score. `confirmed` names the features whose
    values the tenant confirms although most of them are unlike those the model was trained on.
    """

    reasons: int = Field(default=3, ge=0, le=MAX_REASONS)
    confirmed: tuple[str, ...] = ()


class PredictionRequestedV1(Contract):
    """A file to score. `mapping` maps the model's features to headers and overrides automatic mapping."""

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
