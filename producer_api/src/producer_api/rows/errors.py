"""Why the rows of a result cannot be read."""

from producer_api.http.errors import ApiError


class RowNotFound(ApiError):
    """The result has no such row. Rows that could not be scored are in …/rejected."""


class WorklistMissing(ApiError):
    """An older release made this result, without a worklist. Send order=file, or retry the prediction."""


class ResultGone(ApiError):
    """The files of this result are no longer kept."""
