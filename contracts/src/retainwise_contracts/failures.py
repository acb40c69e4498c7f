"""Why a prediction failed: the codes, whose fault each one is, and a sentence for the customer."""

from collections.abc import Mapping
from types import MappingProxyType

from retainwise_contracts.model import Contract, OpenEnum


class Fault(OpenEnum):
    """Who can fix a failure."""

    USER = "user"
    """The customer: fix the file or the request and send it again."""
    SYSTEM = "system"
    """The operator: the file may be fine."""
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class FailureCode(OpenEnum):
    """A stable code for each way a prediction can fail. Clients may branch on it."""

    NOT_A_CSV = "not_a_csv"
    EMPTY_FILE = "empty_file"
    NO_ROWS = "no_rows"
    UNREADABLE_ENCODING = "unreadable_encoding"
    TOO_MANY_COLUMNS = "too_many_columns"
    LINE_TOO_LONG = "line_too_long"
    FILE_TOO_LARGE = "file_too_large"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_CELLS = "too_many_cells"
    RESULT_TOO_LARGE = "result_too_large"
    REQUIRED_COLUMNS_MISSING = "required_columns_missing"
    MAPPING_NEEDS_CONFIRMATION = "mapping_needs_confirmation"
    INVALID_MAPPING = "invalid_mapping"
    IMPLAUSIBLE_VALUES = "implausible_values"
    TOO_MANY_BAD_ROWS = "too_many_bad_rows"
    UPLOAD_MISSING = "upload_missing"
    UPLOAD_CHANGED = "upload_changed"
    MODEL_UNAVAILABLE = "model_unavailable"
    TOOK_TOO_LONG = "took_too_long"
    WORKER_CRASHED = "worker_crashed"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    INTERNAL_ERROR = "internal_error"
    UNKNOWN = "unknown"
    """A code newer than this reader. Never written."""


class FailureKind(Contract):
    """What every failure with the same code has in common.

    `retryable` says whether sending the same request again, unchanged, can succeed.
    """

    fault: Fault
    retryable: bool
    sentence: str


def _user(sentence: str) -> FailureKind:
    return FailureKind(fault=Fault.USER, retryable=False, sentence=sentence)


def _system(sentence: str, *, retryable: bool = True) -> FailureKind:
    return FailureKind(fault=Fault.SYSTEM, retryable=retryable, sentence=sentence)


FAILURES: Mapping[FailureCode, FailureKind] = MappingProxyType(
    {
        FailureCode.NOT_A_CSV: _user("The file is not a CSV file. Export it as CSV and upload it again."),
        FailureCode.EMPTY_FILE: _user("The file is empty."),
        FailureCode.NO_ROWS: _user("The file has a header but no rows."),
        FailureCode.UNREADABLE_ENCODING: _user(
            "The file's encoding cannot be read. Save it as UTF-8 and upload it again."
        ),
        FailureCode.TOO_MANY_COLUMNS: _user(
            "The file has too many columns. Remove the ones that are not needed."
        ),
        FailureCode.LINE_TOO_LONG: _user("A line of the file is too long. A closing quote may be missing."),
        FailureCode.FILE_TOO_LARGE: _user("The file is too large. Split it and upload the parts."),
        FailureCode.TOO_MANY_ROWS: _user("The file has too many rows. Split it and upload the parts."),
        FailureCode.TOO_MANY_CELLS: _user(
            "The file has too many cells. Remove the columns that are not needed or split the file."
        ),
        FailureCode.RESULT_TOO_LARGE: _user(
            "The results would be too large. Ask for fewer reasons or split the file."
        ),
        FailureCode.REQUIRED_COLUMNS_MISSING: _user("The file lacks required columns."),
        FailureCode.MAPPING_NEEDS_CONFIRMATION: _user(
            "A required column was found only by a similar name. Confirm it in the mapping."
        ),
        FailureCode.INVALID_MAPPING: _user("The column mapping does not match the file or the model."),
        FailureCode.IMPLAUSIBLE_VALUES: _user(
            "Most values of a column are not what the model was trained on. Correct or confirm them."
        ),
        FailureCode.TOO_MANY_BAD_ROWS: _user(
            "More than half of the rows cannot be scored. Fix them and try again."
        ),
        FailureCode.UPLOAD_MISSING: _system("The uploaded file no longer exists.", retryable=False),
        FailureCode.UPLOAD_CHANGED: _system(
            "The stored file differs from the uploaded file.", retryable=False
        ),
        FailureCode.MODEL_UNAVAILABLE: _system("The requested model cannot be loaded."),
        FailureCode.TOOK_TOO_LONG: _system("Scoring took too long. Split the file or try again."),
        FailureCode.WORKER_CRASHED: _system(
            "Scoring this file stopped our worker twice, so it was not tried again.", retryable=False
        ),
        FailureCode.ATTEMPTS_EXHAUSTED: _system("Scoring failed after several attempts."),
        FailureCode.INTERNAL_ERROR: _system("Something went wrong on our side."),
        FailureCode.UNKNOWN: _system("The failure is unknown to this version."),
    }
)


class Failure(Contract):
    """One failure as it is stored, returned by the API and published.

    `message` is the code's sentence and what was found in this file; it holds no cell values.
    """

    code: FailureCode
    fault: Fault
    retryable: bool
    message: str

    @classmethod
    def of(cls, code: FailureCode, detail: str = "") -> "Failure":
        """Build the failure for `code`; `detail` says what was found and where in the file."""
        kind = FAILURES[code]
        message = f"{kind.sentence} {detail}".strip()
        return cls(code=code, fault=kind.fault, retryable=kind.retryable, message=message)
