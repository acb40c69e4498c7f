"""What requests about uploads say, and what they are answered with."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, Json, StringConstraints

FileName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

MAX_PARAMETER_CHARACTERS = 3_500
"""For one parameter of a query: the line of a request may have 8,190 bytes."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CreateUploadQuery(_Request):
    """Of a file that is the body itself. A form says the name with the file."""

    name: str | None = Field(default=None, description="The file's name; its last 255 printable characters")


class CreateUpload(_Request):
    """A file that will be sent straight to the storage."""

    name: FileName | None = Field(default=None, description="The file's name")
    size: int = Field(gt=0, strict=True, description="The file's exact size in bytes")
    sha256: Sha256 | None = Field(default=None, description="Its SHA-256, to be compared with what arrives")


class InspectionQuery(_Request):
    """How the file would be scored."""

    model: str | None = Field(default=None, max_length=200, description="`name@version`")
    mapping: Annotated[Json[dict[str, str]], Field(max_length=MAX_PARAMETER_CHARACTERS)] | None = Field(
        default=None, description='JSON object of feature and header: `{"tenure": "Months with us"}`'
    )
    values: Annotated[Json[dict[str, dict[str, str]]], Field(max_length=MAX_PARAMETER_CHARACTERS)] | None = (
        Field(default=None, description="JSON object, by feature, of spelling in the file and category")
    )


class Parts(_Answer):
    """The parts of a file that is sent in parts."""

    count: int
    part_bytes: int = Field(description="The size of each part but the last")
    held: list[int] = Field(description="The numbers, from 1, of the parts that are received")


class Form(_Answer):
    """How to send a file: a POST of `multipart/form-data` with all fields, in order, then `file`."""

    kind: Literal["form"]
    expires_at: datetime
    url: str
    fields: dict[str, str]


class PartLink(_Answer):
    """How to send one part: a PUT of exactly so many bytes."""

    number: int
    size_bytes: int
    url: str


class PartLinks(_Answer):
    """How to send the parts that are missing."""

    kind: Literal["parts"]
    expires_at: datetime
    parts: list[PartLink]


class UploadLinks(_Answer):
    """Paths of this API."""

    self: str
    inspection: str
    parts: str
    complete: str


class UploadResource(_Answer):
    """A customer file."""

    upload_id: UUID
    state: Literal["AWAITING", "READY"] = Field(
        description="AWAITING: it is to be sent and then completed. READY: it can be inspected and scored"
    )
    file_name: str | None
    size_bytes: int = Field(description="As declared, until it is READY")
    sha256: str | None = Field(description="As declared, until it is READY")
    created_at: datetime
    expires_at: datetime | None = Field(description="When an upload that is not completed is deleted")
    completed_at: datetime | None
    received_bytes: int
    parts: Parts | None = Field(description="Null if it is READY or is not sent in parts")
    links: UploadLinks


class AwaitingUpload(UploadResource):
    """A customer file that is to be sent, and how."""

    transfer: Annotated[Form | PartLinks, Field(discriminator="kind")]


class CreatedUpload(UploadResource):
    """A customer file, and how to send it if it is AWAITING."""

    transfer: Annotated[Form | PartLinks, Field(discriminator="kind")] | None


class DialectFound(_Answer):
    """How the file is written."""

    encoding: str
    delimiter: str
    decimal: Literal[".", ","]
    header_row: int = Field(description="As a spreadsheet counts, from 1")


class UnseenValue(_Answer):
    """A value that the model has never seen."""

    value: str
    rows: int
    closest: list[str] = Field(description="The known values it is most like, the best first")


class UnseenValues(_Answer):
    """The values of one column that the model has never seen."""

    rows: int
    distinct: int
    named: list[UnseenValue] = Field(description="Left out: what may be personal, or is not a category")
    known_values: list[str]


class ColumnFound(_Answer):
    """A column of the file, and what it would be read as."""

    position: int = Field(description="From 1")
    header: str
    samples: list[str] = Field(description="Up to three values, masked unless they are amounts or categories")
    is_ignored: bool = Field(description="Whether it is one that `rejected.csv` adds")
    feature: str | None = Field(description="Null: it is not used")
    method: Literal["explicit", "exact", "normalised", "alias", "fuzzy"] | None
    confidence: float | None
    conversion: str | None = Field(description="Such as `years to months`")
    is_gate: bool = Field(
        description="Whether it says only if a customer has the feature at all, and another column which one"
    )
    needs_confirmation: bool = Field(description="Whether a person should confirm it: below 0.9")
    unseen_values: UnseenValues | None


class MissingColumn(_Answer):
    """What a file must have, and this one has not."""

    feature: str
    closest: list[str] = Field(description="The headers it is most like, the best first")


class ValueColumn(_Answer):
    """The column that says what a customer pays."""

    header: str
    feature: str | None = Field(description="The feature it is also read as, if it was not mapped explicitly")


class FeatureFound(_Answer):
    """What the first rows have of one feature: numbers of rows."""

    feature: str
    label: str
    missing: int
    not_a_number: int
    out_of_range: int = Field(description="Impossible, or outside the range of the training data")
    unseen: int


class QualityFound(_Answer):
    """What the first rows hold."""

    rows: int = Field(description="How many rows were looked at")
    features: list[FeatureFound]


class Expected(_Answer):
    """What the prediction of this file will take."""

    rows: int
    is_exact: bool = Field(description="Whether all rows were counted; otherwise it is an estimate")
    seconds: float = Field(description="Once a worker begins")


class Inspection(_Answer):
    """How a file will be read, before anything is queued."""

    upload_id: UUID
    model: str
    dialect: DialectFound
    columns: list[ColumnFound]
    missing: list[MissingColumn]
    is_ready: bool = Field(description="Whether all that a file must have is found or confirmed")
    conflicts: list[str]
    customer_value: ValueColumn | None
    quality: QualityFound
    expected: Expected
    saved_mappings: list[str] = Field(description="Names of mappings saved for the same headers")
