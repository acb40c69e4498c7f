"""Why a request about a prediction is refused."""

from collections.abc import Mapping
from typing import Any

from producer_api.http.errors import ApiError
from retainwise_contracts.status import PredictionStatus


class PredictionNotFound(ApiError):
    """No prediction has this id."""


class NotFinished(ApiError):
    """The prediction has not finished yet. Try again later."""

    def __init__(self, status: PredictionStatus) -> None:
        super().__init__(None, prediction_status=status)


class PredictionFailed(ApiError):
    """The prediction ended without a result."""

    def __init__(self, status: PredictionStatus, failure: Mapping[str, Any] | None) -> None:
        super().__init__(None, prediction_status=status, failure=failure)
