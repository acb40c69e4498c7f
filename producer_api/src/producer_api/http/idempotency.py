"""Idempotency keys: a POST that is sent again with the same key is done once, and answered the same.

A request claims its key before it does anything. Its answer is stored in the transaction that does the work,
so that there is never the one without the other. Only what was done is kept: a refusal frees the key. A claim
whose replica has died lapses after `LOCK_SECONDS`.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from producer_api.database import DATABASE, Database, DatabaseBusy, DatabaseUnavailable, load_queries
from producer_api.http.auth import CALLER
from producer_api.http.body import has_body, is_json, read_body
from producer_api.http.errors import IdempotencyKeyInUse, IdempotencyKeyReused, InvalidParameter

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

LOCK_SECONDS = 60.0
"""How long a claim holds without being renewed."""

RENEW_SECONDS = 20.0

KEEP_SECONDS = 86_400.0
"""How long an answer is kept."""

FORGET_SECONDS = 3_600.0
"""Between two deletions of outlived answers."""

KEPT_HEADERS = (
    hdrs.CONTENT_TYPE,
    hdrs.LOCATION,
    hdrs.CONTENT_LOCATION,
    hdrs.ETAG,
    hdrs.RETRY_AFTER,
    hdrs.CACHE_CONTROL,
)

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_FILE_FOLLOWS = "the digest of the file is not known yet"

_queries = load_queries(__package__)
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Replay(Exception):
    """The request was done before: its first answer is sent again. Not an error."""

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


class Claim(Protocol):
    """What a handler does with the key of its request, whether or not there is one."""

    async def identify(self, sha256: str) -> None:
        """Say which file was sent, as soon as it is received. JSON bodies are known already.

        Raises:
            Replay: it was done before. What was received is to be discarded.
            IdempotencyKeyReused: the key belongs to another file.
        """

    async def complete(
        self,
        connection: Any,  # noqa: ANN401 asyncpg's proxy
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Keep the answer, in the transaction that does the work.

        Raises:
            IdempotencyKeyInUse: the claim has lapsed, and another request does the work.
        """


class Unclaimed:
    """The claim of a request without a key."""

    async def identify(self, sha256: str) -> None:
        """Do nothing."""

    async def complete(
        self,
        connection: Any,  # noqa: ANN401 asyncpg's proxy
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Do nothing."""


class ClaimedKey:
    """The claim of a request with a key, in PostgreSQL."""

    def __init__(self, database: Database, tenant_id: str, key: str, request: str) -> None:
        self._database = database
        self._names = {"tenant_id": tenant_id, "key": key}
        self._request = request
        self._fingerprint = _FILE_FOLLOWS
        self._first: Any = None
        """The request that was done with this key before; its file is compared once it is known."""
        self._created_at: datetime | None = None
        self.completed = False

    async def begin(self, digest: str | None) -> None:
        """Claim the key for a request with this body; None for a file, whose digest is known later.

        Raises:
            Replay: the request was done before.
            IdempotencyKeyInUse: it is under way.
            IdempotencyKeyReused: the key belongs to another request.
        """
        if digest is not None:
            self._fingerprint = self._print(digest)
        async with self._database.write(self._names["tenant_id"]) as connection:
            found = await _queries.claim_key(
                connection,
                **self._names,
                fingerprint=self._fingerprint,
                lock_seconds=LOCK_SECONDS,
                keep_seconds=KEEP_SECONDS,
            )
        if found is None or (not found["is_ours"] and found["status"] is None):
            raise IdempotencyKeyInUse
        if found["is_ours"]:
            self._created_at = found["created_at"]
        else:
            self._first = found
            if digest is not None:
                self._replay()

    async def identify(self, sha256: str) -> None:
        """Say which file was sent."""
        self._fingerprint = self._print(sha256)
        if self._first is not None:
            self._replay()

    async def complete(
        self,
        connection: Any,  # noqa: ANN401 asyncpg's proxy
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Keep the answer."""
        kept = {str(name): headers[name] for name in KEPT_HEADERS if name in headers}
        if not await _queries.complete_key(
            connection,
            **self._names,
            created_at=self._created_at,
            fingerprint=self._fingerprint,
            status=status,
            headers=orjson.dumps(kept).decode(),
            body=body,
        ):
            raise IdempotencyKeyInUse
        self.completed = True

    async def complete_with(self, response: web.StreamResponse) -> None:
        """Keep an answer whose handler has not kept it itself. Raises IdempotencyKeyInUse."""
        body = response.body if isinstance(response, web.Response) else b""
        async with self._database.write(self._names["tenant_id"]) as connection:
            await self.complete(
                connection, response.status, response.headers, body if isinstance(body, bytes) else b""
            )

    async def free(self) -> None:
        """Give the key up, unless its answer is kept. If that fails, the claim lapses."""
        if self._created_at is None:
            return
        try:
            async with self._database.write(self._names["tenant_id"]) as connection:
                await _queries.free_key(connection, **self._names, created_at=self._created_at)
        except (DatabaseUnavailable, DatabaseBusy) as error:
            log.warning("idempotency_key_not_freed", reason=str(error))

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Keep the claim while the block runs."""
        task = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            task.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with self._database.write(self._names["tenant_id"]) as connection:
                    await _queries.renew_key(
                        connection, **self._names, created_at=self._created_at, lock_seconds=LOCK_SECONDS
                    )
            except (DatabaseUnavailable, DatabaseBusy) as error:
                log.warning("idempotency_key_not_renewed", reason=str(error))

    def _print(self, digest: str) -> str:
        return hashlib.sha256(f"{self._request}\n{digest}".encode()).hexdigest()

    def _replay(self) -> None:
        if self._first["fingerprint"] != self._fingerprint:
            raise IdempotencyKeyReused
        headers = orjson.loads(self._first["headers"]) | {REPLAYED: "true"}
        raise Replay(
            web.Response(status=self._first["status"], body=bytes(self._first["body"]), headers=headers)
        )


IDEMPOTENCY = web.RequestKey("idempotency", Claim)


@web.middleware
async def claim_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Claim the idempotency key of a tenant's POST, and keep or free it by the answer."""
    if request.method != hdrs.METH_POST or CALLER not in request:
        return await handler(request)
    if HEADER not in request.headers:
        request[IDEMPOTENCY] = Unclaimed()
        return await handler(request)
    claim = ClaimedKey(
        request.app[DATABASE],
        request[CALLER].tenant_id,
        _read_key(request),
        f"{request.method} {request.path_qs}",
    )
    request[IDEMPOTENCY] = claim
    try:
        await claim.begin(await _body_digest(request))
        async with claim.renewing():
            response = await handler(request)
    except Replay as replay:
        return replay.response
    except BaseException:
        if not claim.completed:
            await asyncio.shield(claim.free())
        raise
    if claim.completed:
        return response
    if response.status < 300:
        await claim.complete_with(response)
    else:
        await claim.free()
    return response


def _read_key(request: web.Request) -> str:
    keys = request.headers.getall(HEADER)
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidParameter(HEADER, "send one key of 1 to 255 visible ASCII characters.")
    return keys[0]


async def _body_digest(request: web.Request) -> str | None:
    if has_body(request) and not is_json(request):
        return None
    return hashlib.sha256(await read_body(request)).hexdigest()


async def forget_answers(database: Database) -> None:
    """Delete outlived answers until cancelled."""
    while True:
        try:
            async with database.background() as connection:
                await _queries.forget_keys(connection, keep_seconds=KEEP_SECONDS)
        except (DatabaseUnavailable, DatabaseBusy) as error:
            log.warning("idempotency_keys_not_forgotten", reason=str(error))
        await asyncio.sleep(FORGET_SECONDS)
