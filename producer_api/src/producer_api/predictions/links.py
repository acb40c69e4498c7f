"""`GET /v1/predictions/{id}/result`: download links of a prediction's result files."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import hdrs, web

from producer_api.http.answers import REVALIDATED, json_answer
from producer_api.http.auth import CALLER
from producer_api.http.conditional import etag, if_none_match
from producer_api.objects import OBJECTS
from producer_api.predictions.deletion import result_folder
from producer_api.predictions.errors import NotFinished, PredictionFailed
from producer_api.predictions.request import read_prediction
from producer_api.predictions.resource import json_or_none
from producer_api.predictions.store import Prediction
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.results import MEDIA_TYPES
from retainwise_contracts.status import PredictionStatus

LINK_SECONDS = 900
"""How long a download link is valid: long enough to start a download, short in case the link leaks."""

REUSE_SECONDS = 300
"""For how long links that a client holds are still good enough, so that it is answered with 304."""


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
    return json_answer(content, headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED})
