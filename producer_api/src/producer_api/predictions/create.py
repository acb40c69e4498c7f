"""`POST /v1/predictions`: a prediction of a file that is sent along, or of one that is uploaded already."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import structlog
from aiohttp import hdrs, web

from ml_models.intake.dialect import HEAD_BYTES
from producer_api.database import DATABASE
from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.auth import CALLER
from producer_api.http.body import NoQuery, is_json, read_json, read_query
from producer_api.http.limits import check_unfinished
from producer_api.models.catalog import MODELS
from producer_api.objects import OBJECTS, ObjectMissing
from producer_api.outbox.relay import OUTBOX
from producer_api.predictions.models import CreatePrediction
from producer_api.predictions.options import PredictionOptions, choose_options
from producer_api.predictions.resource import keep_answer, prediction_answer, prediction_path
from producer_api.predictions.store import PREDICTIONS, NewPrediction, Prediction
from producer_api.predictions.waiting import applied_preference, wait_for_end
from producer_api.settings import SETTINGS
from producer_api.telemetry import current_traceparent
from producer_api.uploads.errors import UploadGone, UploadNotFound, UploadNotReady
from producer_api.uploads.receive import (
    INSPECTORS,
    check_columns,
    create_upload,
    read_headers,
    refuse_by_headers,
)
from producer_api.uploads.receive import Upload as ReceivedUpload
from producer_api.uploads.store import UPLOADS, Upload
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_requested import PredictionRequestedV1, UploadReference

RETRY_AFTER_SECONDS = 1
"""When to look for a prediction that was just queued: a small file takes about a second."""

READY = "READY"
"""The state of a file that is completely stored."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def create_prediction(request: web.Request) -> web.Response:
    """Queue the prediction of a file: 202 with its `Location`, or 200 if it ends while the client waits."""
    if is_json(request):
        return await _create_from_upload(request)
    return await _create_from_file(request)


async def _create_from_upload(request: web.Request) -> web.Response:
    await read_query(request, NoQuery)
    wanted = await read_json(request, CreatePrediction)
    options = choose_options(wanted, request.app[MODELS])
    upload = await request.app[UPLOADS].read_upload(wanted.upload_id, request[CALLER].tenant_id)
    if upload is None:
        raise UploadNotFound
    if upload.state == "AWAITING":
        raise UploadNotReady
    return await queue_prediction(request, upload, options)


async def _create_from_file(request: web.Request) -> web.Response:
    tenant_id = request[CALLER].tenant_id
    refuse_by_headers(request)
    async with request.app[UPLOAD_GATE].admit(tenant_id):
        async with request.app[DATABASE].read(tenant_id) as connection:  # before the file is received
            await check_unfinished(connection, tenant_id, request.app[SETTINGS].max_unfinished_predictions)
        received = await create_upload(request)
        requested = _request(
            request,
            UploadReference(
                bucket=request.app[OBJECTS].bucket,
                key=received.object.key,
                version_id=received.object.version_id,
                size_bytes=received.object.size_bytes,
                sha256=received.object.sha256,
            ),
            received.options,
        )
        queued = await _queue(request, requested, received.options, received.upload_id, received=received)
    return await _answer(request, *queued)


async def queue_prediction(
    request: web.Request,
    upload: Upload,
    options: PredictionOptions,
    *,
    retry_of: UUID | None = None,
) -> web.Response:
    """Queue the prediction of a stored file, if its columns fit, and answer it.

    Raises:
        UploadGone: the file is there no more.
        UnreadableFile, MappingError: its columns do not fit the model.
        TooManyUnfinished: the tenant has too many.
    """
    if upload.state != READY or upload.size_bytes is None or upload.sha256 is None:
        raise UploadGone
    await _check_columns(request, upload, upload.size_bytes, options)
    reference = UploadReference(
        bucket=request.app[OBJECTS].bucket,
        key=upload.object_key,
        version_id=upload.version_id,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
    )
    requested = _request(request, reference, options)
    queued = await _queue(request, requested, options, upload.upload_id, retry_of=retry_of)
    return await _answer(request, *queued)


async def _check_columns(
    request: web.Request, upload: Upload, size_bytes: int, options: PredictionOptions
) -> None:
    try:
        head = await request.app[OBJECTS].read_head(upload.object_key, upload.version_id, HEAD_BYTES)
    except ObjectMissing as error:
        raise UploadGone from error
    inspectors = request.app[INSPECTORS]
    headers = await read_headers(inspectors, head, whole=size_bytes <= HEAD_BYTES)
    await check_columns(inspectors, headers, options)


def _request(
    request: web.Request, upload: UploadReference, options: PredictionOptions
) -> PredictionRequestedV1:
    return PredictionRequestedV1(
        prediction_id=uuid4(),
        tenant_id=request[CALLER].tenant_id,
        upload=upload,
        model=options.model,
        mapping=dict(options.mapping),
        options=options.scoring,
        requested_at=datetime.now(UTC),
        deadline=options.deadline,
    )


async def _queue(
    request: web.Request,
    requested: PredictionRequestedV1,
    options: PredictionOptions,
    upload_id: UUID,
    *,
    retry_of: UUID | None = None,
    received: ReceivedUpload | None = None,
) -> tuple[Prediction, web.Response]:
    """Store a prediction, its message and the answer to its request in one transaction.

    Args:
        request: the request.
        requested: the message.
        options: what the request says.
        upload_id: the file.
        retry_of: the prediction that is retried.
        received: the file, if it came with this request and so is not stored yet.
    """
    tenant_id, predictions = requested.tenant_id, request.app[PREDICTIONS]
    new = NewPrediction(upload_id, options.label, options.metadata, retry_of, current_traceparent())
    async with predictions.write(tenant_id) as connection:
        await check_unfinished(connection, tenant_id, request.app[SETTINGS].max_unfinished_predictions)
        if received is not None:
            await request.app[UPLOADS].insert_ready(
                connection,
                upload_id=upload_id,
                tenant_id=tenant_id,
                bucket=requested.upload.bucket,
                object_key=requested.upload.key,
                version_id=requested.upload.version_id,
                file_name=received.file_name,
                size_bytes=requested.upload.size_bytes,
                sha256=requested.upload.sha256,
            )
        elif await predictions.lock_upload(connection, upload_id, tenant_id) != READY:
            raise UploadGone
        prediction = await predictions.create_prediction(connection, requested, new)
        headers: dict[str, str] = {
            hdrs.LOCATION: prediction_path(prediction),
            hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS),
        }
        accepted = prediction_answer(prediction, status=202, headers=headers)
        await keep_answer(request, connection, accepted)
    request.app[OUTBOX].nudge()
    log.info("prediction_created", **{LogField.PREDICTION_ID: str(prediction.prediction_id)})
    return prediction, accepted


async def _answer(request: web.Request, prediction: Prediction, accepted: web.Response) -> web.Response:
    """Answer 202, or 200 if the prediction ends for as long as the client prefers to wait."""
    ended = await wait_for_end(request, prediction)
    answer = accepted
    if ended is not None:
        answer = prediction_answer(ended, headers={hdrs.LOCATION: prediction_path(ended)})
    answer.headers.update(applied_preference(request))
    return answer
