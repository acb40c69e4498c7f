"""Why a prediction failed: the codes, whose fault each is, and a sentence the customer understands."""

from collections.abc import Mapping
from types import MappingProxyType

from retainwise_contracts.model import Contract, OpenEnum


class Fault(OpenEnum):
    """Who can do something about a failure."""

    USER = "user"
    """The customer: mend the file or the request and send it again."""
    SYSTEM = "system"
    """The operator: the file may be fine."""
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class FailureCode(OpenEnum):
    """A stable code for each way a prediction can fail. Frontends and other teams may branch on it."""

    NOT_A_CSV = "not_a_csv"
    EMPTY_FILE = "empty_file"
    NO_ROWS = "no_rows"
    UNREADABLE_ENCODING = "unreadable_encoding"
    TOO_MANY_COLUMNS = "too_many_columns"
    LINE_TOO_LONG = "line_too_long"
    FILE_TOO_LARGE = "file_too_large"
    REQUIRED_COLUMNS_MISSING = "required_columns_missing"
    INVALID_MAPPING = "invalid_mapping"
    TOO_MANY_BAD_ROWS = "too_many_bad_rows"
    UPLOAD_MISSING = "upload_missing"
    UPLOAD_CHANGED = "upload_changed"
    MODEL_UNAVAILABLE = "model_unavailable"
    TOOK_TOO_LONG = "took_too_long"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    INTERNAL_ERROR = "internal_error"
    UNKNOWN = "unknown"
    """A code newer than this reader. Never written."""


class FailureKind(Contract):
    """What is always true of a failure code.

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
        FailureCode.NOT_A_CSV: _user("The file is not a CSV table. Export it as CSV and send it again."),
        FailureCode.EMPTY_FILE: _user("The file is empty."),
        FailureCode.NO_ROWS: _user("The file has a header and no customers below it."),
        FailureCode.UNREADABLE_ENCODING: _user(
            "The file's text cannot be read. Save it as UTF-8 and send it again."
        ),
        FailureCode.TOO_MANY_COLUMNS: _user(
            "The file has more columns than we read. Leave out what is not needed."
        ),
        FailureCode.LINE_TOO_LONG: _user(
            "A line of the file is longer than we read; a quote may be left open."
        ),
        FailureCode.FILE_TOO_LARGE: _user("The file is larger than we accept. Split it and send the parts."),
        FailureCode.REQUIRED_COLUMNS_MISSING: _user(
            "The file lacks columns without which no honest score can be given."
        ),
        FailureCode.INVALID_MAPPING: _user(
            "The column mapping sent with the file does not fit the file or the model."
        ),
        FailureCode.TOO_MANY_BAD_ROWS: _user(
            "More than half of the rows cannot be scored, so the rest would mislead. Mend them and try again."
        ),
        FailureCode.UPLOAD_MISSING: _system("The uploaded file is no longer stored.", retryable=False),
        FailureCode.UPLOAD_CHANGED: _system(
            "The stored file is not the one that was uploaded.", retryable=False
        ),
        FailureCode.MODEL_UNAVAILABLE: _system("The model that was asked for cannot be loaded."),
        FailureCode.TOOK_TOO_LONG: _system(
            "Scoring took longer than is allowed. Split the file or try again."
        ),
        FailureCode.ATTEMPTS_EXHAUSTED: _system("Scoring was tried several times and did not succeed."),
        FailureCode.INTERNAL_ERROR: _system("Something went wrong on our side."),
        FailureCode.UNKNOWN: _system("The failure is newer than this reader."),
    }
)


class Failure(Contract):
    """One failure as it is stored, answered and published.

    `message` is the code's sentence with what was found in this file; it holds no cell values of customers.
    """

    code: FailureCode
    fault: Fault
    retryable: bool
    message: str

    @classmethod
    def of(cls, code: FailureCode, detail: str = "") -> "Failure":
        """Build the failure for `code`; `detail` says what was found and where."""
        kind = FAILURES[code]
        message = f"{kind.sentence} {detail}".strip()
        return cls(code=code, fault=kind.fault, retryable=kind.retryable, message=message)
