"""The CloudEvents 1.0 envelope around every message, and the names of the SQS and SNS message attributes."""

from enum import StrEnum
from typing import Generic, Literal, TypeVar
from uuid import UUID

from pydantic import Field

from retainwise_contracts.model import Contract, TenantId, TraceParent, UtcDatetime

DataT = TypeVar("DataT", bound=Contract)


class Envelope(Contract, Generic[DataT]):
    """A CloudEvents 1.0 JSON object with the extensions `tenantid` and `traceparent`.

    The version of `data` is in `type`: `retainwise.prediction.requested.v1`. `id` identifies this message,
    not the prediction: a message that is sent twice has the same `id` both times. Every attribute is always
    written; an unset one is null, as the CloudEvents JSON format allows.
    """

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str = Field(
        min_length=1, description="The service that wrote it, as a URI reference: /retainwise/producer-api"
    )
    type: str = Field(pattern=r"^retainwise\.[a-z]+(\.[a-z]+)*\.v[1-9][0-9]*$")
    subject: str = Field(min_length=1, description="The prediction's id")
    time: UtcDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str = Field(
        description="The JSON schema of this message, as shipped in retainwise_contracts.schemas"
    )
    tenantid: TenantId
    traceparent: TraceParent | None
    data: DataT


class MessageAttribute(StrEnum):
    """SQS and SNS message attributes, with which a subscription can filter without reading the body."""

    TYPE = "type"
    TENANT_ID = "tenantid"
    TRACEPARENT = "traceparent"
    DEAD_LETTER_REASON = "deadletterreason"
    """Why a reader parked the message in the dead-letter queue."""
