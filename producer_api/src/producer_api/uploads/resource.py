"""An upload as clients see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from producer_api.objects import ObjectMissing
from producer_api.uploads.presigned import DirectUpload, DirectUploads
from producer_api.uploads.store import Upload


def upload_path(upload: Upload) -> str:
    """Return the path of an upload."""
    return f"/v1/uploads/{upload.upload_id}"


@dataclass(frozen=True)
class Received:
    """What S3 has of a file by now."""

    size_bytes: int = 0
    parts: Sequence[int] = ()
    """The numbers of its parts, from 1, if it is sent in parts."""


async def read_received(upload: Upload, direct: DirectUploads) -> Received:
    """Return what S3 has of an AWAITING upload. Raises StorageUnavailable."""
    wanted = direct_upload(upload)
    if wanted.multipart_id is None:
        return Received(await direct.measure(wanted))
    try:
        held = await direct.held_parts(wanted)
    except ObjectMissing:  # they are one object already, and nobody was told
        return Received(await direct.measure(wanted), range(1, len(wanted.part_sizes) + 1))
    return Received(sum(part.size_bytes for part in held), [part.number for part in held])


def upload_resource(upload: Upload, received: Received) -> dict[str, Any]:
    """Return an upload as JSON can hold it; what is received of it counts only while it is AWAITING."""
    path = upload_path(upload)
    is_ready = upload.state == "READY"
    in_parts = not is_ready and upload.part_bytes is not None
    return {
        "upload_id": str(upload.upload_id),
        "state": upload.state,
        "file_name": upload.file_name,
        "size_bytes": upload.size_bytes or upload.declared_size,
        "sha256": upload.sha256 or upload.declared_sha256,
        "created_at": upload.created_at,
        "expires_at": None if is_ready else upload.expires_at,
        "completed_at": upload.completed_at,
        "received_bytes": upload.size_bytes if is_ready else received.size_bytes,
        "parts": {
            "count": len(direct_upload(upload).part_sizes),
            "part_bytes": upload.part_bytes,
            "held": list(received.parts),
        }
        if in_parts
        else None,
        "links": {
            "self": path,
            "inspection": f"{path}/inspection",
            "parts": f"{path}/parts",
            "complete": f"{path}/complete",
        },
    }


def direct_upload(upload: Upload) -> DirectUpload:
    """Return how an AWAITING upload is sent."""
    return DirectUpload(upload.object_key, upload.declared_size or 0, upload.multipart_id, upload.part_bytes)
