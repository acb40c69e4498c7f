"""Creates uploads: of a file that is sent along, or of one that will be sent straight to S3."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import hdrs, web

from producer_api.http.admission import UPLOAD_GATE
from producer_api.http.answers import json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import NoQuery, read_json, read_query
from producer_api.http.errors import InvalidParameter
from producer_api.http.idempotency import IDEMPOTENCY
from producer_api.objects import OBJECTS
from producer_api.settings import SETTINGS
from producer_api.uploads.errors import FileTooLarge, TooManyAwaitingUploads
from producer_api.uploads.models import CreateUpload
from producer_api.uploads.presigned import DirectUploads
from producer_api.uploads.receive import Terms, clean_file_name, receive_file, refuse_by_headers, upload_key
from producer_api.uploads.resource import Received, upload_path, upload_resource
from producer_api.uploads.store import UPLOAD_HOURS, UPLOADS, Connection, Upload
from retainwise_contracts.logs import LogField

MAX_AWAITING_UPLOADS = 100
"""Of one tenant. Each may hold parts in S3, which are paid for."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def create_ready(request: web.Request) -> web.Response:
    """Receive the file of a request and store it."""
    tenant_id = request[CALLER].tenant_id
    refuse_by_headers(request)
    async with request.app[UPLOAD_GATE].admit(tenant_id):
        received = await receive_file(request, Terms(read=_read_name))
        store = request.app[UPLOADS]
        async with store.write(tenant_id) as connection:
            upload = await store.insert_ready(
                connection,
                upload_id=received.upload_id,
                tenant_id=tenant_id,
                bucket=request.app[OBJECTS].bucket,
                object_key=received.object.key,
                version_id=received.object.version_id,
                file_name=received.file_name or received.options,
                size_bytes=received.object.size_bytes,
                sha256=received.object.sha256,
            )
            return await _answer_created(request, connection, upload, transfer=None)


def _read_name(parameters: Iterable[tuple[str, str]]) -> str | None:
    """Read the only parameter of a file: its name. Raises InvalidParameter."""
    given = list(parameters)
    for name, _ in given:
        if name != "name":
            raise InvalidParameter(name, "unknown parameter. The only parameter is name.")
    if len(given) > 1:
        raise InvalidParameter("name", "it was sent more than once.")
    return clean_file_name(given[0][1]) if given else None


async def create_awaiting(request: web.Request) -> web.Response:
    """Say how to send a file of the declared size straight to S3.

    Raises:
        FileTooLarge, TooManyAwaitingUploads: why not.
    """
    await read_query(request, NoQuery)
    wanted = await read_json(request, CreateUpload)
    max_bytes = request.app[SETTINGS].max_upload_bytes
    if wanted.size > max_bytes:
        raise FileTooLarge(max_bytes)
    tenant_id, store = request[CALLER].tenant_id, request.app[UPLOADS]
    if await store.has_awaiting(tenant_id, MAX_AWAITING_UPLOADS):
        raise TooManyAwaitingUploads(MAX_AWAITING_UPLOADS)
    upload_id = uuid4()
    direct = DirectUploads(request.app[OBJECTS])
    begun = await direct.begin(upload_key(tenant_id, upload_id), wanted.size)
    transfer = await direct.sign(begun)
    async with store.write(tenant_id) as connection:
        upload = await store.insert_awaiting(
            connection,
            upload_id=upload_id,
            tenant_id=tenant_id,
            bucket=request.app[OBJECTS].bucket,
            object_key=begun.key,
            file_name=clean_file_name(wanted.name),
            declared_size=wanted.size,
            declared_sha256=wanted.sha256,
            multipart_id=begun.multipart_id,
            part_bytes=begun.part_bytes,
            expires_at=datetime.now(UTC) + timedelta(hours=UPLOAD_HOURS),
        )
        answer = await _answer_created(request, connection, upload, transfer)
    log.info("upload_created", **{LogField.UPLOAD_ID: str(upload_id)}, size_bytes=wanted.size)
    return answer


async def _answer_created(
    request: web.Request, connection: Connection, upload: Upload, transfer: dict[str, Any] | None
) -> web.Response:
    """Answer 201, and keep the answer for the idempotency key in the transaction that writes the row."""
    content = {**upload_resource(upload, Received()), "transfer": transfer}
    answer = json_answer(content, status=201, headers={str(hdrs.LOCATION): upload_path(upload)})
    body = answer.body if isinstance(answer.body, bytes) else b""
    await request[IDEMPOTENCY].complete(connection, answer.status, answer.headers, body)
    return answer
