"""What requests about rows say, and what they are answered with."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ROWS_PAGE = 500
MAX_REJECTED_PAGE = 100
"""Fewer, since a rejected row is shown with all its cells."""

MAX_EXPORTED = 10_000_000

RiskName = Literal["LOW", "MEDIUM", "HIGH"]
OrderName = Literal["risk", "value", "file"]


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RowsQuery(_Query):
    """Which rows to list."""

    order: OrderName | None = Field(
        default=None,
        description="`risk`: the highest probability first; `value`: the highest value at risk first; both "
        "are of the worklist. `file`: as in the upload, all rows. Without it: `file` with a `customer_id`, "
        "else `risk`",
    )
    risk: tuple[RiskName, ...] = Field(default=(), description="One or more of them")
    min_probability: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="A feature that is one of the customer's reasons"
    )
    customer_id: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        default=None, description="The whole id, as it was uploaded"
    )
    limit: int = Field(default=100, ge=1, le=MAX_ROWS_PAGE)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")


class ExportQuery(_Query):
    """Which customers to export."""

    order: OrderName = Field(
        default="risk", description="`risk` and `value` are of the worklist, `file` is of all rows"
    )
    risk: tuple[RiskName, ...] = Field(default=(), description="One or more of them")
    top: int | None = Field(default=None, ge=1, le=MAX_EXPORTED, description="The first so many of them")


class RejectedQuery(_Query):
    """Which rejected rows to list."""

    code: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Only those with this code"
    )
    column: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        default=None, description="Only those with a fault in the column of this header"
    )
    limit: int = Field(default=50, ge=1, le=MAX_REJECTED_PAGE)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before")


class ScoredReason(BaseModel):
    """One reason for a score."""

    feature: str
    label: str
    effect: float = Field(description="What it adds to the log-odds of leaving")
    value: str | None
    text: str
    action: str | None = Field(description="What could be done, if it raises the risk")


class ScoredRow(BaseModel):
    """One customer. What a result of an older release does not have is null."""

    row_number: int = Field(description="The row as a spreadsheet shows the upload")
    customer_id: str
    churn_probability: float = Field(ge=0, le=1)
    risk_level: str = Field(description="LOW, MEDIUM or HIGH")
    inputs_known: float | None
    already_left: bool | None
    customer_value: float | None = Field(description="What the customer pays in the period of the summary")
    value_at_risk: float | None = Field(description="The probability times the customer's value")
    reasons: list[ScoredReason]


class ScoredRowPage(BaseModel):
    """A page of rows."""

    items: list[ScoredRow]
    next_cursor: str | None
    truncated: bool = Field(
        description="Whether the result has customers beyond the worklist, which only `order=file` shows"
    )


class ExplainedContribution(BaseModel):
    """What one feature adds to the customer's log-odds of leaving."""

    feature: str
    label: str
    value: float | str | None = Field(description="Null if it is missing")
    effect: float
    text: str
    action: str | None = Field(description="What could be done, if it raises the risk")


class ExplainedRow(ScoredRow):
    """One customer with the whole explanation: probability = sigmoid(intercept + sum of the effects).

    Null where the result is of an older release, or its model is not installed.
    """

    values: dict[str, float | str | None] | None = Field(description="By feature, as the model read it")
    intercept: float | None
    contributions: list[ExplainedContribution] | None = Field(description="The greatest first")
    sentences: list[str] = Field(description="The same in words")


class RejectedGroup(BaseModel):
    """Rows that were rejected for one cause."""

    code: str
    column: str | None
    rows: int
    hint: str = Field(description="How to fix it; of the first of them")


class RejectedRow(BaseModel):
    """A row that could not be scored."""

    row_number: int = Field(description="The row as a spreadsheet shows the upload")
    code: str
    column: str | None = Field(description="The header of the column at fault; null if it is the whole row")
    value: str | None = Field(description="What is wrong in it, masked")
    hint: str
    values: dict[str, str] = Field(description="By header; a long cell is cut to 1,000 characters")


class RejectedPage(BaseModel):
    """The causes of all rejected rows, and a page of the rows."""

    items: list[RejectedRow]
    next_cursor: str | None
    groups: list[RejectedGroup] = Field(description="Of all rejected rows, the largest first")
    columns: list[str] = Field(description="The headers of the upload")
