"""Inspects an upload: reads the first bytes of its file and says how they will be read."""

import asyncio
from typing import Any

from aiohttp import web

from ml_models.card import Card, CategoricalFeature
from ml_models.intake.dialect import HEAD_BYTES
from producer_api.http.auth import CALLER
from producer_api.http.errors import InvalidParameter
from producer_api.mappings.store import MAPPINGS, headers_digest
from producer_api.models.catalog import MODELS
from producer_api.objects import OBJECTS, ObjectMissing
from producer_api.uploads.errors import UploadGone
from producer_api.uploads.inspection import Head, inspect
from producer_api.uploads.models import InspectionQuery
from producer_api.uploads.quality import Spellings
from producer_api.uploads.receive import INSPECTORS
from producer_api.uploads.store import Upload


async def inspect_upload(request: web.Request, upload: Upload, query: InspectionQuery) -> dict[str, Any]:
    """Say how a READY upload will be read.

    Raises:
        ModelNotFound, InvalidParameter, InvalidMapping: the query does not fit the model or the file.
        UnreadableFile: an older release has accepted the file, and this one does not.
        UploadGone: the file is not there any more.
        StorageUnavailable: S3 cannot be used.
    """
    models = request.app[MODELS]
    card = models.card(query.model or models.default)
    values = query.values or {}
    check_values(values, card)
    try:
        first = await request.app[OBJECTS].read_head(upload.object_key, upload.version_id, HEAD_BYTES)
    except ObjectMissing as error:
        raise UploadGone from error
    head = Head(first, upload.size_bytes or 0)
    inspection, headers = await asyncio.get_running_loop().run_in_executor(
        request.app[INSPECTORS], inspect, head, card, query.mapping or {}, values
    )
    saved = await request.app[MAPPINGS].find_names(
        request[CALLER].tenant_id, card.name, headers_digest(headers)
    )
    return {"upload_id": str(upload.upload_id), **inspection, "saved_mappings": saved}


def check_values(values: Spellings, card: Card) -> None:
    """Refuse spellings of features and categories that the model does not have. Raises InvalidParameter."""
    known = {
        feature.name: feature.categories
        for feature in card.features
        if isinstance(feature, CategoricalFeature)
    }
    for name, spellings in values.items():
        if name not in known:
            raise InvalidParameter("values", f"send features with categories. They are: {', '.join(known)}.")
        if not set(known[name]).issuperset(spellings.values()):
            raise InvalidParameter(f"values.{name}", f"send its categories: {', '.join(known[name])}.")
