"""Requests that wait for a prediction: how many may, for how long, and how they end when the API stops."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.http.auth import CALLER
from producer_api.predictions.errors import TooManyOwnStreams, TooManyStreams
from producer_api.predictions.events import LISTENER
from producer_api.predictions.store import PREDICTIONS, Prediction
from retainwise_contracts.status import PredictionStatus

POLL_SECONDS = 5.0
"""How often who waits looks without being woken."""

CONCURRENT_READS = 2
"""Of all who are woken at the same moment: one of the three connections stays for other reads."""

MAX_WAIT_SECONDS = 50
"""The longest wait for one answer: load balancers end a request that is silent for a minute."""

_WAITED = web.RequestKey("waited", int)
"""For how many seconds the request was allowed to wait; absent if it did not."""

_WAIT = re.compile(r'\s*wait\s*=\s*"?(\d{1,6})"?\s*(;.*)?', re.IGNORECASE)


class WaitingRoom:
    """Limits how many requests wait at the same time.

    A tenant may have as many as there are free places, so that there is one for a tenant that has none.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._of_tenant: Counter[str] = Counter()
        self.closed = False
        """Whether the API is stopping: nobody waits any more."""
        self.reading = asyncio.Semaphore(CONCURRENT_READS)
        """Held by those who look after they were woken."""

    @contextmanager
    def admit(self, tenant_id: str) -> Iterator[None]:
        """Count one waiting request of a tenant while the block runs.

        Raises:
            TooManyStreams: the limit is reached.
            TooManyOwnStreams: the tenant's share is reached.
        """
        free = self._at_most - self._of_tenant.total()
        if not free:
            raise TooManyStreams
        if self._of_tenant[tenant_id] >= free:
            raise TooManyOwnStreams
        self._of_tenant[tenant_id] += 1
        try:
            yield
        finally:
            self._of_tenant[tenant_id] -= 1
            self._of_tenant += Counter()  # drops tenants that do not wait


WAITING_ROOM = web.AppKey("waiting_room", WaitingRoom)


async def end_waiting(app: web.Application) -> None:
    """End all waiting, so that every request is answered before the API stops."""
    app[WAITING_ROOM].closed = True
    app[LISTENER].wake_all()


def preferred_wait(request: web.Request) -> int:
    """Return how many seconds the client prefers to wait (RFC 7240, `Prefer: wait=30`); 0 if none."""
    for preference in ",".join(request.headers.getall("Prefer", ())).split(","):
        if match := _WAIT.fullmatch(preference):
            return min(int(match[1]), MAX_WAIT_SECONDS)
    return 0


def applied_preference(request: web.Request) -> Mapping[str, str]:
    """Return the header that says for how long the request was allowed to wait, if it was."""
    return {"Preference-Applied": f"wait={request[_WAITED]}"} if _WAITED in request else {}


async def wait_for_end(request: web.Request, prediction: Prediction) -> Prediction | None:
    """Wait for a prediction's end for as long as the client prefers; None if it has not ended by then."""
    found = await wait_until(request, prediction, lambda found: PredictionStatus(found.status).is_final)
    return found if found is not None and PredictionStatus(found.status).is_final else None


async def wait_until(
    request: web.Request, prediction: Prediction, is_enough: Callable[[Prediction], bool]
) -> Prediction | None:
    """Return a prediction once it is enough, or as it is after the time that the client prefers to wait.

    It is a preference: where too many wait already, the answer is given at once. None if it was deleted.
    """
    seconds = preferred_wait(request)
    if not seconds or is_enough(prediction):
        return prediction
    tenant_id = request[CALLER].tenant_id
    room, listener = request.app[WAITING_ROOM], request.app[LISTENER]
    found: Prediction | None = prediction
    try:
        with room.admit(tenant_id), listener.subscribe(prediction.prediction_id) as wakes:
            request[_WAITED] = seconds
            until = asyncio.get_running_loop().time() + seconds
            while True:
                async with room.reading:
                    found = await request.app[PREDICTIONS].read_prediction(
                        prediction.prediction_id, tenant_id
                    )
                left = until - asyncio.get_running_loop().time()
                if found is None or is_enough(found) or left <= 0 or room.closed:
                    return found
                await wakes.wait(min(left, POLL_SECONDS))
    except (TooManyStreams, TooManyOwnStreams, DatabaseUnavailable, DatabaseBusy):
        return found
