"""The events for a finished prediction, to which other teams subscribe."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from retainwise_contracts.failures import Failure
from retainwise_contracts.model import Contract, TenantId, UtcDatetime
from retainwise_contracts.prediction_requested import ModelReference
from retainwise_contracts.results import ResultFile, RiskDistribution, RowCounts
from retainwise_contracts.status import PredictionStatus


class ResultLocation(Contract):
    """Where the result files are. The files never change.

    `worklist.parquet` is not named here, as readers of contracts 1.0.0 refuse a name they do not know. It
    lies beside `manifest.json`, which names it.
    """

    bucket: str
    files: tuple[ResultFile, ...]


class PredictionCompletedV1(Contract):
    """`retainwise.prediction.completed.v1`: the result files are available."""

    TYPE: ClassVar[str] = "retainwise.prediction.completed.v1"

    prediction_id: UUID
    tenant_id: TenantId
    model: ModelReference
    rows: RowCounts
    risk_distribution: RiskDistribution
    result: ResultLocation
    requested_at: UtcDatetime
    finished_at: UtcDatetime


class PredictionFailedV1(Contract):
    """`retainwise.prediction.failed.v1`: there is no result; `status` is FAILED or EXPIRED.

    A prediction that was cancelled has a message of its own, `PredictionCancelledV1`.
    """

    TYPE: ClassVar[str] = "retainwise.prediction.failed.v1"

    prediction_id: UUID
    tenant_id: TenantId
    model: ModelReference
    status: PredictionStatus
    failure: Failure | None = Field(description="Null if the status is the whole explanation")
    attempts: int = Field(ge=0)
    requested_at: UtcDatetime
    finished_at: UtcDatetime


class PredictionCancelledV1(Contract):
    """`retainwise.prediction.cancelled.v1`: the tenant cancelled it, so there is no result."""

    TYPE: ClassVar[str] = "retainwise.prediction.cancelled.v1"

    prediction_id: UUID
    tenant_id: TenantId
    model: ModelReference
    attempts: int = Field(ge=0)
    requested_at: UtcDatetime
    finished_at: UtcDatetime
