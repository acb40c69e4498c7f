"""What requests about predictions say, and what they are answered with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    WithJsonSchema,
)

from retainwise_contracts.events import PredictionEvent
from retainwise_contracts.failures import Failure
from retainwise_contracts.prediction_requested import (
    MAX_REASONS,
    Currency,
    ScoringOptions,
    ValuePeriod,
)
from retainwise_contracts.results import ResultFileName, RowCounts, Summary
from retainwise_contracts.status import PredictionPhase

MAX_LABEL_CHARACTERS = 100
MAX_METADATA_DEPTH = 8
MAX_PAGE = 100
MAX_EVENTS_PAGE = 500

StatusName = Literal["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("send an ISO 8601 time with a time zone, such as 2026-12-01T12:00:00Z")


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("send printable characters")
    return text


def _shallow(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        inner = [
            value
            for item in level
            for value in (item.values() if isinstance(item, dict) else item)
            if isinstance(value, dict | list)
        ]
        if not inner:
            return metadata
        level = inner
    raise ValueError(f"it may be nested {MAX_METADATA_DEPTH} levels deep")


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A point in time, in UTC. A time without a zone is refused."""

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS), AfterValidator(_printable)]
"""What a tenant calls a prediction."""

Metadata = Annotated[dict[str, JsonValue], AfterValidator(_shallow)]
"""What a tenant stores with a prediction: at most 16,384 bytes as JSON text, 8 levels deep."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ChosenOptions(_Request):
    """How a file is to be scored. What is left out is as the default, or, in a retry, as before."""

    reasons: Annotated[StrictInt, Field(ge=0, le=MAX_REASONS)] | None = Field(
        default=None, description="Reasons for each customer's score"
    )
    confirm: tuple[str, ...] | None = Field(
        default=None,
        description="Features whose values are right although they are unlike those the model was trained on",
    )
    customer_value_period: ValuePeriod | None = Field(
        default=None, description="What the column mapped as `customer_value` is paid for"
    )


class RetryPrediction(_Request):
    """How a file is to be scored another time. What is left out is as before, the deadline aside."""

    model: str | None = Field(default=None, max_length=200, description="`name@version`")
    mapping: dict[str, str] | None = Field(
        default=None, description="Feature, or `customer_value`, to header; overrides automatic mapping"
    )
    values: dict[str, dict[str, str]] | None = Field(
        default=None, description="By feature: a spelling in the file, to the category that it means"
    )
    options: ChosenOptions = ChosenOptions()
    currency: Currency | None = Field(default=None, description="Of the customers' values; only shown")
    label: Label | None = None
    metadata: Metadata | None = None
    deadline: Moment | None = Field(default=None, description="No attempt starts after this time")


class FileParameters(_Request):
    """How a file that is sent as the body is to be scored; with a form, the same are its fields."""

    model: str | None = Field(default=None, description="`name@version`")
    mapping: str | None = Field(default=None, description="JSON object of feature and header")
    values: str | None = Field(
        default=None, description="JSON object, by feature, of spelling in the file and category"
    )
    reasons: int | None = Field(default=None, ge=0, le=MAX_REASONS)
    confirm: str | None = Field(default=None, description="Names of features, separated by commas")
    currency: Currency | None = None
    customer_value_period: ValuePeriod | None = None
    label: Label | None = None
    metadata: str | None = Field(default=None, description="JSON object")
    deadline: Moment | None = None


class CreatePrediction(RetryPrediction):
    """A file that is uploaded, and how it is to be scored."""

    upload_id: UUID = Field(description="A file that is READY")


class DescribePrediction(_Request):
    """A JSON merge patch (RFC 7396) of what a tenant writes on a prediction: null removes a member."""

    label: Label | None = None
    metadata: Metadata | None = None


class ListQuery(_Request):
    """Which predictions to list."""

    status: tuple[StatusName, ...] = Field(default=(), description="One or more of them")
    model: str | None = Field(default=None, max_length=200, description="`name` or `name@version`")
    since: Moment | None = Field(default=None, description="Requested at this time or later")
    until: Moment | None = Field(default=None, description="Requested before this time")
    q: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="A part of the label or of the file's name, in any case"
    )
    label: Label | None = Field(default=None, description="The whole label")
    sort: Literal["-requested_at", "requested_at"] = Field(
        default="-requested_at", description="The newest or the oldest first"
    )
    limit: int = Field(default=20, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")


class EventsQuery(_Request):
    """Which events to list."""

    limit: int = Field(default=100, ge=1, le=MAX_EVENTS_PAGE)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")


class UploadedFile(BaseModel):
    """The file of a prediction."""

    upload_id: UUID
    file_name: str | None
    size_bytes: int
    sha256: str


class NextAttempt(BaseModel):
    """Why the last attempt ended, and when the next one may start."""

    reason: str
    at: datetime


class Progress(BaseModel):
    """How many rows are scored so far, and how many there may be, by the size of the file."""

    rows: int
    expected_rows: int | None


class PredictionLinks(BaseModel):
    """The paths of what belongs to a prediction."""

    self: str
    events: str
    result: str
    manifest: str
    rows: str
    rejected: str
    export: str
    upload: str


class PredictionResource(BaseModel):
    """A file scored by a model: from the request to the result."""

    prediction_id: UUID
    status: StatusName
    phase: PredictionPhase
    label: str | None
    metadata: dict[str, JsonValue] | None
    model: str
    mapping: dict[str, str] | None
    options: ScoringOptions | None
    upload: UploadedFile
    retry_of: UUID | None
    requested_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    attempt: int
    retry: NextAttempt | None
    progress: Progress | None
    rows: RowCounts | None
    summary: Summary | None
    failure: Failure | None
    links: PredictionLinks


class PredictionPage(BaseModel):
    """A page of predictions."""

    items: list[PredictionResource]
    next_cursor: str | None


class EventPage(BaseModel):
    """A page of events."""

    items: list[PredictionEvent]
    next_cursor: str | None


class DownloadLink(BaseModel):
    """A file of a result, and where to get it."""

    name: ResultFileName
    url: str
    media_type: str
    size_bytes: int
    sha256: str


class ResultLinks(BaseModel):
    """The files of a result, for as long as the links work."""

    expires_at: datetime
    files: list[DownloadLink]


class DeletedRows(BaseModel):
    """How many rows a deletion deleted."""

    predictions: int
    uploads: int = Field(description="0 if another prediction is of the same file")
    events: int
    messages: int
    kept_answers: int = Field(description="Kept for requests that are sent again")


class DeletedObject(BaseModel):
    """A file that was deleted."""

    key: str
    version_id: str | None
    size_bytes: int
    sha256: str | None = Field(description="Null for a file of an attempt that was overtaken")


class Receipt(BaseModel):
    """What was deleted with a prediction, and when."""

    prediction_id: UUID
    deleted_at: datetime
    rows: DeletedRows
    objects: list[DeletedObject]
