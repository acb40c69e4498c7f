"""The API's access to S3: it stores files as they arrive and signs links to results.

No botocore error leaves this module: each becomes `StorageUnavailable`.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef, ObjectIdentifierTypeDef

PART_BYTES = 5 << 20
"""A file is uploaded in parts of this size. S3 allows 5 MiB to 5 GiB and 10,000 parts: 48 GiB here. The
client computes a checksum of each part in the event loop, so a part is as small as it may be."""

REQUEST_TIMEOUT_SECONDS = 20.0
"""For one request with a part as its body, including the client's retries: clients and load balancers seldom
wait for more than 30 s."""

ABORT_TIMEOUT_SECONDS = 5.0
"""An upload that failed is answered after this."""

CSV_MEDIA_TYPE = "text/csv"

READ_BYTES = 1 << 20
"""How much of an object is read at a time."""


class StorageUnavailable(Exception):
    """S3 cannot be reached, refuses the request or does not answer in time."""


class ObjectMissing(StorageUnavailable):
    """There is no such object, or no such multipart upload."""


@dataclass(frozen=True)
class StoredObject:
    """A file that is completely stored; size and digest are of the bytes as they arrived."""

    key: str
    version_id: str | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredKey:
    """An object in the bucket, or an unfinished one with the id of its multipart upload."""

    key: str
    modified_at: datetime
    multipart_id: str = ""


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object; `null` is that of a bucket without versions. A delete marker has no bytes."""

    key: str
    version_id: str
    size_bytes: int


class ObjectWriter:
    """Writes one object. It cannot be read before `complete`."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0
        self._last_part: bytes | None = None
        self._multipart_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    @property
    def size_bytes(self) -> int:
        """The number of bytes written so far."""
        return self._size

    async def write(self, chunk: bytes) -> None:
        """Write the next bytes. Each full part is uploaded before this returns, which slows the sender down.

        Raises:
            StorageUnavailable: a part could not be stored.
        """
        self._size += len(chunk)
        self._buffer += chunk
        if len(self._buffer) >= PART_BYTES:
            await self._upload_part(await self._take_buffer())

    async def digest(self) -> str:
        """Return the SHA-256 of all bytes. None may be written after this."""
        if self._last_part is None:
            self._last_part = await self._take_buffer()
        return self._digest.hexdigest()

    async def complete(self) -> StoredObject:
        """Finish the object, so that it can be read.

        Raises:
            StorageUnavailable: it could not be stored; there is no object.
        """
        sha256 = await self.digest()
        body = self._last_part or b""
        if self._multipart_id is None:
            with translate_errors():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    stored = await self._client.put_object(
                        Bucket=self._bucket, Key=self._key, Body=body, ContentType=CSV_MEDIA_TYPE
                    )
            version_id = stored.get("VersionId")
        else:
            if body:
                await self._upload_part(body)
            with translate_errors():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    completed = await self._client.complete_multipart_upload(
                        Bucket=self._bucket,
                        Key=self._key,
                        UploadId=self._multipart_id,
                        MultipartUpload={"Parts": self._parts},
                    )
            version_id = completed.get("VersionId")
            self._multipart_id = None
        return StoredObject(self._key, version_id, self._size, sha256)

    async def abort(self) -> None:
        """Remove the uploaded parts. If S3 is unavailable, the bucket's lifecycle rule removes them later."""
        self._buffer.clear()
        if self._multipart_id is not None:
            with suppress(ClientError, BotoCoreError, OSError):
                async with asyncio.timeout(ABORT_TIMEOUT_SECONDS):
                    await self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=self._key, UploadId=self._multipart_id
                    )

    async def _upload_part(self, body: bytes) -> None:
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                if self._multipart_id is None:
                    created = await self._client.create_multipart_upload(
                        Bucket=self._bucket, Key=self._key, ContentType=CSV_MEDIA_TYPE
                    )
                    self._multipart_id = created["UploadId"]
                number = len(self._parts) + 1
                stored = await self._client.upload_part(
                    Bucket=self._bucket,
                    Key=self._key,
                    UploadId=self._multipart_id,
                    PartNumber=number,
                    Body=body,
                )
        self._parts.append({"ETag": stored["ETag"], "PartNumber": number})

    async def _take_buffer(self) -> bytes:
        body = bytes(self._buffer)
        self._buffer = bytearray()
        await asyncio.to_thread(self._digest.update, body)  # releases the GIL
        return body


@dataclass(frozen=True)
class OpenObject:
    """An object that is being read."""

    version_id: str | None
    size_bytes: int
    body: "StreamingBody"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes, `READ_BYTES` at most at a time. Raises StorageUnavailable."""
        while True:
            with translate_errors():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    chunk: bytes = await self.body.read(READ_BYTES)
            if not chunk:
                return
            yield chunk


class Objects:
    """Files in the bucket of uploads and results."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    async def probe(self) -> None:
        """Check that the bucket can be reached. Raises StorageUnavailable."""
        with translate_errors():
            await self.client.head_bucket(Bucket=self.bucket)

    @asynccontextmanager
    async def create_object(self, key: str) -> AsyncIterator[ObjectWriter]:
        """Write an object while the block runs; an error in the block removes what was written."""
        writer = ObjectWriter(self.client, self.bucket, key)
        try:
            yield writer
        except BaseException:  # including cancellation: S3 charges for parts of unfinished uploads
            await writer.abort()
            raise

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[OpenObject]:
        """Read an object while the block runs. Raises ObjectMissing, StorageUnavailable."""
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answer = await self.client.get_object(Bucket=self.bucket, Key=key)
        async with answer["Body"] as body:
            yield OpenObject(answer.get("VersionId"), answer["ContentLength"], body)

    async def read_head(self, key: str, version_id: str | None, size_bytes: int) -> bytes:
        """Return the first bytes of an object. Raises ObjectMissing, StorageUnavailable."""
        version: dict[str, Any] = {} if version_id is None else {"VersionId": version_id}
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answer = await self.client.get_object(
                    Bucket=self.bucket, Key=key, Range=f"bytes=0-{size_bytes - 1}", **version
                )
                head = bytearray()
                async with answer["Body"] as body:
                    # Not all that may come: a storage need not know ranges of versions.
                    while len(head) < size_bytes and (chunk := await body.read(size_bytes - len(head))):
                        head += chunk
                return bytes(head)

    async def measure(self, key: str) -> int:
        """Return the size of an object in bytes; 0 if there is none. Raises StorageUnavailable."""
        try:
            with translate_errors():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    answer = await self.client.head_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            return 0
        return answer["ContentLength"]

    async def link(self, key: str, *, file_name: str, media_type: str, seconds: int) -> str:
        """Sign a URL with which anyone can download one object for this many seconds."""
        with translate_errors():
            url: str = await self.client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{file_name}"',
                    "ResponseContentType": media_type,
                },
                ExpiresIn=seconds,
            )
        return url

    async def list_objects(self, prefix: str) -> AsyncIterator[list[StoredKey]]:
        """Yield the objects below `prefix`, up to 1,000 at a time. Raises StorageUnavailable."""
        with translate_errors():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            async for page in pages:
                yield [StoredKey(found["Key"], found["LastModified"]) for found in page.get("Contents", ())]

    async def list_unfinished(self, prefix: str) -> AsyncIterator[list[StoredKey]]:
        """Yield the multipart uploads that were begun below `prefix`, by page. Raises StorageUnavailable."""
        with translate_errors():
            paginator = self.client.get_paginator("list_multipart_uploads")
            async for page in paginator.paginate(Bucket=self.bucket, Prefix=prefix):
                yield [
                    StoredKey(found["Key"], found["Initiated"], found["UploadId"])
                    for found in page.get("Uploads", ())
                ]

    async def list_versions(self, prefix: str) -> AsyncIterator[list[ObjectVersion]]:
        """Yield every version of the objects below `prefix`, by page. Raises StorageUnavailable.

        Those that were deleted by name are among them: a bucket with versions keeps them behind a marker.
        """
        with translate_errors():
            pages = self.client.get_paginator("list_object_versions")
            async for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
                yield [
                    ObjectVersion(found["Key"], found["VersionId"], found["Size"])
                    for found in page.get("Versions", ())
                ] + [
                    ObjectVersion(marker["Key"], marker["VersionId"], 0)
                    for marker in page.get("DeleteMarkers", ())
                ]

    async def delete_versions(self, versions: Sequence[ObjectVersion]) -> None:
        """Delete up to 1,000 versions for good. Raises StorageUnavailable if one of them is not deleted."""
        await self._delete([{"Key": version.key, "VersionId": version.version_id} for version in versions])

    async def delete_objects(self, keys: list[str]) -> None:
        """Delete up to 1,000 objects. Raises StorageUnavailable if one of them is not deleted."""
        await self._delete([{"Key": key} for key in keys])

    async def _delete(self, objects: "Sequence[ObjectIdentifierTypeDef]") -> None:
        if not objects:
            return
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answer = await self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
                )
        if errors := answer.get("Errors"):
            raise StorageUnavailable(f"{len(errors)} objects were not deleted: {errors[0].get('Code')}")

    async def abort_unfinished(self, upload: StoredKey) -> None:
        """Remove the parts of an unfinished object, if it is one. Raises StorageUnavailable."""
        with suppress(ObjectMissing), translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                await self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=upload.key, UploadId=upload.multipart_id
                )

    async def discard(self, key: str, multipart_id: str | None) -> None:
        """Remove an object and the parts that it would have been made of. Raises StorageUnavailable."""
        if multipart_id is not None:
            await self.abort_unfinished(StoredKey(key, datetime.now(UTC), multipart_id))
        await self.delete_objects([key])


OBJECTS = web.AppKey("objects", Objects)


_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"})
"""Codes of S3 for what is not there; of a HEAD, whose answer has no body, only the status."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate botocore's errors of the block. Raises ObjectMissing, StorageUnavailable."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise ObjectMissing from error
        raise StorageUnavailable("the file storage cannot be reached") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # OSError includes TimeoutError
        raise StorageUnavailable("the file storage cannot be reached") from error
