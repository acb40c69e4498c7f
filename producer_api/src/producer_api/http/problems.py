"""How errors become HTTP responses: `PROBLEMS` gives each exception its status, code and title.

Every error response is problem+json (RFC 9457) with a stable `code`. Its detail is the exception's text,
unless the table gives one. An exception that is not in the table is a bug: the client gets 500 and no detail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from ml_models.errors import ModelNotFound
from ml_models.intake.columns import InvalidMapping, MappingNeedsConfirmation, RequiredColumnsMissing
from ml_models.intake.dialect import (
    EmptyFile,
    NoRows,
    NotACsv,
    RowTooLong,
    TooManyColumns,
    UnreadableEncoding,
)
from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.http.errors import (
    ApiError,
    InvalidParameter,
    ShuttingDown,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRefused,
)
from producer_api.objects import StorageUnavailable
from producer_api.predictions.errors import NotFinished, PredictionFailed, PredictionNotFound
from producer_api.telemetry import PROBLEM_CODE, REQUEST_ID
from producer_api.uploads.errors import (
    ContentEncodingUnsupported,
    FileTooLarge,
    MalformedMultipart,
    MediaTypeUnsupported,
    TooManyOwnUploads,
    TooManyUploads,
    UploadCutOff,
    UploadStalled,
)
from retainwise_contracts.failures import FAILURES, FailureCode

RETRY_AFTER_SECONDS = 5
"""When a client should retry after a 503 or 429: most outages are a restart or a failover."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Problem:
    """The HTTP response for an error: its status, its stable code and the title that belongs to the code."""

    status: HTTPStatus
    code: str
    title: str
    detail: str | None = None
    """Sent instead of the exception's text, which for errors raised below HTTP is written for operators."""


def _file(code: FailureCode, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    return Problem(status, code.value, FAILURES[code].sentence)


PROBLEMS: Mapping[type[Exception], Problem] = {
    TokenMissing: Problem(HTTPStatus.UNAUTHORIZED, "token_missing", "No token provided."),
    TokenExpired: Problem(HTTPStatus.UNAUTHORIZED, "token_expired", "The token has expired."),
    TokenInvalid: Problem(HTTPStatus.UNAUTHORIZED, "token_invalid", "Invalid token."),
    PredictionNotFound: Problem(HTTPStatus.NOT_FOUND, "prediction_not_found", "Prediction not found."),
    NotFinished: Problem(HTTPStatus.CONFLICT, "not_finished", "The prediction has not finished."),
    PredictionFailed: Problem(HTTPStatus.CONFLICT, "prediction_failed", "The prediction has no result."),
    InvalidParameter: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", "Invalid parameter."),
    ModelNotFound: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_model", "Unknown model."),
    MalformedMultipart: Problem(HTTPStatus.BAD_REQUEST, "malformed_multipart", "Malformed multipart body."),
    MediaTypeUnsupported: Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", "Unsupported media type."
    ),
    ContentEncodingUnsupported: Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_encoding_unsupported", "Unsupported content encoding."
    ),
    UploadStalled: Problem(HTTPStatus.REQUEST_TIMEOUT, "upload_stalled", "The upload timed out."),
    UploadCutOff: Problem(HTTPStatus.BAD_REQUEST, "upload_cut_off", "The upload is incomplete."),
    TooManyUploads: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "too_many_uploads", "Too many concurrent uploads."
    ),
    # Not 503: the service is well, this caller alone should slow down.
    TooManyOwnUploads: Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "too_many_own_uploads", "Too many uploads of yours are under way."
    ),
    ShuttingDown: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "The service is shutting down."),
    DatabaseBusy: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "The service is overloaded.",
        "Too many requests are under way. Try again in a few seconds.",
    ),
    DatabaseUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database_unavailable",
        "The database is unavailable.",
        "The database cannot be reached. Try again in a few seconds.",
    ),
    StorageUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "storage_unavailable",
        "The file storage is unavailable.",
        "The file storage cannot be reached. Try again in a few seconds.",
    ),
    FileTooLarge: _file(FailureCode.FILE_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    EmptyFile: _file(FailureCode.EMPTY_FILE),
    NotACsv: _file(FailureCode.NOT_A_CSV),
    NoRows: _file(FailureCode.NO_ROWS),
    UnreadableEncoding: _file(FailureCode.UNREADABLE_ENCODING),
    TooManyColumns: _file(FailureCode.TOO_MANY_COLUMNS),
    RowTooLong: _file(FailureCode.LINE_TOO_LONG),
    RequiredColumnsMissing: _file(FailureCode.REQUIRED_COLUMNS_MISSING),
    MappingNeedsConfirmation: _file(FailureCode.MAPPING_NEEDS_CONFIRMATION),
    InvalidMapping: _file(FailureCode.INVALID_MAPPING),
}
"""Where every error raised by our code gets its HTTP status; aiohttp's are in `HTTP_PROBLEMS`. An exception
that is not listed is `internal_error`."""

INTERNAL_ERROR = _file(FailureCode.INTERNAL_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR)

HTTP_PROBLEMS = {
    problem.status: problem
    for problem in (
        Problem(HTTPStatus.BAD_REQUEST, "bad_request", "The request is not valid HTTP."),
        Problem(HTTPStatus.NOT_FOUND, "not_found", "Not found."),
        Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed."),
        Problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time."),
        Problem(HTTPStatus.EXPECTATION_FAILED, "expectation_failed", "The expectation cannot be met."),
        Problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "request_header_fields_too_large",
            "The request's headers are too large.",
        ),
        Problem(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "The service is overloaded."),
    )
}
"""What is wrong with a request before it reaches a handler, by status."""


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception of the handlers, including aiohttp's own, into a problem response."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        if status < HTTPStatus.BAD_REQUEST:
            raise
        problem = HTTP_PROBLEMS.get(status) or Problem(status, status.name.lower(), f"{status.phrase}.")
        response = problem_response(request, problem, problem.title)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except tuple(PROBLEMS) as error:
        problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
        return _error_response(request, problem, error)
    except Exception:
        log.exception("request_failed")
        detail = "Try again. If the error persists, contact support and quote the request_id."
        return problem_response(request, INTERNAL_ERROR, detail)


def _error_response(request: web.Request, problem: Problem, error: Exception) -> web.Response:
    if isinstance(error, ApiError):
        members = error.members
    elif isinstance(error, RequiredColumnsMissing):
        members = {"missing": error.missing, "closest": dict(error.closest)}
    elif isinstance(error, MappingNeedsConfirmation):
        members = {
            "proposals": dict(error.proposals),
            "missing": error.missing,
            "closest": dict(error.closest),
        }
    elif isinstance(error, ModelNotFound):
        members = {"installed": error.installed}
    else:
        members = {}
    response = problem_response(request, problem, problem.detail or str(error), **members)
    if isinstance(error, TokenRefused):
        response.headers["WWW-Authenticate"] = error.challenge
    if problem.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        log.warning("request_refused", code=problem.code, cause=repr(error.__cause__))
    return response


def problem_response(
    request: web.BaseRequest, problem: Problem, detail: str, **members: object
) -> web.Response:
    """Return a problem object; `members` are its extension members."""
    response = web.Response(
        status=problem.status,
        body=problem_body(problem, detail, instance=request.path, request_id=request[REQUEST_ID], **members),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
    response[PROBLEM_CODE] = problem.code
    return response


def problem_body(
    problem: Problem, detail: str, *, instance: str, request_id: str, **members: object
) -> bytes:
    """Return a problem object as JSON."""
    return orjson.dumps(
        {
            "type": f"urn:retainwise:problem:{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "instance": instance,
            "code": problem.code,
            "request_id": request_id,
            **members,
        }
    )
