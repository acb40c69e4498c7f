"""A tenant of the API: uploads, asks, fetches; a refusal is an answer, no answer an error."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

ANSWER_SECONDS = 10.0
"""Within which every request is answered, also while a dependency hangs."""

RESULT_FILES = ("scores.csv", "scores.parquet", "rejected.csv")
"""Compared with a quiet run's; the manifest names its prediction and the times."""


@dataclass(frozen=True)
class Answer:
    """A status and the problem or the resource, and how long it took."""

    status: int
    body: dict[str, Any]
    seconds: float

    @property
    def prediction_id(self) -> str:
        return str(self.body["prediction_id"])


class NoAnswer(Exception):
    """The connection broke, or nothing came in time."""


class Tenant:
    """One tenant with a token of its own."""

    def __init__(self, session: aiohttp.ClientSession, url: str, tenant_id: str, token: str) -> None:
        self.tenant_id = tenant_id
        self.token = token
        self._session = session
        self._url = f"{url}/v1/predictions"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def upload(self, content: bytes, *, seconds: float = 60.0, query: str = "") -> Answer:
        """Send a file. Raises NoAnswer."""
        headers = self._headers | {"Content-Type": "text/csv"}
        return await self._request("POST", self._url + query, headers, seconds, content)

    async def read(self, prediction_id: str, *, seconds: float = ANSWER_SECONDS, part: str = "") -> Answer:
        """Ask how a prediction stands. Raises NoAnswer."""
        return await self._request("GET", f"{self._url}/{prediction_id}{part}", self._headers, seconds)

    async def digests(self, prediction_id: str) -> dict[str, str]:
        """Fetch the result files through their links and return their digests. Raises NoAnswer."""
        answer = await self.read(prediction_id, part="/result", seconds=30)
        if answer.status != 200:
            raise NoAnswer(f"/result answers {answer.status} {answer.body.get('code')}")
        links = {file["name"]: file["url"] for file in answer.body["files"]}
        found = {}
        for name in RESULT_FILES:
            try:
                async with self._session.get(links[name]) as response:
                    if response.status != 200:
                        raise NoAnswer(f"the link of {name} answers {response.status}")
                    found[name] = hashlib.sha256(await response.read()).hexdigest()
            except aiohttp.ClientError as error:
                raise NoAnswer(f"the link of {name}: {error!r}") from error
        return found

    async def _request(
        self, method: str, url: str, headers: dict[str, str], seconds: float, content: bytes | None = None
    ) -> Answer:
        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(
                method, url, headers=headers, data=content, timeout=timeout
            ) as response:
                body = await response.json(content_type=None)
                return Answer(response.status, body, time.monotonic() - began)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"{method} {url.partition('/v1')[2]}: {error!r}") from error
