"""Uploads that a customer sends straight to S3, with links that this API signs.

A link is good for one key and one size, and for a short time. A file of up to `MAX_FORM_BYTES` is one form,
which S3 checks against a signed policy; a larger one is sent in parts, which can be sent again one by one.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from producer_api.objects import (
    CSV_MEDIA_TYPE,
    REQUEST_TIMEOUT_SECONDS,
    ObjectMissing,
    Objects,
    translate_errors,
)

MAX_FORM_BYTES = 100_000_000

FORM_SECONDS = 900
"""How long a form may be begun. S3 checks it before it takes the file."""

PART_SECONDS = 3_600
"""How long the links of parts are valid: all are signed at once, and sent one after the other."""

MIN_PART_BYTES = 16 << 20

MAX_PARTS = 100
"""A larger file has larger parts, so that one answer has all links. S3 allows parts of 5 GiB."""


@dataclass(frozen=True)
class DirectUpload:
    """A file that a customer sends straight to S3."""

    key: str
    size_bytes: int
    """As the customer has declared it. No other size is accepted."""
    multipart_id: str | None = None
    """Null for a file that is sent as one form, as is the size of its parts."""
    part_bytes: int | None = None

    @property
    def part_sizes(self) -> Sequence[int]:
        """The size of each part in bytes."""
        if self.part_bytes is None:
            return []
        full, rest = divmod(self.size_bytes, self.part_bytes)
        return [self.part_bytes] * full + [rest] * bool(rest)


@dataclass(frozen=True)
class HeldPart:
    """A part that S3 has."""

    number: int
    """From 1."""
    size_bytes: int
    etag: str


class DirectUploads:
    """Signs the links of direct uploads, and sees to what comes of them. Raises StorageUnavailable."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._client = objects.client

    async def begin(self, key: str, size_bytes: int) -> DirectUpload:
        """Prepare S3 for a file of this size."""
        if size_bytes <= MAX_FORM_BYTES:
            return DirectUpload(key, size_bytes)
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                begun = await self._client.create_multipart_upload(
                    Bucket=self._objects.bucket, Key=key, ContentType=CSV_MEDIA_TYPE
                )
        part_bytes = max(MIN_PART_BYTES, math.ceil(size_bytes / MAX_PARTS))
        return DirectUpload(key, size_bytes, begun["UploadId"], part_bytes)

    async def sign(self, upload: DirectUpload) -> dict[str, Any]:
        """Return how to send the file: the form, or the links of the parts that S3 does not have."""
        if upload.multipart_id is None:
            return await self._sign_form(upload)
        try:
            held = {part.number for part in await self.held_parts(upload)}
        except ObjectMissing:  # they are one object already
            held = set(range(1, MAX_PARTS + 1))
        # Taken before the links are signed, so that none expires earlier than stated.
        expires_at = datetime.now(UTC) + timedelta(seconds=PART_SECONDS)
        parts = [
            {"number": number, "size_bytes": size, "url": await self._sign_part(upload, number, size)}
            for number, size in enumerate(upload.part_sizes, start=1)
            if number not in held
        ]
        return {"kind": "parts", "expires_at": expires_at, "parts": parts}

    async def _sign_form(self, upload: DirectUpload) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(seconds=FORM_SECONDS)
        with translate_errors():
            form = await self._client.generate_presigned_post(
                self._objects.bucket,
                upload.key,
                Fields={"Content-Type": CSV_MEDIA_TYPE},
                Conditions=[
                    {"Content-Type": CSV_MEDIA_TYPE},
                    ["content-length-range", upload.size_bytes, upload.size_bytes],
                ],
                ExpiresIn=FORM_SECONDS,
            )
        return {"kind": "form", "expires_at": expires_at, "url": form["url"], "fields": form["fields"]}

    async def _sign_part(self, upload: DirectUpload, number: int, size_bytes: int) -> str:
        await asyncio.sleep(0)  # signing is computing: others have their turn in between
        with translate_errors():
            url: str = await self._client.generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self._objects.bucket,
                    "Key": upload.key,
                    "UploadId": upload.multipart_id,
                    "PartNumber": number,
                    "ContentLength": size_bytes,  # signed with the link
                },
                ExpiresIn=PART_SECONDS,
            )
        return url

    async def measure(self, upload: DirectUpload) -> int:
        """Return how many bytes of a file are one object in S3; 0 if there is none."""
        return await self._objects.measure(upload.key)

    async def held_parts(self, upload: DirectUpload) -> Sequence[HeldPart]:
        """Return the parts that S3 has. Raises ObjectMissing if they are complete or discarded."""
        with translate_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                listed = await self._client.list_parts(
                    Bucket=self._objects.bucket, Key=upload.key, UploadId=upload.multipart_id or ""
                )
        return [HeldPart(part["PartNumber"], part["Size"], part["ETag"]) for part in listed.get("Parts", ())]

    async def assemble(self, upload: DirectUpload) -> Sequence[int]:
        """Make one object of all parts, if they are there.

        Returns:
            The numbers of the parts that are missing; if there are any, nothing is done.
        """
        if upload.multipart_id is None:
            return []
        try:
            held = {part.number: part for part in await self.held_parts(upload)}
        except ObjectMissing:
            return []  # they were assembled before, and nobody was told
        sizes = dict(enumerate(upload.part_sizes, start=1))
        missing = [
            number for number in sizes if number not in held or held[number].size_bytes != sizes[number]
        ]
        if not missing:
            with translate_errors():
                async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                    await self._client.complete_multipart_upload(
                        Bucket=self._objects.bucket,
                        Key=upload.key,
                        UploadId=upload.multipart_id,
                        MultipartUpload={
                            "Parts": [
                                {"PartNumber": number, "ETag": held[number].etag} for number in sorted(sizes)
                            ]
                        },
                    )
        return missing
