"""Why an upload is refused."""

from collections.abc import Sequence
from typing import Literal

from ml_models.intake.dialect import (
    EmptyFile,
    NoRows,
    NotACsv,
    RowTooLong,
    TooManyColumns,
    UnreadableEncoding,
)
from producer_api.http.errors import ApiError, FieldError

UNREADABLE = (EmptyFile, NotACsv, NoRows, UnreadableEncoding, TooManyColumns, RowTooLong)
"""What a file that is no table of customers is refused with."""


class MalformedMultipart(ApiError):
    """The multipart body cannot be parsed."""


class MediaTypeUnsupported(ApiError):
    """Send the file as text/csv, or as the part “file” of multipart/form-data."""


class ContentEncodingUnsupported(ApiError):
    """Send the file without Content-Encoding and without Content-Transfer-Encoding."""


class FileTooLarge(ApiError):
    """The file is too large."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The maximum is {max_bytes:,} bytes.", max_bytes=max_bytes)


class UploadStalled(ApiError):
    """No data, or very little, was received for too long. Upload the file again over a faster connection."""


class UploadCutOff(ApiError):
    """The request ended before the whole file was received. Upload the file again."""


class TooManyUploads(ApiError):
    """The limit of concurrent uploads is reached. Try again in a few seconds."""


class TooManyOwnUploads(ApiError):
    """You have too many uploads under way. Wait until one has finished, then upload the file again."""


class UploadNotFound(ApiError):
    """No upload has this id."""


class UploadNotReady(ApiError):
    """The upload is not complete. Send its file and complete it first."""


class UploadGone(ApiError):
    """The uploaded file is deleted or no longer kept. Upload the file again."""


class UploadIncomplete(ApiError):
    """The file is not completely received. Send what is missing, then complete the upload again."""

    def __init__(self, received_bytes: int, missing_parts: Sequence[int]) -> None:
        super().__init__(None, received_bytes=received_bytes, missing_parts=missing_parts)


class UploadAlreadyComplete(ApiError):
    """The upload is complete: there is nothing more to send."""


class UploadDiffers(ApiError):
    """The file is not the one that was declared. It is deleted: create another upload and send it again."""

    def __init__(self, field: Literal["size", "sha256"], detail: str) -> None:
        super().__init__(None, errors=[FieldError(field=field, detail=detail)])


class UploadInUse(ApiError):
    """A prediction is of this file. Delete its predictions first."""


class TooManyAwaitingUploads(ApiError):
    """You have too many uploads that wait for their files. Complete or delete one."""

    def __init__(self, at_most: int) -> None:
        super().__init__(None, max_awaiting_uploads=at_most)
