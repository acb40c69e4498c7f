"""Cursors: read by who was given them, for the list they belong to, and by nobody else."""

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from producer_api.http.errors import InvalidParameter
from producer_api.http.paging import MAX_CURSOR_CHARACTERS, Pager, page

PAGER = Pager("postgresql://user:secret@host/name")
POSITION = [0.87, "2026-11-24T12:00:00Z", None, 7]
CURSOR = PAGER.encode("acme", "predictions?status=FAILED", POSITION)


def decode(cursor: str, *, tenant: str = "acme", scope: str = "predictions?status=FAILED", pager=PAGER):
    return pager.decode(tenant, scope, cursor)


def test_cursor_gives_its_position_back():
    assert decode(CURSOR) == POSITION
    assert decode(CURSOR, pager=Pager("postgresql://user:secret@host/name")) == POSITION  # another replica
    assert "0.87" not in CURSOR


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "globex"},
        {"scope": "predictions?status=QUEUED"},
        {"scope": "rows"},
        {"pager": Pager("postgresql://user:rotated@host/name")},
    ],
    ids=["tenant", "filters", "list", "secret"],
)
def test_cursor_of_something_else_is_refused(changed):
    with pytest.raises(InvalidParameter) as refused:
        decode(CURSOR, **changed)
    assert str(refused.value).startswith("cursor: ")


@given(st.one_of(st.text(max_size=100), st.binary(max_size=100).map(lambda raw: raw.hex())))
def test_invented_cursor_is_refused(cursor):
    with pytest.raises(InvalidParameter):
        decode(cursor)


def test_changed_cursor_is_refused():
    for place in range(len(CURSOR) - 1):  # the last character may have unused bits
        changed = "A" if CURSOR[place] != "A" else "B"
        with pytest.raises(InvalidParameter):
            decode(CURSOR[:place] + changed + CURSOR[place + 1 :])
    with pytest.raises(InvalidParameter):
        decode("A" * (MAX_CURSOR_CHARACTERS + 1))


def test_page_links_to_the_next_one_with_the_same_filters():
    request = make_mocked_request("GET", "/v1/predictions?status=FAILED&cursor=old&q=a%26b")
    response = page(request, [1, 2], "new", truncated=True)
    assert response.headers["Link"] == '</v1/predictions?status=FAILED&cursor=new&q=a%26b>; rel="next"'
    assert response.body == b'{"items":[1,2],"next_cursor":"new","truncated":true}'


def test_last_page_has_no_link():
    response = page(make_mocked_request("GET", "/v1/predictions"), [], None)
    assert "Link" not in response.headers
    assert response.body == b'{"items":[],"next_cursor":null}'
