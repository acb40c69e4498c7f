"""The worker's edge to S3: it downloads an upload and checks its digest, and stores results."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from consumer_worker.errors import StorageUnavailable
from consumer_worker.retrying import retry_unavailable
from consumer_worker.scratch import scratch_errors
from retainwise_contracts.prediction_finished import ResultLocation
from retainwise_contracts.prediction_requested import UploadReference
from retainwise_contracts.results import MEDIA_TYPES, FileDigest, ResultFile

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

RESULTS_PREFIX = "results/"

CHUNK_BYTES = 1 << 20
"""Read from S3 and written to disk at a time: large enough for few thread hops, small in memory."""

PART_BYTES = 8 << 20
"""Size of a part of a multipart upload; S3 takes 5 MiB to 5 GiB and at most 10,000 parts: 78 GiB here."""

STALLED_AFTER_SECONDS = 30.0
"""Without a byte or an answer from S3 for this long, the transfer is given up."""

RETRY_SECONDS = 5.0
"""For how long after the first try a transfer that failed is repeated before S3 counts as unavailable."""

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})

_OF_THE_OBJECT = frozenset({"InvalidObjectState"})
"""Refusals with status 403 that concern one object only: it was archived."""

_REFUSALS = frozenset({"NoSuchBucket", "RequestTimeout", "ExpiredToken", "InvalidToken", "SlowDown"})
"""With a status other than 401, 403, 429 and 5xx; they concern every object."""


class UploadMissing(Exception):
    """The object is not in the bucket; it was deleted after it was accepted."""


class UploadChanged(Exception):
    """The object's bytes are not the ones that were accepted."""


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it."""

    key: str
    modified_at: datetime


class Objects:
    """Files in one bucket.

    Every method raises StorageUnavailable where S3 or the bucket cannot be used, transfers after they were
    repeated for RETRY_SECONDS. S3's errors about one object pass through.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def probe(self) -> None:
        """Check that the bucket can be used; raises botocore's or the network's error if not."""
        await self._client.head_bucket(Bucket=self._bucket)

    async def list_results(self, after: str, at_most: int) -> list[StoredObject]:
        """Return the result files, of all predictions, whose keys follow `after`."""
        with _storage_errors():
            listed = await self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=RESULTS_PREFIX, StartAfter=after, MaxKeys=at_most
            )
        return [StoredObject(item["Key"], item["LastModified"]) for item in listed.get("Contents", ())]

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 objects; one that is already gone counts as deleted."""
        with _storage_errors():
            await self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )

    async def download(self, upload: UploadReference, destination: Path) -> None:
        """Write the upload to `destination` and check its size and SHA-256.

        Raises:
            UploadMissing: there is no such object.
            UploadChanged: it is not the file that was accepted.
            ScratchUnavailable: it cannot be written.
        """
        await retry_unavailable(lambda: self._download(upload, destination), within_seconds=RETRY_SECONDS)

    async def _download(self, upload: UploadReference, destination: Path) -> None:
        with _storage_errors():
            size, sha256 = await self._fetch(upload, destination)
        if (size, sha256) != (upload.size_bytes, upload.sha256):
            raise UploadChanged(f"accepted {upload.size_bytes} bytes, found {size}")

    async def _fetch(self, upload: UploadReference, destination: Path) -> tuple[int, str]:
        """Write the upload to `destination`; return its size and SHA-256."""
        version = {"VersionId": upload.version_id} if upload.version_id else {}
        try:
            response = await self._client.get_object(Bucket=upload.bucket, Key=upload.key, **version)  # type: ignore[arg-type] # an optional argument
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise UploadMissing(upload.key) from error
            raise
        digest = hashlib.sha256()
        size = 0
        async with response["Body"] as body:
            with scratch_errors():
                file = await asyncio.to_thread(destination.open, "wb")
            with scratch_errors(), file:
                while chunk := await asyncio.wait_for(body.read(CHUNK_BYTES), STALLED_AFTER_SECONDS):
                    size += len(chunk)
                    await asyncio.to_thread(_write_and_hash, file, digest, chunk)
        return size, digest.hexdigest()

    async def store_results(self, folder: Path, files: Iterable[FileDigest], prefix: str) -> ResultLocation:
        """Upload the result files in `folder` to keys below `prefix`; return those that a row may name."""
        stored: list[ResultFile] = []
        for file in files:
            key, media_type = f"{prefix}/{file.name}", MEDIA_TYPES[file.name]
            upload = partial(self._upload, folder / file.name, key, media_type)
            await retry_unavailable(upload, within_seconds=RETRY_SECONDS)
            if file.name != "worklist.parquet":  # see ResultLocation
                stored.append(ResultFile(**file.model_dump(), key=key, media_type=media_type))
        return ResultLocation(bucket=self._bucket, files=tuple(stored))

    async def _upload(self, source: Path, key: str, media_type: str) -> None:
        """Write a file to `key`; it is there in full or not at all."""
        with scratch_errors():
            file = await asyncio.to_thread(source.open, "rb")
        with scratch_errors(), _storage_errors(), file:
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


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Translate errors that are no fault of one object. Raises StorageUnavailable."""
    try:
        yield
    except ClientError as error:
        if not _concerns_all(error):
            raise
        raise StorageUnavailable(str(error)) from error
    except ParamValidationError:
        raise
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise StorageUnavailable(str(error) or type(error).__name__) from error


def _concerns_all(error: ClientError) -> bool:
    code = error.response["Error"].get("Code", "")
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
    if code in _OF_THE_OBJECT:
        return False
    return (
        status >= 500 or status in {401, 403, 429} or code in _REFUSALS or code.startswith(("KMS", "Throttl"))
    )
