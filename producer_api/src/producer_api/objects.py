"""The API's edge to S3: files go in as they arrive, links to results come out.

botocore's errors are translated here and go no further.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from producer_api.errors import StorageUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 << 20
"""A file is held and sent in parts of this size. S3 takes 5 MiB to 5 GiB and 10,000 parts: 78 GiB here."""

REQUEST_TIMEOUT_SECONDS = 60.0
"""For one request with a part in its body, the client's own retries included."""

CSV_MEDIA_TYPE = "text/csv"


@dataclass(frozen=True)
class StoredObject:
    """A file that is in the bucket in full; size and digest are of the bytes as they arrived."""

    key: str
    version_id: str | None
    size_bytes: int
    sha256: str


class ObjectWriter:
    """One object in the making. Nothing is there to read before `complete`."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0
        self._multipart_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    @property
    def size_bytes(self) -> int:
        """The number of bytes written so far."""
        return self._size

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; with every full part this waits for S3, and so slows the sender down.

        Raises:
            StorageUnavailable: S3 did not take a part.
        """
        self._size += len(chunk)
        self._buffer += chunk
        if len(self._buffer) >= PART_BYTES:
            await self._send_part()

    async def complete(self) -> StoredObject:
        """Put the object in place.

        Raises:
            StorageUnavailable: S3 did not take it; nothing is there.
        """
        if self._multipart_id is None:
            body = await self._take_buffer()
            with _translated():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    stored = await self._client.put_object(
                        Bucket=self._bucket, Key=self._key, Body=body, ContentType=CSV_MEDIA_TYPE
                    )
            version_id = stored.get("VersionId")
        else:
            if self._buffer:
                await self._send_part()
            with _translated():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    completed = await self._client.complete_multipart_upload(
                        Bucket=self._bucket,
                        Key=self._key,
                        UploadId=self._multipart_id,
                        MultipartUpload={"Parts": self._parts},
                    )
            version_id = completed.get("VersionId")
            self._multipart_id = None
        return StoredObject(self._key, version_id, self._size, self._digest.hexdigest())

    async def abort(self) -> None:
        """Leave nothing behind, as far as S3 lets us: its lifecycle rule clears parts that stay."""
        self._buffer.clear()
        if self._multipart_id is not None:
            with suppress(ClientError, BotoCoreError, OSError):
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    await self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=self._key, UploadId=self._multipart_id
                    )

    async def _send_part(self) -> None:
        body = await self._take_buffer()
        with _translated():
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


class Objects:
    """Files in the bucket of uploads and results."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    async def probe(self) -> None:
        """Ask for the bucket. Raises StorageUnavailable."""
        with _translated():
            await self._client.head_bucket(Bucket=self.bucket)

    @asynccontextmanager
    async def create_object(self, key: str) -> AsyncIterator[ObjectWriter]:
        """Write an object while the block runs; if it is left by an error, nothing stays behind."""
        writer = ObjectWriter(self._client, self.bucket, key)
        try:
            yield writer
        except BaseException:  # also when cancelled: parts without an end are paid for
            await writer.abort()
            raise

    async def link(self, bucket: str, key: str, *, file_name: str, media_type: str, seconds: int) -> str:
        """Sign a link that lets whoever has it download one object for so many seconds."""
        with _translated():
            url: str = await self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": bucket,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{file_name}"',
                    "ResponseContentType": media_type,
                },
                ExpiresIn=seconds,
            )
        return url


OBJECTS = web.AppKey("objects", Objects)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, OSError) as error:  # a TimeoutError is an OSError
        raise StorageUnavailable from error
