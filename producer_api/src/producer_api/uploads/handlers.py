"""The handlers of `/v1/uploads`: send a file here or straight to the storage, inspect it, delete it."""

from uuid import UUID

from aiohttp import hdrs, web

from ml_models.errors import ModelNotFound
from ml_models.intake.columns import InvalidMapping
from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.answers import REVALIDATED, json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import NoBody, NoQuery, is_json, read_json, read_query
from producer_api.http.conditional import etag, if_none_match
from producer_api.http.errors import InvalidRequest, ShuttingDown
from producer_api.http.route import Route
from producer_api.objects import OBJECTS, StorageUnavailable
from producer_api.uploads import complete, delete, inspect
from producer_api.uploads.create import create_awaiting, create_ready
from producer_api.uploads.errors import (
    UNREADABLE,
    TooManyAwaitingUploads,
    TooManyOwnUploads,
    TooManyUploads,
    UploadAlreadyComplete,
    UploadDiffers,
    UploadGone,
    UploadIncomplete,
    UploadInUse,
    UploadNotFound,
    UploadNotReady,
)
from producer_api.uploads.models import (
    AwaitingUpload,
    CreatedUpload,
    CreateUpload,
    CreateUploadQuery,
    Inspection,
    InspectionQuery,
    UploadResource,
)
from producer_api.uploads.presigned import DirectUploads
from producer_api.uploads.receive import UPLOAD_ERRORS
from producer_api.uploads.resource import Received, direct_upload, read_received, upload_resource
from producer_api.uploads.store import UPLOADS, Upload


async def create_upload(request: web.Request) -> web.Response:
    """Store the file that is sent: 201 READY. Or, as JSON, say how to send one: 201 AWAITING."""
    return await (create_awaiting(request) if is_json(request) else create_ready(request))


async def get_upload(request: web.Request) -> web.Response:
    """Return an upload, and what has arrived of it."""
    await read_query(request, NoQuery)
    upload = await _read_upload(request)
    received = Received()
    if upload.state == "AWAITING":
        received = await read_received(upload, DirectUploads(request.app[OBJECTS]))
    tag = etag(upload, received)
    return if_none_match(request, tag) or json_answer(
        upload_resource(upload, received), headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED}
    )


async def renew_upload_links(request: web.Request) -> web.Response:
    """Sign fresh links for what is missing of a file."""
    await read_query(request, NoQuery)
    await read_json(request, NoBody)
    upload = await _read_upload(request)
    if upload.state == "READY":
        raise UploadAlreadyComplete
    direct = DirectUploads(request.app[OBJECTS])
    received = await read_received(upload, direct)
    transfer = await direct.sign(direct_upload(upload))
    return json_answer({**upload_resource(upload, received), "transfer": transfer})


async def complete_upload(request: web.Request) -> web.Response:
    """Check the file that was sent straight to the storage, and make its upload READY."""
    await read_query(request, NoQuery)
    await read_json(request, NoBody)
    upload = await _read_upload(request)
    if upload.state == "AWAITING":
        async with request.app[UPLOAD_GATE].admit(request[CALLER].tenant_id):
            upload = await complete.complete_upload(request, upload)
    return json_answer(upload_resource(upload, Received()))


async def delete_upload(request: web.Request) -> web.Response:
    """Delete an upload that no prediction is of, and its file."""
    await read_query(request, NoQuery)
    await delete.delete_upload(request, _upload_id(request))
    return web.Response(status=204)


async def inspect_upload(request: web.Request) -> web.Response:
    """Say how a file will be read by a model, before anything is queued."""
    query = await read_query(request, InspectionQuery)
    upload = await _read_upload(request)
    if upload.state != "READY":
        raise UploadNotReady
    inspection = await inspect.inspect_upload(request, upload, query)
    tag = etag(inspection)
    return if_none_match(request, tag) or json_answer(
        inspection, headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED}
    )


async def _read_upload(request: web.Request) -> Upload:
    """Read the upload in the path. An unknown, malformed or another tenant's id gives the same error."""
    upload = await request.app[UPLOADS].read_upload(_upload_id(request), request[CALLER].tenant_id)
    if upload is None:
        raise UploadNotFound
    return upload


def _upload_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["upload_id"])
    except ValueError:
        raise UploadNotFound from None


ROUTES = (
    Route(
        "POST",
        "/v1/uploads",
        create_upload,
        "Store a file that is sent along, or say how to send one straight to the storage.",
        answers={201: CreatedUpload},
        query=CreateUploadQuery,
        body=CreateUpload,
        takes_file=True,
        errors=(*UPLOAD_ERRORS, TooManyAwaitingUploads, StorageUnavailable),
    ),
    Route(
        "GET",
        "/v1/uploads/{upload_id}",
        get_upload,
        "A file, and what has arrived of it.",
        answers={200: UploadResource, 304: None},
        errors=(UploadNotFound, StorageUnavailable),
    ),
    Route(
        "POST",
        "/v1/uploads/{upload_id}/parts",
        renew_upload_links,
        "Fresh links for what is missing of a file.",
        answers={200: AwaitingUpload},
        body=NoBody,
        errors=(UploadNotFound, UploadAlreadyComplete, StorageUnavailable),
    ),
    Route(
        "POST",
        "/v1/uploads/{upload_id}/complete",
        complete_upload,
        "Check a file that was sent straight to the storage, and make it READY.",
        answers={200: UploadResource},
        body=NoBody,
        errors=(
            *(UploadNotFound, UploadIncomplete, UploadDiffers, *UNREADABLE),
            *(TooManyUploads, TooManyOwnUploads, ShuttingDown, StorageUnavailable),
        ),
    ),
    Route(
        "DELETE",
        "/v1/uploads/{upload_id}",
        delete_upload,
        "Delete a file that no prediction is of.",
        answers={204: None},
        errors=(UploadNotFound, UploadInUse, InvalidRequest, StorageUnavailable),
    ),
    Route(
        "GET",
        "/v1/uploads/{upload_id}/inspection",
        inspect_upload,
        "How a file will be read by a model: columns, odd values, what is missing. Nothing is queued.",
        answers={200: Inspection, 304: None},
        query=InspectionQuery,
        errors=(
            *(UploadNotFound, UploadNotReady, UploadGone, ModelNotFound, InvalidMapping),
            *(StorageUnavailable, *UNREADABLE),
        ),
    ),
)
