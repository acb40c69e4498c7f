"""The handlers of `/v1/predictions`: create a prediction, read its status, get its result."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from aiohttp import web

from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.auth import CALLER
from producer_api.http.route import Route
from producer_api.objects import OBJECTS
from producer_api.outbox.relay import OUTBOX
from producer_api.predictions.errors import NotFinished, PredictionFailed, PredictionNotFound
from producer_api.predictions.store import PREDICTIONS, Prediction
from producer_api.telemetry import current_traceparent
from producer_api.uploads.receive import create_upload, defer_continue, refuse_by_headers
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.prediction_requested import PredictionRequestedV1, UploadReference
from retainwise_contracts.results import MEDIA_TYPES
from retainwise_contracts.status import PredictionPhase, PredictionStatus


class ForeignResult(Exception):
    """A row names a result that is not its own. Only an operator can help: it is an internal_error."""


LINK_SECONDS = 900
"""How long a download link is valid: long enough to start a download, short in case the link leaks."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def create_prediction(request: web.Request) -> web.Response:
    """Store a customer file and queue its prediction: 202 with the prediction's `Location`."""
    tenant_id = request[CALLER].tenant_id
    refuse_by_headers(request)
    async with request.app[UPLOAD_GATE].admit(tenant_id):
        prediction = await _create_prediction(request, tenant_id)
    request.app[OUTBOX].nudge()
    log.info("prediction_created", **{LogField.PREDICTION_ID: str(prediction.prediction_id)})
    resource = _resource(prediction)
    return _answer(resource, status=202, headers={"Location": resource["links"]["self"]})


async def _create_prediction(request: web.Request, tenant_id: str) -> Prediction:
    upload = await create_upload(request)
    requested = PredictionRequestedV1(
        prediction_id=uuid4(),
        tenant_id=tenant_id,
        upload=UploadReference(
            bucket=request.app[OBJECTS].bucket,
            key=upload.object.key,
            version_id=upload.object.version_id,
            size_bytes=upload.object.size_bytes,
            sha256=upload.object.sha256,
        ),
        model=upload.options.model,
        mapping=dict(upload.options.mapping),
        options=upload.options.scoring,
        requested_at=datetime.now(UTC),
        deadline=upload.options.deadline,
    )
    return await request.app[PREDICTIONS].create_prediction(
        requested,
        upload_id=upload.upload_id,
        file_name=upload.file_name,
        traceparent=current_traceparent(),
    )


async def get_prediction(request: web.Request) -> web.Response:
    """Return a prediction's status."""
    return _answer(_resource(await _read_prediction(request)))


async def get_result(request: web.Request) -> web.Response:
    """Return a download link for each file of a prediction's result."""
    prediction = await _read_prediction(request)
    status = PredictionStatus(prediction.status)
    if not status.is_final:
        raise NotFinished(status)
    if prediction.result is None:
        raise PredictionFailed(status, _parse_json(prediction.failure))
    # Taken before the links are signed, so that no link expires earlier than stated.
    expires_at = datetime.now(UTC) + timedelta(seconds=LINK_SECONDS)
    objects = request.app[OBJECTS]
    location = ResultLocation.model_validate_json(prediction.result)
    _check_location(
        location, objects.bucket, f"results/{request[CALLER].tenant_id}/{prediction.prediction_id}/"
    )
    files = [
        {
            "name": file.name,
            "url": await objects.link(
                file.key,
                file_name=f"{prediction.prediction_id}-{file.name}",
                media_type=MEDIA_TYPES[file.name],
                seconds=LINK_SECONDS,
            ),
            "media_type": MEDIA_TYPES[file.name],
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
        }
        for file in location.files
    ]
    return _answer({"expires_at": expires_at, "files": files})


def _check_location(location: ResultLocation, bucket: str, prefix: str) -> None:
    """Check that a row's result is its own: whoever writes rows must not have others' files signed.

    Raises:
        ForeignResult: a file is elsewhere.
    """
    for file in location.files:
        path = file.key.removeprefix(prefix).split("/")
        if (
            location.bucket != bucket
            or not file.key.startswith(prefix)
            or path[-1] != file.name
            or not {"", ".", ".."}.isdisjoint(path)
        ):
            raise ForeignResult(f"the row's file {file.name} is not below {prefix} of our bucket")


async def _read_prediction(request: web.Request) -> Prediction:
    """Read the prediction in the path. An unknown, malformed or another tenant's id gives the same error."""
    try:
        prediction_id = UUID(request.match_info["prediction_id"])
    except ValueError:
        raise PredictionNotFound from None
    prediction = await request.app[PREDICTIONS].read_prediction(prediction_id, request[CALLER].tenant_id)
    if prediction is None:
        raise PredictionNotFound
    return prediction


def _resource(prediction: Prediction) -> dict[str, Any]:
    path = f"/v1/predictions/{prediction.prediction_id}"
    retry = prediction.retry_reason and {"reason": prediction.retry_reason, "at": prediction.retry_at}
    rows = prediction.rows_total is not None and {
        "total": prediction.rows_total,
        "scored": prediction.rows_scored,
        "rejected": prediction.rows_rejected,
    }
    return {
        "prediction_id": str(prediction.prediction_id),
        "status": prediction.status,
        "phase": _phase(prediction),
        "model": f"{prediction.model_name}@{prediction.model_version}",
        "requested_at": prediction.requested_at,
        "queued_at": prediction.sqs_queued_at,
        "started_at": prediction.started_at,
        "finished_at": prediction.finished_at,
        "deadline": prediction.deadline,
        "attempt": prediction.attempt,
        "retry": retry or None,
        "rows": rows or None,
        "summary": _parse_json(prediction.summary),
        "failure": _parse_json(prediction.failure),
        "links": {"self": path, "result": f"{path}/result"},
    }


def _phase(prediction: Prediction) -> PredictionPhase:
    """Derive the phase of a status: while RUNNING, a held lease means that a worker is scoring."""
    status = PredictionStatus(prediction.status)
    if status.is_final:
        return PredictionPhase.DONE
    if status is PredictionStatus.QUEUED:
        return PredictionPhase.WAITING
    return PredictionPhase.SCORING if prediction.is_held else PredictionPhase.RETRYING


def _parse_json(document: str | None) -> dict[str, Any] | None:
    return orjson.loads(document) if document is not None else None


def _answer(
    content: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(content, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


ROUTES = (
    Route(
        "POST",
        "/v1/predictions",
        create_prediction,
        "Upload a file and queue its prediction.",
        expect_handler=defer_continue,
    ),
    Route("GET", "/v1/predictions/{prediction_id}", get_prediction, "A prediction's status."),
    Route("GET", "/v1/predictions/{prediction_id}/result", get_result, "Download links of a result."),
)
