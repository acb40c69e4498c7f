"""`GET /v1/predictions/{id}/result`: download links of a prediction's result files."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import hdrs, web

from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.conditional import etag, if_none_match
from producer_api.objects import OBJECTS
from producer_api.predictions.errors import NotFinished, PredictionFailed
from producer_api.predictions.request import read_prediction
from producer_api.predictions.resource import json_or_none
from producer_api.predictions.store import Prediction, result_folder
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.results import MEDIA_TYPES, ResultFile
from retainwise_contracts.status import PredictionStatus

LINK_SECONDS = 900
"""How long a download link is valid: long enough to start a download, short in case the link leaks."""

REUSE_SECONDS = 300
"""For how long a client that holds links is told that they are as good as new ones."""


class ForeignResult(Exception):
    """A row names a result that is not its own. Only an operator can help: it is an internal_error."""


async def get_result(request: web.Request) -> web.Response:
    """Return a download link for each file of a prediction's result."""
    prediction = await read_prediction(request)
    location = result_location(prediction, request[CALLER].tenant_id, request.app[OBJECTS].bucket)
    now = datetime.now(UTC)  # before the links are signed, so that no link expires earlier than stated
    tag = etag(prediction.prediction_id, prediction.revision, int(now.timestamp()) // REUSE_SECONDS)
    if held := if_none_match(request, tag):
        return held
    files = [await _link(request, prediction, file) for file in location.files]
    content = {"expires_at": now + timedelta(seconds=LINK_SECONDS), "files": files}
    # Weak: the same files, by other links. Links are secrets, so no cache keeps them.
    return json_answer(content, headers={hdrs.ETAG: f"W/{tag}"})


def result_location(prediction: Prediction, tenant_id: str, bucket: str) -> ResultLocation:
    """Return where the result of a prediction is.

    Raises:
        NotFinished, PredictionFailed: it has none.
        ForeignResult: its row names files that are not its own. Whoever writes rows must not read others'.
    """
    status = PredictionStatus(prediction.status)
    if not status.is_final:
        raise NotFinished(status)
    if prediction.result is None:
        raise PredictionFailed(status, json_or_none(prediction.failure))
    location = ResultLocation.model_validate_json(prediction.result)
    folder = result_folder(tenant_id, prediction.prediction_id)
    for file in location.files:
        path = file.key.removeprefix(folder).split("/")
        if (
            location.bucket != bucket
            or not file.key.startswith(folder)
            or path[-1] != file.name
            or not {"", ".", ".."}.isdisjoint(path)
        ):
            raise ForeignResult(f"the row's file {file.name} is not below {folder} of our bucket")
    return location


async def _link(request: web.Request, prediction: Prediction, file: ResultFile) -> dict[str, Any]:
    url = await request.app[OBJECTS].link(
        file.key,
        file_name=f"{prediction.prediction_id}-{file.name}",
        media_type=MEDIA_TYPES[file.name],
        seconds=LINK_SECONDS,
    )
    return {
        "name": file.name,
        "url": url,
        "media_type": MEDIA_TYPES[file.name],
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
    }
