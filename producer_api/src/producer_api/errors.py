"""What the API refuses or cannot do, and the one table in which that meets HTTP.

Every error leaves as problem+json (RFC 9457) with a stable `code`. What an exception's text says is shown to
the client; an exception that is not in the table is a fault of ours, and of it nothing is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from ml_models.errors import ModelNotFound
from ml_models.intake.columns import InvalidMapping, RequiredColumnsMissing
from ml_models.intake.dialect import (
    EmptyFile,
    NoRows,
    NotACsv,
    RecordTooLong,
    TooManyColumns,
    UnreadableEncoding,
)
from retainwise_contracts.failures import FAILURES, FailureCode
from retainwise_contracts.status import PredictionStatus

REQUEST_ID = web.RequestKey("request_id", str)
"""Names the request in its log lines, its errors and its `X-Request-Id` header."""

PROBLEM_CODE = web.ResponseKey("problem_code", str)
"""The code of a problem, for the request's log line."""

RETRY_AFTER_SECONDS = 5
"""What a client is told to wait when a part of ours is away: most outages are a restart or a failover."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class StartRefused(Exception):
    """Something the API needs is missing or does not let it in; the text says what, and what to do."""


class ApiError(Exception):
    """A request that is not fulfilled. The class's docstring is the detail, unless one is given.

    `members` are extension members of the problem object.
    """

    def __init__(self, detail: str | None = None, **members: object) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())
        self.members = members


class TokenRefused(ApiError):
    """The request does not say who asks."""

    challenge: ClassVar[str] = 'Bearer realm="retainwise"'


class TokenMissing(TokenRefused):
    """Send a token in the header: Authorization: Bearer <token>."""


class TokenInvalid(TokenRefused):
    """The token is not one that is accepted here."""

    challenge = 'Bearer realm="retainwise", error="invalid_token"'


class TokenExpired(TokenInvalid):
    """The token has expired. Get a new one."""

    challenge = 'Bearer realm="retainwise", error="invalid_token", error_description="expired"'


class PredictionNotFound(ApiError):
    """There is no such prediction."""


class NotFinished(ApiError):
    """The prediction is not finished yet. Ask again later."""

    def __init__(self, status: PredictionStatus) -> None:
        super().__init__(None, prediction_status=status)


class PredictionFailed(ApiError):
    """The prediction ended without a result."""

    def __init__(self, status: PredictionStatus, failure: Mapping[str, Any] | None) -> None:
        super().__init__(None, prediction_status=status, failure=failure)


class InvalidParameter(ApiError):
    """A parameter of the request cannot be read."""

    def __init__(self, parameter: str, detail: str) -> None:
        # The name may be the client's own, of bytes that are no text and cannot be told in JSON.
        parameter = parameter.encode("utf-8", "replace").decode()
        super().__init__(f"{parameter}: {detail}", parameter=parameter)


class MalformedMultipart(ApiError):
    """The multipart body cannot be read."""


class MediaTypeUnsupported(ApiError):
    """Send the file as text/csv, or as the part “file” of multipart/form-data."""


class ContentEncodingUnsupported(ApiError):
    """Send the file as it is, without Content-Encoding or Content-Transfer-Encoding."""


class FileTooLarge(ApiError):
    """The file is larger than is accepted."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"At most {max_bytes:,} bytes are accepted.", max_bytes=max_bytes)


class UploadStalled(ApiError):
    """Nothing of the file arrived for too long. Send it again."""


class UploadCutOff(ApiError):
    """The request ended before the file did. Send it again."""


class TooManyUploads(ApiError):
    """As many uploads as we take at once are under way. Send the file again in a moment."""


class ShuttingDown(ApiError):
    """This instance is being replaced. Send the file again."""


class DatabaseUnavailable(ApiError):
    """The database cannot be reached. Try again in a moment."""


class StorageUnavailable(ApiError):
    """The file storage cannot be reached. Try again in a moment."""


@dataclass(frozen=True)
class Problem:
    """How an error is told: the HTTP status, the stable code, and the title that goes with the code."""

    status: HTTPStatus
    code: str
    title: str


def _file(code: FailureCode, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    return Problem(status, code.value, FAILURES[code].sentence)


PROBLEMS: Mapping[type[Exception], Problem] = {
    TokenMissing: Problem(HTTPStatus.UNAUTHORIZED, "token_missing", "A token is needed."),
    TokenExpired: Problem(HTTPStatus.UNAUTHORIZED, "token_expired", "The token has expired."),
    TokenInvalid: Problem(HTTPStatus.UNAUTHORIZED, "token_invalid", "The token is not accepted."),
    PredictionNotFound: Problem(HTTPStatus.NOT_FOUND, "prediction_not_found", "There is no such prediction."),
    NotFinished: Problem(HTTPStatus.CONFLICT, "not_finished", "The prediction is not finished."),
    PredictionFailed: Problem(HTTPStatus.CONFLICT, "prediction_failed", "The prediction has no result."),
    InvalidParameter: Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", "A parameter cannot be read."
    ),
    ModelNotFound: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_model", "There is no such model."),
    MalformedMultipart: Problem(
        HTTPStatus.BAD_REQUEST, "malformed_multipart", "The multipart body cannot be read."
    ),
    MediaTypeUnsupported: Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "media_type_unsupported",
        "The body's media type is not one that is accepted.",
    ),
    ContentEncodingUnsupported: Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "content_encoding_unsupported",
        "The body must not be compressed or encoded.",
    ),
    UploadStalled: Problem(HTTPStatus.REQUEST_TIMEOUT, "upload_stalled", "The upload stood still."),
    UploadCutOff: Problem(HTTPStatus.BAD_REQUEST, "upload_cut_off", "The upload is not complete."),
    TooManyUploads: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "too_many_uploads", "Too many uploads are under way."
    ),
    ShuttingDown: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "This instance is stopping."),
    DatabaseUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", "The database is away."
    ),
    StorageUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "storage_unavailable", "The file storage is away."
    ),
    FileTooLarge: _file(FailureCode.FILE_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    EmptyFile: _file(FailureCode.EMPTY_FILE),
    NotACsv: _file(FailureCode.NOT_A_CSV),
    NoRows: _file(FailureCode.NO_ROWS),
    UnreadableEncoding: _file(FailureCode.UNREADABLE_ENCODING),
    TooManyColumns: _file(FailureCode.TOO_MANY_COLUMNS),
    RecordTooLong: _file(FailureCode.LINE_TOO_LONG),
    RequiredColumnsMissing: _file(FailureCode.REQUIRED_COLUMNS_MISSING),
    InvalidMapping: _file(FailureCode.INVALID_MAPPING),
}
"""Every error a client can cause or must know of. All else is `internal_error`."""

INTERNAL_ERROR = _file(FailureCode.INTERNAL_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR)

_OF_AIOHTTP = {
    HTTPStatus.NOT_FOUND: Problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: Problem(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take this method."
    ),
}


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception below into a problem, aiohttp's own ones too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        if status < HTTPStatus.BAD_REQUEST:
            raise
        problem = _OF_AIOHTTP.get(status) or Problem(status, status.name.lower(), f"{status.phrase}.")
        response = problem_response(request, problem, problem.title)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except tuple(PROBLEMS) as error:
        problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
        return _explained(request, problem, error)
    except Exception:
        log.exception("request_failed")
        return problem_response(request, INTERNAL_ERROR, "Try again; if it stays, tell us the request_id.")


def _explained(request: web.Request, problem: Problem, error: Exception) -> web.Response:
    if isinstance(error, ApiError):
        members = error.members
    elif isinstance(error, RequiredColumnsMissing):
        members = {"missing": error.missing, "closest": dict(error.closest)}
    elif isinstance(error, ModelNotFound):
        members = {"installed": error.installed}
    else:
        members = {}
    response = problem_response(request, problem, str(error), **members)
    if isinstance(error, TokenRefused):
        response.headers["WWW-Authenticate"] = error.challenge
    if problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        log.warning("request_refused", code=problem.code, cause=repr(error.__cause__))
    return response


def problem_response(request: web.Request, problem: Problem, detail: str, **members: object) -> web.Response:
    """Answer a problem object; `members` are its extension members."""
    response = web.Response(
        status=problem.status,
        body=orjson.dumps(
            {
                "type": f"urn:retainwise:problem:{problem.code}",
                "title": problem.title,
                "status": problem.status,
                "detail": detail,
                "instance": request.path,
                "code": problem.code,
                "request_id": request[REQUEST_ID],
                **members,
            }
        ),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
    response[PROBLEM_CODE] = problem.code
    return response
