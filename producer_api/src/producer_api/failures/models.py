"""What `GET /v1/failures` takes and answers."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from producer_api.predictions.models import Moment
from retainwise_contracts.failures import Fault


class FailuresQuery(BaseModel):
    """Which failures to count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = Field(
        default=None, description="Failed at this time or later; the default is 30 days ago"
    )


class DayOfFailures(BaseModel):
    """How many predictions failed on a day (UTC)."""

    day: date
    count: int


class SampleOfFailure(BaseModel):
    """One of the predictions that failed."""

    prediction_id: UUID
    label: str | None
    file_name: str | None
    message: str
    finished_at: datetime
    link: str


class FailuresOfCode(BaseModel):
    """All failures with one code."""

    code: str
    count: int
    fault: Fault
    retryable: bool = Field(description="Whether the same request can succeed if it is sent again unchanged")
    sentence: str
    what_to_do: str
    daily: list[DayOfFailures] = Field(description="Every day since the first, those without a failure too")
    samples: list[SampleOfFailure] = Field(description="The latest")


class FailureReport(BaseModel):
    """Why predictions failed, the most frequent reason first."""

    since: datetime
    count: int
    items: list[FailuresOfCode]
