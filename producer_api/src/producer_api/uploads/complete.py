"""Completes a direct upload: its object is read once, checked, and becomes a file that can be scored."""

import asyncio
import hashlib
from contextlib import suppress

import structlog
from aiohttp import web

from ml_models.intake.dialect import HEAD_BYTES, UnreadableFile
from producer_api.http.auth import CALLER
from producer_api.objects import OBJECTS, ObjectMissing, StorageUnavailable, translate_errors
from producer_api.uploads.delete import delete_upload
from producer_api.uploads.errors import UploadDiffers, UploadIncomplete, UploadInUse, UploadNotFound
from producer_api.uploads.presigned import DirectUploads
from producer_api.uploads.receive import INSPECTORS, UPLOAD_SECONDS, read_headers
from producer_api.uploads.resource import direct_upload
from producer_api.uploads.store import UPLOADS, Upload
from retainwise_contracts.logs import LogField

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def complete_upload(request: web.Request, upload: Upload) -> Upload:
    """Make an AWAITING upload READY, once its file is there and is what was declared.

    A file that is not is deleted with its upload: its links may still be valid, and the next file would be
    taken for this one.

    Raises:
        UploadIncomplete: the file, or a part of it, is not there yet.
        UploadDiffers, UnreadableFile: it is not the declared file, or not a table of customers.
        UploadNotFound: the upload was deleted meanwhile.
        StorageUnavailable: S3 cannot be used.
    """
    objects, store = request.app[OBJECTS], request.app[UPLOADS]
    tenant_id = request[CALLER].tenant_id
    direct = direct_upload(upload)
    missing = await DirectUploads(objects).assemble(direct)
    if missing:
        received = direct.size_bytes - sum(direct.part_sizes[number - 1] for number in missing)
        raise UploadIncomplete(received, missing)
    try:
        with translate_errors():  # of the time limit: the sweep waits as long for a completion under way
            async with asyncio.timeout(UPLOAD_SECONDS):
                version_id, size_bytes, sha256 = await _read_object(request, upload, direct.size_bytes)
    except ObjectMissing as error:
        raise UploadIncomplete(0, []) from error
    except (UploadDiffers, UnreadableFile):
        with suppress(UploadNotFound, UploadInUse, StorageUnavailable):  # the sweep deletes what is left
            await delete_upload(request, upload.upload_id)
        raise
    completed = await store.complete_upload(
        upload.upload_id, tenant_id, version_id=version_id, size_bytes=size_bytes, sha256=sha256
    )
    if completed is None:  # another request has completed or deleted it
        completed = await store.read_upload(upload.upload_id, tenant_id)
        if completed is None or completed.state != "READY":
            raise UploadNotFound
    log.info("upload_completed", **{LogField.UPLOAD_ID: str(upload.upload_id)}, size_bytes=size_bytes)
    return completed


async def _read_object(
    request: web.Request, upload: Upload, declared_size: int
) -> tuple[str | None, int, str]:
    """Read an object once, in bounded memory; return its version, size and SHA-256.

    Raises:
        ObjectMissing: it is not there.
        UploadDiffers, UnreadableFile: see `complete_upload`.
    """
    digest, head, size = hashlib.sha256(), bytearray(), 0
    async with request.app[OBJECTS].open_object(upload.object_key) as stored:
        if stored.size_bytes != declared_size:
            raise UploadDiffers(
                "size", f"{declared_size:,} bytes were declared, {stored.size_bytes:,} arrived."
            )
        async for chunk in stored.chunks():
            head += chunk[: HEAD_BYTES - len(head)]
            size += len(chunk)
            await asyncio.to_thread(digest.update, chunk)  # releases the GIL
    sha256 = digest.hexdigest()
    if upload.declared_sha256 not in (None, sha256):
        raise UploadDiffers("sha256", f"what is stored has the SHA-256 {sha256}.")
    await read_headers(request.app[INSPECTORS], bytes(head), whole=size <= HEAD_BYTES)
    return stored.version_id, size, sha256
