"""Why a request about a model is refused."""

from collections.abc import Iterable

from producer_api.http.errors import ApiError


class UnknownModel(ApiError):
    """No model of this name and version is installed."""

    def __init__(self, installed: Iterable[str]) -> None:
        super().__init__(None, installed=list(installed))
