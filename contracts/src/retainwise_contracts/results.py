"""The columns of the result files, the risk levels and the summary of a scored file."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from pydantic import Field

from retainwise_contracts.model import Contract, OpenEnum, Sha256
from retainwise_contracts.prediction_requested import (
    CUSTOMER_VALUE,
    Currency,
    ModelReference,
    ValuePeriod,
)


class RiskLevel(OpenEnum):
    """The level of a churn probability."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    UNKNOWN = "UNKNOWN"
    """A level newer than this reader. Never written."""


MEDIUM_FROM = 0.30
"""The lowest probability that is MEDIUM: a little above the 26.5 % that leave in the training data."""

HIGH_FROM = 0.60
"""The lowest probability that is HIGH: more likely to leave than to stay, with a margin."""


HISTOGRAM_BINS = 20
"""Of the probabilities in a summary. The bounds of the risk levels are bounds of bins too."""


def risk_level(probability: float) -> RiskLevel:
    """Return the level of a churn probability in [0, 1]; each level includes its lower bound."""
    if probability >= HIGH_FROM:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if probability >= MEDIUM_FROM else RiskLevel.LOW


class ResultColumn(Contract):
    """A column of a result file. `type` is the Parquet logical type; in CSV every value is text."""

    name: str
    type: Literal["int64", "float64", "string", "boolean"]
    nullable: bool
    meaning: str


def score_columns(reasons: int) -> tuple[ResultColumn, ...]:
    """Return the columns of `scores.csv`, in order, for this number of reasons.

    `scores.parquet` has them too, and then `value_columns`.
    """
    columns = [
        ResultColumn(
            name="row_number",
            type="int64",
            nullable=False,
            meaning="The row as a spreadsheet shows the upload, from 1: title rows, the header and "
            "blank rows are counted, and a quoted cell over several lines is in one row",
        ),
        ResultColumn(name="customer_id", type="string", nullable=False, meaning="The id as it was uploaded"),
        ResultColumn(
            name="churn_probability",
            type="float64",
            nullable=False,
            meaning="Between 0 (stays) and 1 (leaves)",
        ),
        ResultColumn(
            name="risk_level",
            type="string",
            nullable=False,
            meaning="LOW below 0.30, MEDIUM from 0.30, HIGH from 0.60",
        ),
        ResultColumn(
            name="inputs_known",
            type="float64",
            nullable=False,
            meaning="Between 0 and 1: the share of the model's weight that rests on values that are present, "
            "known to the model and within the range of its training data",
        ),
        ResultColumn(
            name="data_quality",
            type="string",
            nullable=False,
            meaning="The file's grade, the same in all rows: good, fair or poor",
        ),
        ResultColumn(
            name="already_left",
            type="boolean",
            nullable=False,
            meaning="Whether the upload says that the customer has left already; true or false in CSV",
        ),
    ]
    for rank in range(1, reasons + 1):
        columns += [
            ResultColumn(name=f"reason_{rank}", type="string", nullable=True, meaning="The model's feature"),
            ResultColumn(
                name=f"reason_{rank}_effect",
                type="float64",
                nullable=True,
                meaning="What it adds to the log-odds of leaving, ln(p / (1 - p)): above 0 raises the risk, "
                "below 0 lowers it, 0.7 doubles the odds; 0 is a required value that is unknown",
            ),
            ResultColumn(
                name=f"reason_{rank}_value", type="string", nullable=True, meaning="The value the model used"
            ),
            ResultColumn(
                name=f"reason_{rank}_text", type="string", nullable=True, meaning="The same in words"
            ),
        ]
    return tuple(columns)


VALUE_AT_RISK = "value_at_risk"
"""The column of `worklist.parquet` with a customer's expected loss."""

MAX_WORKLIST_ROWS = 100_000

FeatureKind = Literal["numeric", "categorical"]


def value_column(feature: str) -> str:
    """Return the name of the column with a feature's values: `value_tenure`."""
    return f"value_{feature}"


def value_columns(
    features: Iterable[tuple[str, FeatureKind]],
) -> tuple[ResultColumn, ...]:
    """Return the columns that `scores.parquet` has after `score_columns`, in order.

    With the model's card they explain a score in full.

    Args:
        features: the name and the kind of each of the model's features, in the order of its card.
    """
    return (
        *(
            ResultColumn(
                name=value_column(name),
                type="float64" if kind == "numeric" else "string",
                nullable=True,
                meaning="The number that the model read, in its unit"
                if kind == "numeric"
                else "The category that the model read, or the text in the upload if it is none it knows",
            )
            for name, kind in features
        ),
        ResultColumn(
            name=CUSTOMER_VALUE,
            type="float64",
            nullable=True,
            meaning="What the customer pays in a period; the summary says in which",
        ),
    )


def worklist_columns(reasons: int, features: Iterable[tuple[str, FeatureKind]]) -> tuple[ResultColumn, ...]:
    """Return the columns of `worklist.parquet`, in order: those of `scores.parquet`, and what is at risk.

    Its rows are the customers most likely to leave, highest probability first, of equal ones the first in
    the upload; at most `MAX_WORKLIST_ROWS`, and none who has left already.
    """
    return (
        *score_columns(reasons),
        *value_columns(features),
        ResultColumn(
            name=VALUE_AT_RISK,
            type="float64",
            nullable=True,
            meaning="The churn probability times the customer's value",
        ),
    )


REJECTED_COLUMNS: tuple[ResultColumn, ...] = (
    ResultColumn(
        name="rejected_row", type="int64", nullable=False, meaning="The row as a spreadsheet shows the upload"
    ),
    ResultColumn(
        name="rejected_code", type="string", nullable=False, meaning="A stable code, see RowRejection"
    ),
    ResultColumn(
        name="rejected_column", type="string", nullable=True, meaning="The header of the invalid column"
    ),
    ResultColumn(name="rejected_value", type="string", nullable=True, meaning="The invalid value, masked"),
    ResultColumn(name="rejected_hint", type="string", nullable=False, meaning="How to fix it"),
)
"""The columns `rejected.csv` adds to the original ones. They are ignored if the file is uploaded again."""


class RowRejection(OpenEnum):
    """Why one row was not scored."""

    MISSING_ID = "missing_id"
    MISSING_VALUE = "missing_value"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    WRONG_CELL_COUNT = "wrong_cell_count"
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class RowCounts(Contract):
    """The number of rows of the file: `total = scored + rejected`."""

    total: int = Field(ge=0)
    scored: int = Field(ge=0)
    rejected: int = Field(ge=0)


class RiskDistribution(Contract):
    """The number of customers at each risk level, without those who have left already."""

    low: int = Field(ge=0)
    medium: int = Field(ge=0)
    high: int = Field(ge=0)


class Reason(Contract):
    """One reason for a score.

    `effect` is what it adds to the log-odds of leaving, ln(p / (1 - p)): above 0 raises the risk, 0.7 doubles
    the odds. It is 0 for a required value that is missing or unknown, which counts as average.
    """

    feature: str
    effect: float
    value: str | None
    text: str


class CustomerAtRisk(Contract):
    """One of the customers most likely to leave."""

    row_number: int = Field(ge=1, description="The row as a spreadsheet shows the upload")
    customer_id: str
    churn_probability: float = Field(ge=0, le=1)
    risk_level: RiskLevel
    inputs_known: float = Field(
        ge=0, le=1, description="The share of the model's weight that rests on known values"
    )
    reasons: tuple[Reason, ...]


class Driver(Contract):
    """A feature's weight over the whole file, in log-odds.

    `mean_absolute_effect` ranks the drivers; `mean_effect` is the effect's direction over the whole file.
    """

    feature: str
    label: str
    mean_absolute_effect: float = Field(ge=0)
    mean_effect: float


class MappedColumn(Contract):
    """The header that was read as a feature, and the confidence of the match (1 is certain)."""

    feature: str
    header: str
    method: Literal["explicit", "exact", "normalised", "alias", "fuzzy"]
    confidence: float = Field(ge=0, le=1)
    conversion: str | None = Field(description="The unit conversion made, such as 'years to months'")


class FeatureQuality(Contract):
    """How one feature of the file compares with the training data; rates are shares of rows between 0 and 1.

    `psi` is the population stability index, sum((p - q) * ln(p / q)) over the training bins; above 0.25 is
    commonly called a large shift. Null if it cannot be computed.
    """

    feature: str
    missing_rate: float = Field(ge=0, le=1)
    unseen_rate: float = Field(ge=0, le=1)
    out_of_range_rate: float = Field(ge=0, le=1)
    psi: float | None


class QualityGrade(OpenEnum):
    """How far the scores of this file can be trusted, given its data."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class DataQuality(Contract):
    """The data quality report: a grade, the reasons for it in sentences, and the figures by feature."""

    grade: QualityGrade
    sentences: tuple[str, ...]
    features: tuple[FeatureQuality, ...]


class ValueSummary(Contract):
    """What the customers pay, and what of it is at stake: of those whose value is known and who remain.

    All amounts are in `currency` for a `period`.
    """

    feature: str = Field(
        description=f"`{CUSTOMER_VALUE}` if a column was mapped as such, else the model's feature that is "
        "taken for it"
    )
    period: ValuePeriod
    currency: Currency | None = Field(description="As the request says; null if it does not")
    customers: int = Field(ge=0, description="How many have a value")
    total: float = Field(description="What they pay")
    at_risk: float = Field(description="What those at HIGH risk pay")
    expected_loss: float = Field(description="The sum of probability times value")


class SourceFormat(Contract):
    """How the upload was read."""

    encoding: str
    delimiter: str
    header_row: int = Field(ge=1, description="The header's row as a spreadsheet shows it, from 1")


class Summary(Contract):
    """The summary of a scored file. `expected_churners` is the sum of the probabilities.

    Customers who have left already are scored, but counted in `already_left` only: the probabilities, the
    distribution, the histogram, the drivers and `highest_risk` are of the others, so that
    `low + medium + high + already_left = rows.scored`.
    """

    mean_probability: float = Field(ge=0, le=1)
    expected_churners: float = Field(ge=0)
    risk_distribution: RiskDistribution
    already_left: int = Field(ge=0)
    drivers: tuple[Driver, ...]
    highest_risk: tuple[CustomerAtRisk, ...]
    quality: DataQuality
    mapping: tuple[MappedColumn, ...]
    unused_columns: tuple[str, ...]
    source: SourceFormat
    value: ValueSummary | None = Field(
        default=None, description="Null if the file does not say what customers pay"
    )
    histogram: tuple[int, ...] = Field(
        default=(),
        description=f"Customers by probability, in {HISTOGRAM_BINS} equally wide bins from 0 to 1; each "
        "includes its lower bound, the last one 1 too. Empty in results of older releases",
    )


LinkedFileName = Literal["scores.parquet", "scores.csv", "rejected.csv", "manifest.json"]
"""The files that a completed prediction names. Readers of contracts 1.0.0 refuse any other name."""

ResultFileName = Literal[LinkedFileName, "worklist.parquet"]
"""All files. Results of older releases have no `worklist.parquet`."""

MEDIA_TYPES: Mapping[ResultFileName, str] = MappingProxyType(
    {
        "scores.parquet": "application/vnd.apache.parquet",
        "scores.csv": "text/csv; charset=utf-8",
        "rejected.csv": "text/csv; charset=utf-8",
        "manifest.json": "application/json",
        "worklist.parquet": "application/vnd.apache.parquet",
    }
)
"""The files of a result and the media type each one is served with."""


class ContentDigest(Contract):
    """The size and the digest of a file."""

    size_bytes: int = Field(ge=0)
    sha256: Sha256


class FileDigest(ContentDigest):
    """The name, the size and the digest of a result file."""

    name: ResultFileName


class ResultFile(FileDigest):
    """A result file as a completed prediction names it."""

    name: LinkedFileName
    key: str
    media_type: str


class ScoringModel(Contract):
    """The model that was used: its reference and the digest of its ONNX file."""

    model: ModelReference
    sha256: Sha256


class CsvFormat(Contract):
    """How `scores.csv` and `rejected.csv` are written: as the spreadsheet writes that the upload came from.

    UTF-8 with a byte order mark. Delimiter and decimal separator are the upload's; but where the decimal
    separator is a comma, cells are separated by semicolons, never by commas.
    """

    encoding: Literal["utf-8-sig"] = "utf-8-sig"
    delimiter: str = Field(min_length=1, max_length=1)
    decimal: Literal[".", ","]


class ResultManifest(Contract):
    """`manifest.json`: the input, the model and the output files of a prediction.

    It holds no time and no host name, so that the same input and model give the same bytes.
    """

    manifest_version: Literal[1] = 1
    prediction_id: UUID
    input: ContentDigest
    model: ScoringModel
    rows: RowCounts
    csv: CsvFormat
    outputs: tuple[FileDigest, ...]
    versions: dict[str, str] = Field(description="The versions of the packages that computed the scores")
