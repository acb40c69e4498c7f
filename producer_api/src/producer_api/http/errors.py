"""The base of all errors that a request is answered with, and those that any request may meet."""

from typing import ClassVar


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


class InvalidParameter(ApiError):
    """A request parameter is invalid."""

    def __init__(self, parameter: str, detail: str) -> None:
        # The name comes from the client and may hold bytes that are not text, which JSON cannot carry.
        parameter = parameter.encode("utf-8", "replace").decode()
        super().__init__(f"{parameter}: {detail}", parameter=parameter)


class ShuttingDown(ApiError):
    """This instance is shutting down. Upload the file again."""
