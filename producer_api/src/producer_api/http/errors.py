"""The base of all errors that a request is answered with, and those that any request may meet."""

from collections.abc import Sequence
from typing import ClassVar, TypedDict


class ApiError(Exception):
    """A request that cannot be fulfilled. The class's docstring is the detail, unless one is given.

    `members` are extension members of the problem object.
    """

    def __init__(self, detail: str | None = None, **members: object) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())
        self.members = members


class TokenRefused(ApiError):
    """The request is not authenticated."""

    challenge: ClassVar[str] = 'Bearer realm="retainwise"'


class TokenMissing(TokenRefused):
    """Send a token in the Authorization header: Authorization: Bearer <token>."""


class TokenInvalid(TokenRefused):
    """The token cannot be verified."""

    challenge = 'Bearer realm="retainwise", error="invalid_token"'


class TokenExpired(TokenInvalid):
    """The token has expired. Request a new one."""

    challenge = 'Bearer realm="retainwise", error="invalid_token", error_description="expired"'


class FieldError(TypedDict):
    """What is wrong with one field of a request: a parameter, a header or a member of the body."""

    field: str
    detail: str


class InvalidRequest(ApiError):
    """Fields of the request are invalid: `errors` names each one and what is wrong with it."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        # Names may come from the client and hold bytes that are not text, which JSON cannot carry.
        named = [
            FieldError(field=error["field"].encode("utf-8", "replace").decode(), detail=error["detail"])
            for error in errors
        ]
        super().__init__(" ".join(f"{error['field']}: {error['detail']}" for error in named), errors=named)


class InvalidParameter(InvalidRequest):
    """One field of the request is invalid."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__([FieldError(field=field, detail=detail)])


class JsonExpected(ApiError):
    """Send the body as application/json in UTF-8, without Content-Encoding."""


class MalformedJson(ApiError):
    """The body is not JSON text."""


class BodyTooLarge(ApiError):
    """The body is too large."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The maximum is {max_bytes:,} bytes.", max_bytes=max_bytes)


class BodyStalled(ApiError):
    """The body did not arrive in time. Send the request again over a faster connection."""


class BodyCutOff(ApiError):
    """The request ended before its whole body was received. Send it again."""


class PreconditionFailed(ApiError):
    """It has been changed since you read it. Read it again, then repeat your change."""


class IdempotencyKeyInUse(ApiError):
    """The first request with this Idempotency-Key is still under way. Try again in a few seconds."""


class IdempotencyKeyReused(ApiError):
    """This Idempotency-Key was sent with another request. Use a new key for each request."""

    def __init__(self) -> None:
        detail = "It was sent with another request. Use a new key for each request."
        super().__init__(None, errors=[FieldError(field="Idempotency-Key", detail=detail)])


class RateLimited(ApiError):
    """You have sent too many requests. Wait for the time in Retry-After."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class TooManyUnfinished(ApiError):
    """You have too many unfinished predictions. Wait until one has finished, or cancel one."""

    def __init__(self, at_most: int) -> None:
        super().__init__(None, max_unfinished_predictions=at_most)


class ShuttingDown(ApiError):
    """This instance is shutting down. Send the request again."""
