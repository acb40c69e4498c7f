"""What a customer does about each failure: the contract's sentence says what is wrong, this what helps."""

from collections.abc import Mapping
from types import MappingProxyType

from retainwise_contracts.failures import FailureCode

_UPLOAD_AGAIN = "Upload the file again."
_RETRY = "Retry the prediction. If it fails again, contact support and quote its id."
_SUPPORT = "Contact support and quote the prediction's id."
_SPLIT = "Split the file, and upload the parts."

ADVICE: Mapping[FailureCode, str] = MappingProxyType(
    {
        FailureCode.NOT_A_CSV: "Export the table as CSV, not as a workbook, and upload that file.",
        FailureCode.EMPTY_FILE: "Check the export: the file has no content. Upload it again.",
        FailureCode.NO_ROWS: "Check the filter of the export: there is a header, but no customer below it.",
        FailureCode.UNREADABLE_ENCODING: "Save the file as “CSV UTF-8”, and upload it again.",
        FailureCode.TOO_MANY_COLUMNS: "Keep only the columns that the model reads.",
        FailureCode.LINE_TOO_LONG: "Look at the row that the message names for a quote that is not closed.",
        FailureCode.FILE_TOO_LARGE: _SPLIT,
        FailureCode.TOO_MANY_ROWS: _SPLIT,
        FailureCode.TOO_MANY_CELLS: "Keep only the columns that the model reads, or split the file.",
        FailureCode.RESULT_TOO_LARGE: "Retry with fewer reasons, or split the file.",
        FailureCode.REQUIRED_COLUMNS_MISSING: "Add the named columns, or retry with a mapping.",
        FailureCode.MAPPING_NEEDS_CONFIRMATION: "Check the proposals, and retry with them as the mapping.",
        FailureCode.INVALID_MAPPING: "Inspect the upload to see its headers, correct the mapping and retry.",
        FailureCode.IMPLAUSIBLE_VALUES: "Check the unit and the mapping of the columns. If they are right, "
        "retry and confirm them.",
        FailureCode.TOO_MANY_BAD_ROWS: "Correct the rows that the message counts, and upload the file again.",
        FailureCode.UPLOAD_MISSING: _UPLOAD_AGAIN,
        FailureCode.UPLOAD_CHANGED: _UPLOAD_AGAIN,
        FailureCode.MODEL_UNAVAILABLE: _RETRY,
        FailureCode.TOOK_TOO_LONG: "Split the file, or retry the prediction.",
        FailureCode.WORKER_CRASHED: _SUPPORT,
        FailureCode.ATTEMPTS_EXHAUSTED: _RETRY,
        FailureCode.INTERNAL_ERROR: _RETRY,
        FailureCode.UNKNOWN: _SUPPORT,
    }
)
