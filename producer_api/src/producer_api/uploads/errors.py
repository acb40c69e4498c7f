"""Why an upload is refused."""

from producer_api.http.errors import ApiError


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
