"""A prediction as clients see it."""

from typing import Any

import orjson

from producer_api.http.conditional import etag
from producer_api.predictions.store import Prediction
from retainwise_contracts.status import PredictionPhase, PredictionStatus


def prediction_path(prediction: Prediction) -> str:
    """Return the path of a prediction."""
    return f"/v1/predictions/{prediction.prediction_id}"


def prediction_tag(prediction: Prediction) -> str:
    """Return the ETag of a prediction: of its revision, and of what it shows that is no revision of its row."""
    return etag(
        prediction.prediction_id, prediction.revision, prediction.sqs_queued_at, _phase(prediction).value
    )


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
        "metadata": _json(prediction.metadata),
        "model": f"{prediction.model_name}@{prediction.model_version}",
        "mapping": _json(prediction.mapping),
        "options": _json(prediction.options),
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
        "summary": _json(prediction.summary),
        "failure": _json(prediction.failure),
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


def _json(document: str | None) -> orjson.Fragment | None:
    return orjson.Fragment(document) if document is not None else None
