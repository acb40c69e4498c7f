"""Limits for each tenant: how many requests in a time, and how many unfinished predictions."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from producer_api.database import load_queries
from producer_api.http.auth import CALLER
from producer_api.http.errors import RateLimited, TooManyUnfinished

WINDOW_SECONDS = 10
"""A tenant may send the requests of so many seconds at once."""

MAX_BUCKETS = 100_000
"""Tenants remembered at a time, 200 bytes each. The one that was silent for longest is forgotten."""

_queries = load_queries(__package__)


class RateLimits:
    """A bucket of tokens for each tenant: a request takes one, and they come back at a steady rate.

    It counts what this replica serves, in memory: a shared count would cost each read a round trip.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._quota = per_second * WINDOW_SECONDS
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.policy = f'"requests";q={math.floor(self._quota)};w={WINDOW_SECONDS}'
        """The value of `RateLimit-Policy`."""

    def take(self, tenant_id: str) -> float:
        """Take a token and return how many are left; below 0 there was none to take."""
        now = self._clock()
        tokens, updated = self._buckets.pop(tenant_id, (self._quota, now))
        tokens = min(self._quota, tokens + (now - updated) * self._per_second)
        left = tokens - 1
        self._buckets[tenant_id] = (left if left >= 0 else tokens, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return left

    def state(self, left: float) -> str:
        """Return the value of `RateLimit` when so many tokens are left."""
        seconds = math.ceil((self._quota - left) / self._per_second)
        return f'"requests";r={max(0, math.floor(left))};t={seconds}'

    def seconds_until_next(self, left: float) -> int:
        """Return how long to wait for a token."""
        return max(1, math.ceil(-left / self._per_second))


RATE_LIMITS = web.AppKey("rate_limits", RateLimits)

TOKENS_LEFT = web.RequestKey("tokens_left", float)
"""For the headers of the answer; absent when the request has no tenant."""


@web.middleware
async def limit_rate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse the requests of a tenant that sends too many. Raises RateLimited."""
    caller = request.get(CALLER)
    if caller is not None:
        limits = request.app[RATE_LIMITS]
        left = request[TOKENS_LEFT] = limits.take(caller.tenant_id)
        if left < 0:
            raise RateLimited(limits.seconds_until_next(left))
    return await handler(request)


async def check_unfinished(connection: Any, tenant_id: str, at_most: int) -> None:  # noqa: ANN401 asyncpg's proxy
    """Refuse one more prediction of a tenant that has `at_most` unfinished ones.

    Requests under way at the same moment do not see each other, so a few more are possible.

    Raises:
        TooManyUnfinished: it has.
    """
    if await _queries.has_unfinished(connection, tenant_id=tenant_id, at_least=at_most):
        raise TooManyUnfinished(at_most)
