"""Deletes an upload: nobody sees it any more, then its objects go, then its row."""

from uuid import UUID

from aiohttp import web

from producer_api.http.auth import CALLER
from producer_api.objects import OBJECTS
from producer_api.uploads.errors import UploadInUse, UploadNotFound
from producer_api.uploads.store import UPLOADS


async def delete_upload(request: web.Request, upload_id: UUID) -> None:
    """Delete an upload of the caller's tenant and its file.

    Raises:
        UploadNotFound: there is none.
        UploadInUse: a prediction is of it.
        StorageUnavailable: nobody sees it any more, and the sweep will delete the rest.
    """
    store, tenant_id = request.app[UPLOADS], request[CALLER].tenant_id
    deleted = await store.mark_deleted(upload_id, tenant_id)
    if deleted is None:
        raise UploadNotFound
    if deleted == "used":
        raise UploadInUse
    await request.app[OBJECTS].discard(deleted.object_key, deleted.multipart_id)
    await store.delete_upload(upload_id, tenant_id)
