"""A client of the HTTP API, as a frontend would have one: upload, poll, download the result."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp
from pydantic import BaseModel, ConfigDict

from deploy.local.errors import LocalStackError
from retainwise_contracts.failures import Failure
from retainwise_contracts.model import Sha256, UtcDatetime
from retainwise_contracts.results import RowCounts, Summary
from retainwise_contracts.status import PredictionStatus

READ_BYTES = 256 * 1024

_OF_THE_FILE = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})

READ_TIMEOUT = aiohttp.ClientTimeout(total=30)
TRANSFER_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=30, sock_read=120)
"""No limit on the whole transfer, only on the time without progress."""


class RequestRefused(LocalStackError):
    """The API, or the store behind a link, responded with an error; the text is the detail it gave."""


class FileRefused(RequestRefused):
    """The API refuses the file itself; sent again unchanged, it would be refused again."""


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, body: bytes) -> Self:
        return cls.model_validate_json(body, extra="ignore")  # in the nested contracts, too


class Prediction(_Response):
    """One prediction as the API returns it."""

    prediction_id: str
    status: PredictionStatus
    requested_at: UtcDatetime
    queued_at: UtcDatetime | None
    started_at: UtcDatetime | None
    finished_at: UtcDatetime | None
    rows: RowCounts | None
    summary: Summary | None
    failure: Failure | None


class ResultLink(_Response):
    """One result file and its presigned link."""

    name: str
    url: str
    size_bytes: int
    sha256: Sha256


class Result(_Response):
    """The result files of a prediction."""

    files: tuple[ResultLink, ...]


class PredictionsClient:
    """The API at `url` for the bearer of `token`. Every method raises `RequestRefused`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = f"{url}/v1/predictions"
        self._authorization = {"Authorization": f"Bearer {token}"}

    async def upload(self, file: Path, progress: Callable[[int], object]) -> str:
        """Upload a file and return the prediction's id; `progress` is called with each chunk's bytes."""
        size = (await asyncio.to_thread(file.stat)).st_size

        async def chunks() -> AsyncIterator[bytes]:
            with await asyncio.to_thread(file.open, "rb") as opened:
                while chunk := await asyncio.to_thread(opened.read, READ_BYTES):
                    yield chunk
                    progress(len(chunk))

        headers = {**self._authorization, "Content-Type": "text/csv", "Content-Length": str(size)}
        async with self._request("POST", self._url, TRANSFER_TIMEOUT, headers, chunks()) as answer:
            return str((await answer.json())["prediction_id"])

    async def read_prediction(self, prediction_id: str) -> Prediction:
        """Return a prediction's current state."""
        return Prediction.read(await self._read(f"{self._url}/{prediction_id}"))

    async def read_result(self, prediction_id: str) -> Result:
        """Return the links to a completed prediction's files."""
        return Result.read(await self._read(f"{self._url}/{prediction_id}/result"))

    async def download(self, link: ResultLink, destination: Path) -> None:
        """Download one result file and verify its digest.

        The destination is only ever replaced by a whole file, so that two demos at once never mix theirs.
        """
        digest = hashlib.sha256()
        unfinished = destination.with_name(f".{destination.name}.{os.getpid()}")
        try:
            async with self._request("GET", link.url, TRANSFER_TIMEOUT, headers={}) as answer:
                with await asyncio.to_thread(unfinished.open, "wb") as file:
                    async for chunk in answer.content.iter_chunked(READ_BYTES):
                        digest.update(chunk)
                        await asyncio.to_thread(file.write, chunk)
            if digest.hexdigest() != link.sha256:
                raise RequestRefused(f"{link.name} is damaged: its SHA-256 does not match the API's")
            unfinished.replace(destination)
        finally:
            unfinished.unlink(missing_ok=True)

    async def _read(self, url: str) -> bytes:
        async with self._request("GET", url, READ_TIMEOUT, self._authorization) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        url: str,
        timeout: aiohttp.ClientTimeout,
        headers: dict[str, str],
        data: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method, url, headers=headers, data=data, timeout=timeout
            ) as answer:
                await _require_success(answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RequestRefused(f"{method} {url.partition('?')[0]} failed: {error!r}") from error


async def _require_success(answer: aiohttp.ClientResponse) -> None:
    """Raise `RequestRefused` with the text of the problem object (RFC 9457)."""
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:  # a valid redirect was already followed
        return
    problem: dict[str, Any] = {}
    if answer.content_type == "application/problem+json":
        problem = await answer.json(content_type=None)
    sentences = [problem[member] for member in ("title", "detail") if member in problem]
    code = problem.get("code", answer.reason)
    refusal = FileRefused if answer.status in _OF_THE_FILE else RequestRefused
    raise refusal(" ".join([*sentences, f"(HTTP {answer.status} {code})"]))
