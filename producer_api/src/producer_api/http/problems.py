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
from pydantic import BaseModel, ConfigDict, Field

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
    BodyCutOff,
    BodyStalled,
    BodyTooLarge,
    FieldError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidRequest,
    JsonExpected,
    MalformedJson,
    PreconditionFailed,
    RateLimited,
    ShuttingDown,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRefused,
    TooManyUnfinished,
)
from producer_api.mappings.errors import MappingNotFound, TooManyMappings
from producer_api.models.errors import UnknownModel
from producer_api.objects import StorageUnavailable
from producer_api.predictions.errors import (
    AlreadyFinished,
    MessagesUnsent,
    NotFinished,
    PredictionDeleted,
    PredictionFailed,
    PredictionNotFound,
    TooManyOwnStreams,
    TooManyStreams,
)
from producer_api.predictions.store import MetadataTooLarge
from producer_api.rows.cache import CacheFull, ResultTooLarge
from producer_api.rows.errors import ResultGone, RowNotFound, WorklistMissing
from producer_api.rows.readers import ReadersBusy
from producer_api.telemetry import PROBLEM_CODE, REQUEST_ID
from producer_api.uploads.errors import (
    ContentEncodingUnsupported,
    FileTooLarge,
    MalformedMultipart,
    MediaTypeUnsupported,
    TooManyAwaitingUploads,
    TooManyOwnUploads,
    TooManyUploads,
    UploadAlreadyComplete,
    UploadCutOff,
    UploadDiffers,
    UploadGone,
    UploadIncomplete,
    UploadInUse,
    UploadNotFound,
    UploadNotReady,
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


class InvalidField(BaseModel):
    """What is wrong with one field of a request."""

    field: str = Field(description="The parameter, the header or the member of the body; `a.b` is inside `a`")
    detail: str


class ProblemDocument(BaseModel):
    """Why a request was not fulfilled (RFC 9457). Some codes have members of their own besides."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The path of the code's page in the docs")
    title: str = Field(description="What the code means")
    status: int
    detail: str = Field(description="What is wrong with this request, for people")
    instance: str = Field(description="The path of the request")
    code: str = Field(description="Stable: branch on it")
    request_id: str = Field(description="Names the request in the logs: quote it to support")
    errors: list[InvalidField] = Field(default=[], description="The fields that are invalid, if any are")


def _file(code: FailureCode, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    return Problem(status, code.value, FAILURES[code].sentence)


_OVERLOADED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "overloaded",
    "The service is overloaded.",
    "Too many requests are under way. Try again in a few seconds.",
)

PROBLEMS: Mapping[type[Exception], Problem] = {
    # any request
    TokenMissing: Problem(HTTPStatus.UNAUTHORIZED, "token_missing", "No token provided."),
    TokenExpired: Problem(HTTPStatus.UNAUTHORIZED, "token_expired", "The token has expired."),
    # One detail for whatever is wrong: it must not help to forge a token.
    TokenInvalid: Problem(
        HTTPStatus.UNAUTHORIZED, "token_invalid", "Invalid token.", "The token cannot be verified."
    ),
    InvalidRequest: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "The request is invalid."),
    MalformedJson: Problem(HTTPStatus.BAD_REQUEST, "malformed_json", "The body is not JSON."),
    JsonExpected: Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", "Unsupported media type."
    ),
    BodyTooLarge: Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The request's body is too large."
    ),
    BodyStalled: Problem(HTTPStatus.REQUEST_TIMEOUT, "body_stalled", "The body did not arrive in time."),
    BodyCutOff: Problem(HTTPStatus.BAD_REQUEST, "body_cut_off", "The request is incomplete."),
    PreconditionFailed: Problem(
        HTTPStatus.PRECONDITION_FAILED, "precondition_failed", "It has been changed meanwhile."
    ),
    IdempotencyKeyInUse: Problem(
        HTTPStatus.CONFLICT, "idempotency_key_in_use", "The first request is still under way."
    ),
    IdempotencyKeyReused: Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "The idempotency key belongs to another request.",
    ),
    RateLimited: Problem(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many requests."),
    ShuttingDown: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "The service is shutting down."),
    DatabaseBusy: _OVERLOADED,
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
    # models
    ModelNotFound: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_model", "Unknown model."),
    UnknownModel: Problem(HTTPStatus.NOT_FOUND, "model_not_found", "Model not found."),
    # uploads
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
    UploadNotFound: Problem(HTTPStatus.NOT_FOUND, "upload_not_found", "Upload not found."),
    UploadNotReady: Problem(HTTPStatus.CONFLICT, "upload_not_ready", "The upload is not complete."),
    UploadGone: Problem(HTTPStatus.GONE, "upload_gone", "The uploaded file is gone."),
    UploadIncomplete: Problem(
        HTTPStatus.CONFLICT, "upload_incomplete", "The file is not completely received."
    ),
    UploadAlreadyComplete: Problem(
        HTTPStatus.CONFLICT, "upload_already_complete", "The upload is complete already."
    ),
    UploadDiffers: Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "upload_differs", "The file is not the one that was declared."
    ),
    UploadInUse: Problem(HTTPStatus.CONFLICT, "upload_in_use", "A prediction is of this file."),
    TooManyAwaitingUploads: Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "too_many_awaiting_uploads", "Too many of your uploads wait for files."
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
    # mappings
    MappingNotFound: Problem(HTTPStatus.NOT_FOUND, "mapping_not_found", "Mapping not found."),
    TooManyMappings: Problem(HTTPStatus.CONFLICT, "too_many_mappings", "Too many saved mappings."),
    # predictions
    PredictionNotFound: Problem(HTTPStatus.NOT_FOUND, "prediction_not_found", "Prediction not found."),
    PredictionDeleted: Problem(HTTPStatus.GONE, "prediction_deleted", "The prediction is deleted."),
    NotFinished: Problem(HTTPStatus.CONFLICT, "not_finished", "The prediction has not finished."),
    AlreadyFinished: Problem(HTTPStatus.CONFLICT, "already_finished", "The prediction has finished."),
    PredictionFailed: Problem(HTTPStatus.CONFLICT, "prediction_failed", "The prediction has no result."),
    MetadataTooLarge: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "The request is invalid."),
    MessagesUnsent: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "messages_unsent", "Messages of the prediction are not sent yet."
    ),
    TooManyStreams: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", "Too many event streams are open."
    ),
    TooManyOwnStreams: Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "too_many_own_streams", "Too many event streams of yours are open."
    ),
    TooManyUnfinished: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_unfinished_predictions",
        "Too many of your predictions are unfinished.",
    ),
    # rows
    RowNotFound: Problem(HTTPStatus.NOT_FOUND, "row_not_found", "Row not found."),
    WorklistMissing: Problem(HTTPStatus.CONFLICT, "worklist_missing", "The result has no worklist."),
    ResultTooLarge: Problem(
        HTTPStatus.CONFLICT,
        "result_too_large_to_read",
        "The result is too large to be read row by row.",
        "It is larger than all that this instance keeps on its disk. Download its files: …/result.",
    ),
    ResultGone: Problem(HTTPStatus.GONE, "result_gone", "The result is no longer kept."),
    ReadersBusy: _OVERLOADED,
    CacheFull: _OVERLOADED,
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
        members = {"installed": error.installed, "errors": [FieldError(field="model", detail=str(error))]}
    elif isinstance(error, InvalidMapping | MetadataTooLarge):
        field = "mapping" if isinstance(error, InvalidMapping) else "metadata"
        members = {"errors": [FieldError(field=field, detail=str(error))]}
    else:
        members = {}
    response = problem_response(request, problem, problem.detail or str(error), **members)
    if isinstance(error, TokenRefused):
        response.headers["WWW-Authenticate"] = error.challenge
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, IdempotencyKeyInUse):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif problem.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
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
            "type": f"/docs/problems/{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "instance": instance,
            "code": problem.code,
            "request_id": request_id,
            **members,
        }
    )
