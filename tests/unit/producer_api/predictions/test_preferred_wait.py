"""What `Prefer: wait` may look like (RFC 7240)."""

import pytest
from aiohttp.test_utils import make_mocked_request

from producer_api.predictions.waiting import MAX_WAIT_SECONDS, preferred_wait

PREFERENCES = [
    ([], 0),
    (["wait=30"], 30),
    (["Wait = 30"], 30),
    (['wait="30"'], 30),
    (["respond-async, wait=10"], 10),
    (["respond-async", "wait=10; foo=bar"], 10),
    (["wait=1, wait=2"], 1),
    (["wait=86400"], MAX_WAIT_SECONDS),
    (["wait=0"], 0),
    (["wait=-1"], 0),
    (["wait"], 0),
    (["waiting=30"], 0),
    (["wait=" + "9" * 5_000], 0),
    (["," * 8_000], 0),
]


@pytest.mark.parametrize(("headers", "seconds"), PREFERENCES)
def test_preferred_wait_is_read(headers, seconds):
    request = make_mocked_request("GET", "/", headers=[("Prefer", value) for value in headers])
    assert preferred_wait(request) == seconds
