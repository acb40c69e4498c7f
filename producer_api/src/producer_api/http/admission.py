"""How many uploads run at the same time, in all and for one tenant, and how they end when the API stops."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from producer_api.http.errors import ShuttingDown
from producer_api.telemetry import ApiMetrics
from producer_api.uploads.errors import TooManyOwnUploads, TooManyUploads


class UploadGate:
    """Limits concurrent uploads, from their first byte to their committed row.

    A tenant may have as many uploads as there are free slots: half of the slots if it is alone, and less the
    more others upload. So there is always a slot for a tenant that has none, however many slots some tenants
    take and however long they keep them.
    """

    def __init__(self, at_most: int, metrics: ApiMetrics) -> None:
        self._at_most = at_most
        self._metrics = metrics
        self._of_tenant: Counter[str] = Counter()
        self._scopes: set[asyncio.Timeout] = set()
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()
        self.draining = False
        """Whether no more requests should be sent here. Those that come are still served."""
        self.closed = False

    @asynccontextmanager
    async def admit(self, tenant_id: str) -> AsyncIterator[None]:
        """Count one upload of a tenant while the block runs.

        Raises:
            ShuttingDown: the gate is closed, or the upload was aborted.
            TooManyUploads: the limit is reached.
            TooManyOwnUploads: the tenant's share is reached.
        """
        if self.closed:
            raise ShuttingDown
        free = self._at_most - len(self._scopes)
        if not free:
            raise TooManyUploads
        if self._of_tenant[tenant_id] >= free:
            raise TooManyOwnUploads
        scope = asyncio.timeout(None)
        self._scopes.add(scope)
        self._of_tenant[tenant_id] += 1
        self._count()
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if scope.expired():
                raise ShuttingDown from error
            raise
        finally:
            self._scopes.discard(scope)
            self._of_tenant[tenant_id] -= 1
            self._of_tenant += Counter()  # drops tenants without uploads
            self._count()

    def close(self) -> None:
        """Admit no more uploads."""
        self.draining = self.closed = True

    def abort(self) -> None:
        """End running uploads: they are answered with ShuttingDown."""
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)

    async def wait_empty(self) -> None:
        """Wait until no upload is under way."""
        await self._none_under_way.wait()

    def _count(self) -> None:
        self._metrics.uploads_under_way.set(len(self._scopes))
        if self._scopes:
            self._none_under_way.clear()
        else:
            self._none_under_way.set()


UPLOAD_GATE = web.AppKey("upload_gate", UploadGate)


async def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    """Close connections after their answer once no more requests should be sent here."""
    if request.app[UPLOAD_GATE].draining:
        response.force_close()
