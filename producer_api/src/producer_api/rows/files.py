"""The files of the result that a request is about."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from ml_models.card import Card
from producer_api.http.auth import CALLER
from producer_api.models.catalog import MODELS
from producer_api.objects import OBJECTS, ObjectMissing
from producer_api.predictions.links import result_location
from producer_api.predictions.request import read_prediction
from producer_api.predictions.store import Prediction
from producer_api.rows.cache import RESULT_CACHE, ResultCache
from producer_api.rows.errors import ResultGone, WorklistMissing
from producer_api.rows.readers import READERS
from retainwise_contracts.results import (
    MAX_WORKLIST_ROWS,
    ContentDigest,
    LinkedFileName,
    ResultFile,
    ResultFileName,
    ResultManifest,
)


class ResultFiles:
    """The files that a completed prediction names, as its own tenant may read them."""

    def __init__(self, cache: ResultCache, named: dict[LinkedFileName, ResultFile]) -> None:
        self._cache = cache
        self._named = named

    def digest(self, name: LinkedFileName) -> ContentDigest:
        """Return the size and the digest of a file that the prediction names."""
        return self._named[name]

    @asynccontextmanager
    async def open_file(self, name: LinkedFileName) -> AsyncIterator[Path]:
        """Yield the path of a file that the prediction names; it stays while the block runs.

        Raises:
            ResultGone: it is no longer kept.
            StorageUnavailable, ResultTooLarge, CacheFull: it cannot be read now.
        """
        async with self._open(self._named[name].key, self._named[name]) as path:
            yield path

    @asynccontextmanager
    async def open_beside(self, name: ResultFileName, digest: ContentDigest) -> AsyncIterator[Path]:
        """Yield the path of a file that only the manifest names. Raises what `open_file` raises."""
        folder, _, _ = self._named["manifest.json"].key.rpartition("/")
        async with self._open(f"{folder}/{name}", digest) as path:
            yield path

    @asynccontextmanager
    async def _open(self, key: str, digest: ContentDigest) -> AsyncIterator[Path]:
        try:
            async with self._cache.open_file(key, digest) as path:
                yield path
        except ObjectMissing as error:
            raise ResultGone from error


@dataclass(frozen=True)
class Result:
    """A completed prediction with its result, which never changes."""

    prediction: Prediction
    files: ResultFiles
    manifest: ResultManifest
    card: Card | None
    """Of the very model that scored; None if that is not installed."""

    @property
    def is_truncated(self) -> bool:
        """Whether the worklist lacks customers who may still leave."""
        summary: Mapping[str, Any] = orjson.loads(self.prediction.summary or "{}")
        left = int(summary.get("already_left", 0))  # older releases did not look
        return (self.prediction.rows_scored or 0) - left > MAX_WORKLIST_ROWS

    @asynccontextmanager
    async def open_worklist(self) -> AsyncIterator[Path]:
        """Yield the path of the worklist. Raises WorklistMissing, and what `ResultFiles` raises."""
        for file in self.manifest.outputs:
            if file.name == "worklist.parquet":
                async with self.files.open_beside(file.name, file) as path:
                    yield path
                return
        raise WorklistMissing


async def find_files(request: web.Request) -> tuple[Prediction, ResultFiles]:
    """Find the prediction in the path and the files of its result.

    Raises:
        PredictionNotFound, PredictionDeleted: there is no prediction.
        NotFinished, PredictionFailed: it has no result.
    """
    prediction = await read_prediction(request)
    location = result_location(prediction, request[CALLER].tenant_id, request.app[OBJECTS].bucket)
    return prediction, ResultFiles(request.app[RESULT_CACHE], {file.name: file for file in location.files})


async def find_result(request: web.Request) -> Result:
    """Find the result of the prediction in the path. Raises what `find_files` and `ResultFiles` raise."""
    prediction, files = await find_files(request)
    async with files.open_file("manifest.json") as path:
        manifest = ResultManifest.model_validate_json(await request.app[READERS].run(path.read_bytes))
    card = request.app[MODELS].cards.get(f"{prediction.model_name}@{prediction.model_version}")
    if card is not None and card.model_file.sha256 != manifest.model.sha256:
        card = None  # another build of the model would explain other scores
    return Result(prediction, files, manifest, card)
