"""The endpoints below `/v1/predictions`, and the handlers that only read; each act has its own module."""

from datetime import datetime
from uuid import UUID

from aiohttp import hdrs, web

from ml_models.errors import ModelNotFound
from ml_models.intake.columns import InvalidMapping, MappingNeedsConfirmation, RequiredColumnsMissing
from producer_api.http.answers import REVALIDATED
from producer_api.http.auth import CALLER
from producer_api.http.body import read_query
from producer_api.http.conditional import if_none_match
from producer_api.http.errors import PreconditionFailed, TooManyUnfinished
from producer_api.http.paging import PAGER, page
from producer_api.http.route import Route
from producer_api.objects import StorageUnavailable
from producer_api.predictions.create import create_prediction
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
from producer_api.predictions.lifecycle import (
    cancel_prediction,
    delete_prediction,
    describe_prediction,
    retry_prediction,
)
from producer_api.predictions.links import get_result
from producer_api.predictions.models import (
    CreatePrediction,
    DescribePrediction,
    EventPage,
    EventsQuery,
    FileParameters,
    ListQuery,
    PredictionPage,
    PredictionResource,
    Receipt,
    ResultLinks,
    RetryPrediction,
)
from producer_api.predictions.request import missing, read_prediction
from producer_api.predictions.resource import prediction_answer, prediction_resource, prediction_tag
from producer_api.predictions.store import PREDICTIONS, Filters, MetadataTooLarge, Prediction
from producer_api.predictions.stream import EVENT_STREAM, get_events
from producer_api.predictions.waiting import applied_preference, wait_until
from producer_api.uploads.errors import UNREADABLE, UploadGone, UploadNotFound, UploadNotReady
from producer_api.uploads.receive import UPLOAD_ERRORS
from retainwise_contracts.status import PredictionStatus


async def list_predictions(request: web.Request) -> web.Response:
    """List a tenant's predictions, a page at a time."""
    query = await read_query(request, ListQuery)
    tenant_id, pager = request[CALLER].tenant_id, request.app[PAGER]
    scope = f"predictions {query.model_dump_json(exclude={'cursor', 'limit'})}"
    after = _position(pager.decode(tenant_id, scope, query.cursor)) if query.cursor else None
    found = await request.app[PREDICTIONS].list_predictions(
        tenant_id,
        _filters(query),
        newest_first=query.sort == "-requested_at",
        after=after,
        at_most=query.limit + 1,  # one more: whether there is a next page
    )
    listed, has_more = found[: query.limit], len(found) > query.limit
    next_cursor = None
    if has_more:
        last = listed[-1]
        position = [last.requested_at.isoformat(), str(last.prediction_id)]
        next_cursor = pager.encode(tenant_id, scope, position)
    return page(request, [prediction_resource(prediction) for prediction in listed], next_cursor)


async def get_prediction(request: web.Request) -> web.Response:
    """Return a prediction: at once, or, if the client prefers to wait, when it has changed or ended."""
    holds_one = hdrs.IF_NONE_MATCH in request.headers

    def is_enough(prediction: Prediction) -> bool:
        if PredictionStatus(prediction.status).is_final:
            return True
        return holds_one and if_none_match(request, prediction_tag(prediction)) is None

    prediction = await wait_until(request, await read_prediction(request), is_enough)
    if prediction is None:
        raise await missing(request)
    answer = if_none_match(request, prediction_tag(prediction)) or prediction_answer(
        prediction, headers={hdrs.CACHE_CONTROL: REVALIDATED}
    )
    answer.headers.update(applied_preference(request))
    return answer


def _filters(query: ListQuery) -> Filters:
    name, _, version = (query.model or "").partition("@")
    return Filters(
        statuses=query.status or None,
        model_name=name or None,
        model_version=version or None,
        since=query.since,
        until=query.until,
        label=query.label,
        text=query.q,
    )


def _position(position: list[str]) -> tuple[datetime, UUID]:
    requested_at, prediction_id = position
    return datetime.fromisoformat(requested_at), UUID(prediction_id)


_MAPPING_ERRORS = (RequiredColumnsMissing, MappingNeedsConfirmation, InvalidMapping)
"""Why the columns of a file do not fit."""

_QUEUEING = (
    *UNREADABLE,
    *_MAPPING_ERRORS,
    ModelNotFound,
    MetadataTooLarge,
    TooManyUnfinished,
    UploadGone,
    StorageUnavailable,
)
"""Why a prediction cannot be queued, however its file is named."""

_ONE = (PredictionNotFound, PredictionDeleted)

ROUTES = (
    Route(
        "POST",
        "/v1/predictions",
        create_prediction,
        "Queue the prediction of a file that is sent along, or of one that is uploaded already.",
        answers={202: PredictionResource, 200: PredictionResource},
        query=FileParameters,
        body=CreatePrediction,
        takes_file=True,
        headers=("Prefer",),
        errors=(*_QUEUEING, *UPLOAD_ERRORS, UploadNotFound, UploadNotReady),
    ),
    Route(
        "GET",
        "/v1/predictions",
        list_predictions,
        "List predictions, the newest first.",
        answers={200: PredictionPage},
        query=ListQuery,
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}",
        get_prediction,
        "Get a prediction: its status, progress, summary or failure.",
        answers={200: PredictionResource, 304: None},
        headers=("Prefer",),
        errors=_ONE,
    ),
    Route(
        "PATCH",
        "/v1/predictions/{prediction_id}",
        describe_prediction,
        "Change the label and the metadata of a prediction.",
        answers={200: PredictionResource},
        body=DescribePrediction,
        errors=(*_ONE, MetadataTooLarge, PreconditionFailed),
    ),
    Route(
        "DELETE",
        "/v1/predictions/{prediction_id}",
        delete_prediction,
        "Delete a finished prediction with its events, its results and its file.",
        answers={200: Receipt},
        errors=(PredictionNotFound, NotFinished, MessagesUnsent, StorageUnavailable),
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/events",
        get_events,
        "List what has happened to a prediction, or follow it as an event stream.",
        answers={200: (EventPage, EVENT_STREAM), 204: None},
        headers=("Last-Event-ID",),
        query=EventsQuery,
        errors=(*_ONE, TooManyStreams, TooManyOwnStreams),
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/result",
        get_result,
        "Get download links of the files of a result.",
        answers={200: ResultLinks, 304: None},
        errors=(*_ONE, NotFinished, PredictionFailed, StorageUnavailable),
    ),
    Route(
        "POST",
        "/v1/predictions/{prediction_id}/cancel",
        cancel_prediction,
        "Cancel a prediction that has not finished.",
        answers={200: PredictionResource},
        errors=(*_ONE, AlreadyFinished),
    ),
    Route(
        "POST",
        "/v1/predictions/{prediction_id}/retry",
        retry_prediction,
        "Score the file of a finished prediction again, as before or in another way.",
        answers={202: PredictionResource, 200: PredictionResource},
        body=RetryPrediction,
        headers=("Prefer",),
        errors=(*_ONE, *_QUEUEING, NotFinished),
    ),
)
