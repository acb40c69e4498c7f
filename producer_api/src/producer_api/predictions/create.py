"""`POST /v1/predictions`: a prediction of a file that is sent along, or of one that is uploaded already."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import structlog
from aiohttp import hdrs, web

from producer_api.database import DATABASE
from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import is_json, read_json
from producer_api.http.idempotency import CLAIM
from producer_api.http.limits import check_unfinished
from producer_api.models.catalog import MODELS
from producer_api.objects import OBJECTS
from producer_api.outbox.relay import OUTBOX
from producer_api.predictions.errors import UploadGone
from producer_api.predictions.models import CreatePrediction
from producer_api.predictions.options import PredictionOptions, choose_options
from producer_api.predictions.resource import prediction_path, prediction_resource, prediction_tag
from producer_api.predictions.store import PREDICTIONS, NewPrediction, Prediction, StoredUpload
from producer_api.predictions.waiting import preferred_wait, wait_for_end
from producer_api.settings import SETTINGS
from producer_api.telemetry import current_traceparent
from producer_api.uploads.errors import UploadNotFound, UploadNotReady
from producer_api.uploads.receive import check_columns, create_upload, refuse_by_headers
from retainwise_contracts.logs import LogField
from retainwise_contracts.prediction_requested import PredictionRequestedV1, UploadReference

RETRY_AFTER_SECONDS = 1
"""When to look for a prediction that was just queued: a small file takes about a second."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def create_prediction(request: web.Request) -> web.Response:
    """Queue the prediction of a file: 202 with its `Location`, or 200 if it ends while the client waits."""
    if is_json(request):
        return await _create_from_upload(request)
    return await _create_from_file(request)


async def _create_from_upload(request: web.Request) -> web.Response:
    wanted = await read_json(request, CreatePrediction)
    options = choose_options(wanted, request.app[MODELS])
    upload = await request.app[PREDICTIONS].read_upload(wanted.upload_id, request[CALLER].tenant_id)
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
