"""The worker's edge to S3: it downloads an upload and checks its digest, and stores results."""

import asyncio
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.prediction_requested import UploadReference
from retainwise_contracts.results import MEDIA_TYPES, FileDigest, ResultFile

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

CHUNK_BYTES = 1 << 20
"""Read from S3 and written to disk at a time: large enough for few thread hops, small in memory."""

PART_BYTES = 8 << 20
"""Size of a part of a multipart upload; S3 takes 5 MiB to 5 GiB and at most 10,000 parts: 78 GiB here."""

STALLED_AFTER_SECONDS = 30.0
"""Without a byte or an answer from S3 for this long, the transfer is given up; the message is tried again."""


class UploadMissing(Exception):
    """The object is not in the bucket; it was deleted after it was accepted."""


class UploadChanged(Exception):
    """The object's bytes are not the ones that were accepted."""


class Objects:
    """Files in one bucket. S3's other errors pass through; the handler treats them as transient."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def probe(self) -> None:
        """Check that the bucket can be used; raises botocore's or the network's error if not."""
        await self._client.head_bucket(Bucket=self._bucket)

    async def download(self, upload: UploadReference, destination: Path) -> None:
        """Write the upload to `destination` and check its size and SHA-256.

        Raises:
            UploadMissing: there is no such object.
            UploadChanged: it is not the file that was accepted.
        """
        version = {"VersionId": upload.version_id} if upload.version_id else {}
        try:
            response = await self._client.get_object(Bucket=upload.bucket, Key=upload.key, **version)  # type: ignore[arg-type] # an optional argument
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchVersion", "404"}:
                raise UploadMissing(upload.key) from error
            raise
        digest = hashlib.sha256()
        size = 0
        async with response["Body"] as body:
            with await asyncio.to_thread(destination.open, "wb") as file:
                while chunk := await asyncio.wait_for(body.read(CHUNK_BYTES), STALLED_AFTER_SECONDS):
                    size += len(chunk)
                    await asyncio.to_thread(_write_and_hash, file, digest, chunk)
        if (size, digest.hexdigest()) != (upload.size_bytes, upload.sha256):
            raise UploadChanged(f"accepted {upload.size_bytes} bytes, found {size}")

    async def store_results(self, folder: Path, files: Iterable[FileDigest], prefix: str) -> ResultLocation:
        """Upload the result files in `folder` to keys below `prefix`."""
        stored = tuple(
            ResultFile(**file.model_dump(), key=f"{prefix}/{file.name}", media_type=MEDIA_TYPES[file.name])
            for file in files
        )
        for file in stored:
            await self._upload(folder / file.name, file.key, file.media_type)
        return ResultLocation(bucket=self._bucket, files=stored)

    async def _upload(self, source: Path, key: str, media_type: str) -> None:
        """Write a file to `key`; it is there in full or not at all."""
        file = await asyncio.to_thread(source.open, "rb")
        with file:
            part = await asyncio.to_thread(file.read, PART_BYTES)
            if len(part) < PART_BYTES:
                async with asyncio.timeout(STALLED_AFTER_SECONDS):
                    await self._client.put_object(
                        Bucket=self._bucket, Key=key, Body=part, ContentType=media_type
                    )
            else:
                await self._upload_parts(file, part, key, media_type)

    async def _upload_parts(self, file: IO[bytes], part: bytes, key: str, media_type: str) -> None:
        created = await self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ContentType=media_type
        )
        upload_id = created["UploadId"]
        try:
            parts: list[CompletedPartTypeDef] = []
            while part:
                async with asyncio.timeout(STALLED_AFTER_SECONDS):
                    stored = await self._client.upload_part(
                        Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=len(parts) + 1, Body=part
                    )
                parts.append({"ETag": stored["ETag"], "PartNumber": len(parts) + 1})
                part = await asyncio.to_thread(file.read, PART_BYTES)
            async with asyncio.timeout(STALLED_AFTER_SECONDS):
                await self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
        except BaseException:
            # Also when cancelled, since parts without an end are paid for. Where this fails too, the first
            # error is the one to raise, and the bucket's lifecycle rule clears the parts.
            with suppress(Exception):
                async with asyncio.timeout(STALLED_AFTER_SECONDS):
                    await self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=upload_id
                    )
            raise


def _write_and_hash(file: IO[bytes], digest: "hashlib._Hash", chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)
