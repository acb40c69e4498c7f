"""A prediction as clients see it."""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from aiohttp import hdrs, web

from producer_api.http.answers import json_answer
from producer_api.http.conditional import etag
from producer_api.http.idempotency import IDEMPOTENCY
from producer_api.predictions.store import Connection, Prediction
from retainwise_contracts.status import PredictionPhase, PredictionStatus


def prediction_path(prediction: Prediction) -> str:
    """Return the path of a prediction."""
    return f"/v1/predictions/{prediction.prediction_id}"


def prediction_tag(prediction: Prediction) -> str:
    """Return the ETag of a prediction: of its revision, and of what it shows that raises no revision."""
    return etag(
        prediction.prediction_id, prediction.revision, prediction.sqs_queued_at, _phase(prediction).value
    )


def prediction_answer(
    prediction: Prediction, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer a prediction, with its ETag."""
    return json_answer(
        prediction_resource(prediction),
        status=status,
        headers={
            hdrs.ETAG: prediction_tag(prediction),
            hdrs.CONTENT_LOCATION: prediction_path(prediction),
            **(headers or {}),
        },
    )


async def keep_answer(request: web.Request, connection: Connection, answer: web.Response) -> None:
    """Keep the answer for a request that is sent again, in the transaction that does the work.

    Raises:
        IdempotencyKeyInUse: another request does the work.
    """
    body = cast("bytes", answer.body)  # of `json_answer`
    await request[IDEMPOTENCY].complete(connection, answer.status, answer.headers, body)


def prediction_resource(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON can hold it. What is JSON in its row is not parsed."""
    path = prediction_path(prediction)
    retry = prediction.retry_reason and {"reason": prediction.retry_reason, "at": prediction.retry_at}
    rows = prediction.rows_total is not None and {
        "total": prediction.rows_total,
        "scored": prediction.rows_scored,
        "rejected": prediction.rows_rejected,
    }
    progress = prediction.progress_rows is not None and {
        "rows": prediction.progress_rows,
        "expected_rows": prediction.progress_total,
    }
    return {
        "prediction_id": str(prediction.prediction_id),
        "status": prediction.status,
        "phase": _phase(prediction),
        "label": prediction.label,
        "metadata": json_or_none(prediction.metadata),
        "model": f"{prediction.model_name}@{prediction.model_version}",
        "mapping": json_or_none(prediction.mapping),
        "options": json_or_none(prediction.options),
        "upload": {
            "upload_id": str(prediction.upload_id),
            "file_name": prediction.file_name,
            "size_bytes": prediction.size_bytes,
            "sha256": prediction.sha256,
        },
        "retry_of": prediction.retry_of and str(prediction.retry_of),
        "requested_at": prediction.requested_at,
        "queued_at": prediction.sqs_queued_at,
        "started_at": prediction.started_at,
        "finished_at": prediction.finished_at,
        "deadline": prediction.deadline,
        "attempt": prediction.attempt,
        "retry": retry or None,
        "progress": progress or None,
        "rows": rows or None,
        "summary": json_or_none(prediction.summary),
        "failure": json_or_none(prediction.failure),
        "links": {
            "self": path,
            "events": f"{path}/events",
            "result": f"{path}/result",
            "manifest": f"{path}/manifest",
            "rows": f"{path}/rows",
            "rejected": f"{path}/rejected",
            "export": f"{path}/export",
            "upload": f"/v1/uploads/{prediction.upload_id}",
        },
    }


def _phase(prediction: Prediction) -> PredictionPhase:
    """Derive the phase of a status: while RUNNING, a held lease means that a worker is scoring."""
    status = PredictionStatus(prediction.status)
    if status.is_final:
        return PredictionPhase.DONE
    if status is PredictionStatus.QUEUED:
        return PredictionPhase.WAITING
    return PredictionPhase.SCORING if prediction.is_held else PredictionPhase.RETRYING


def json_or_none(document: str | None) -> orjson.Fragment | None:
    """Return a document as it is, to be a part of another one."""
    return orjson.Fragment(document) if document is not None else None
