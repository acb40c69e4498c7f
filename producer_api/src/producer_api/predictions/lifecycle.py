"""What a tenant does with a prediction: describe it, cancel it, retry it, delete it."""

from typing import Any

import orjson
import structlog
from aiohttp import web

from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import NoBody, read_json
from producer_api.http.conditional import require_match
from producer_api.models.catalog import MODELS
from producer_api.outbox.relay import OUTBOX
from producer_api.predictions.create import queue_prediction
from producer_api.predictions.deletion import DELETIONS
from producer_api.predictions.errors import AlreadyFinished, NotFinished
from producer_api.predictions.models import DescribePrediction, RetryPrediction
from producer_api.predictions.options import choose_options
from producer_api.predictions.request import missing, prediction_id, read_prediction
from producer_api.predictions.resource import keep_answer, prediction_answer, prediction_tag
from producer_api.predictions.store import PREDICTIONS, Prediction
from producer_api.telemetry import current_traceparent
from producer_api.uploads.errors import UploadGone
from producer_api.uploads.store import UPLOADS
from retainwise_contracts.logs import LogField
from retainwise_contracts.status import PredictionStatus

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def describe_prediction(request: web.Request) -> web.Response:
    """Change the label and the metadata of a prediction, by a merge patch."""
    patch = await read_json(request, DescribePrediction)
    tenant_id, predictions = request[CALLER].tenant_id, request.app[PREDICTIONS]
    described: Prediction | None = None
    async with predictions.write(tenant_id) as connection:
        prediction = await predictions.lock_prediction(connection, prediction_id(request), tenant_id)
        if prediction is not None:
            require_match(request, prediction_tag(prediction))
            label, metadata = _merge(prediction, patch)
            described = await predictions.describe_prediction(
                connection, prediction.prediction_id, tenant_id, label=label, metadata=metadata
            )
    if described is None:
        raise await missing(request)
    return prediction_answer(described)


def _merge(prediction: Prediction, patch: DescribePrediction) -> tuple[str | None, dict[str, Any] | None]:
    """Return the label and the metadata of a prediction as a patch changes them."""
    label = patch.label if "label" in patch.model_fields_set else prediction.label
    metadata = orjson.loads(prediction.metadata) if prediction.metadata is not None else None
    if "metadata" in patch.model_fields_set:
        metadata = None if patch.metadata is None else merge_patch(metadata, patch.metadata)
    return label, metadata


def merge_patch(target: object, patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396): null removes a member, an object is merged, all else replaces."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value) if isinstance(value, dict) else value
    return merged


async def cancel_prediction(request: web.Request) -> web.Response:
    """Cancel a prediction that has not finished. Its worker stops within a second."""
    await read_json(request, NoBody)
    tenant_id, predictions = request[CALLER].tenant_id, request.app[PREDICTIONS]
    answer: web.Response | None = None
    async with predictions.write(tenant_id) as connection:
        cancelled = await predictions.cancel_prediction(
            connection, prediction_id(request), tenant_id, traceparent=current_traceparent()
        )
        if cancelled is not None:
            answer = prediction_answer(cancelled)
            await keep_answer(request, connection, answer)
    if answer is None:
        raise AlreadyFinished(PredictionStatus((await read_prediction(request)).status))
    request.app[OUTBOX].nudge()
    log.info("prediction_cancelled", **{LogField.PREDICTION_ID: str(prediction_id(request))})
    return answer


async def retry_prediction(request: web.Request) -> web.Response:
    """Score the file of a finished prediction again: a new prediction, with `retry_of`."""
    wanted = await read_json(request, RetryPrediction)
    prediction = await read_prediction(request)
    status = PredictionStatus(prediction.status)
    if not status.is_final:
        raise NotFinished(status)
    options = choose_options(wanted, request.app[MODELS], before=prediction)
    upload = await request.app[UPLOADS].read_upload(prediction.upload_id, request[CALLER].tenant_id)
    if upload is None:
        raise UploadGone
    return await queue_prediction(request, upload, options, retry_of=prediction.prediction_id)


async def delete_prediction(request: web.Request) -> web.Response:
    """Delete a finished prediction with all that belongs to it, and return the receipt."""
    receipt = await request.app[DELETIONS].delete_prediction(
        prediction_id(request), request[CALLER].tenant_id, request.app[OUTBOX]
    )
    return json_answer(receipt)
