"""Why a request about a saved mapping is refused."""

from producer_api.http.errors import ApiError


class MappingNotFound(ApiError):
    """No mapping has this name."""


class TooManyMappings(ApiError):
    """You have saved too many mappings. Delete one you no longer need."""

    def __init__(self, at_most: int) -> None:
        super().__init__(None, max_mappings=at_most)
