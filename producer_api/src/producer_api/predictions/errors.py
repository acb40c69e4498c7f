"""Why a request about a prediction is refused."""

from collections.abc import Mapping
from typing import Any

from producer_api.http.errors import ApiError
from retainwise_contracts.status import PredictionStatus


class PredictionNotFound(ApiError):
    """No prediction has this id."""


class PredictionDeleted(ApiError):
    """The prediction is deleted. `receipt` says what was deleted, and when."""

    def __init__(self, receipt: Mapping[str, Any]) -> None:
        super().__init__(None, receipt=receipt)


class NotFinished(ApiError):
    """The prediction has not finished yet. Try again later."""

    def __init__(self, status: PredictionStatus) -> None:
        super().__init__(None, prediction_status=status)


class AlreadyFinished(ApiError):
    """The prediction has finished, so it cannot be cancelled any more."""

    def __init__(self, status: PredictionStatus) -> None:
        super().__init__(None, prediction_status=status)


class PredictionFailed(ApiError):
    """The prediction ended without a result."""

    def __init__(self, status: PredictionStatus, failure: object) -> None:
        super().__init__(None, prediction_status=status, failure=failure)


class MessagesUnsent(ApiError):
    """Messages about the prediction are still to be sent. Delete it again in a few seconds."""


class TooManyStreams(ApiError):
    """The limit of open event streams is reached. Try again in a few seconds."""


class TooManyOwnStreams(ApiError):
    """You have too many event streams open. Close one, then open this one again."""
