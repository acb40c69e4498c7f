"""The whole flow with the generated client, from the upload to the deletion."""

import io
import json
import sys
import uuid
from pathlib import Path
from typing import TypeVar

from retainwise_client import AuthenticatedClient
from retainwise_client.api.predictions import (
    create_prediction,
    delete_prediction,
    get_events,
    get_prediction,
    list_predictions,
)
from retainwise_client.api.uploads import create_upload, inspect_upload
from retainwise_client.models import (
    CreatedUpload,
    CreatePrediction,
    CreatePredictionMappingType0,
    EventPage,
    Inspection,
    PredictionPage,
    PredictionResource,
    ProblemDocument,
    Receipt,
)
from retainwise_client.types import File

_Content = TypeVar("_Content")


def must(kind: type[_Content], answer: object) -> _Content:
    """Return an answer that must be of this kind."""
    if not isinstance(answer, kind):
        raise SystemExit(f"{kind.__name__} was expected: {answer}")
    return answer


def main(url: str, token: str, file: Path) -> None:
    """Walk the flow."""
    client = AuthenticatedClient(base_url=url, token=token, timeout=60.0)  # type: ignore[arg-type]  # a number is right
    upload = must(
        CreatedUpload,
        create_upload.sync(
            client=client,
            body=File(payload=io.BytesIO(file.read_bytes())),
            name="customers.csv",
            idempotency_key=str(uuid.uuid4()),
        ),
    )
    inspection = must(Inspection, inspect_upload.sync(upload.upload_id, client=client))
    assert not inspection.is_ready, "the file should need a mapping"
    mapping = {"tenure": "Loyalty"}
    corrected = inspect_upload.sync(upload.upload_id, client=client, mapping=json.dumps(mapping))
    assert must(Inspection, corrected).is_ready, "it is still not ready"

    requested = CreatePrediction(
        upload_id=upload.upload_id,
        mapping=CreatePredictionMappingType0.from_dict(mapping),
        label="python",
    )
    prediction = must(
        PredictionResource,
        create_prediction.sync(client=client, body=requested, idempotency_key=str(uuid.uuid4())),
    )
    prediction_id = prediction.prediction_id
    finished = prediction
    while finished.phase != "done":
        waited = get_prediction.sync(prediction_id, client=client, prefer="wait=30")
        finished = must(PredictionResource, waited)
    assert finished.status == "COMPLETED", finished
    events = must(EventPage, get_events.sync(prediction_id, client=client))
    assert events.items[-1].type_ == "completed", events
    listed = must(PredictionPage, list_predictions.sync(client=client, label="python"))
    assert [item.prediction_id for item in listed.items] == [prediction_id]

    # rows

    receipt = must(Receipt, delete_prediction.sync(prediction_id, client=client))
    assert receipt.objects, "nothing was deleted"
    gone = must(ProblemDocument, get_prediction.sync(prediction_id, client=client))
    assert gone.code == "prediction_deleted", gone
    print(json.dumps({"events": len(events.items), "deleted": len(receipt.objects)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
