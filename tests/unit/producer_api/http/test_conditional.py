"""ETags: 304 for what the client has, and no change over what it has not seen."""

import pytest
from aiohttp.test_utils import make_mocked_request

from producer_api.http.conditional import etag, if_none_match, require_match
from producer_api.http.errors import PreconditionFailed

TAG = etag("prediction", 7)


def get(**headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", headers=named)


def test_etag_is_strong_and_differs_with_each_part():
    assert TAG.startswith('"')
    assert TAG.endswith('"')
    assert len({etag(""), etag("a"), etag("a", "b"), etag("ab"), etag("a", 1), TAG}) == 6


@pytest.mark.parametrize("held", [TAG, f"W/{TAG}", "*", f'"other" , {TAG}'])
def test_representation_that_is_held_is_not_sent(held):
    response = if_none_match(get(If_None_Match=held), TAG)
    assert response is not None
    assert response.status == 304
    assert response.headers["ETag"] == TAG


@pytest.mark.parametrize("held", ['"other"', "", ",", TAG[:-1], TAG.strip('"')])
def test_other_representation_is_sent(held):
    assert if_none_match(get(If_None_Match=held), TAG) is None
    assert if_none_match(get(), TAG) is None


def test_change_needs_the_tag_of_what_is_changed():
    require_match(get(If_Match=TAG), TAG)
    require_match(get(If_Match="*"), TAG)
    require_match(get(), TAG)
    for held in ('"other"', f"W/{TAG}", ""):  # a weak tag never matches (RFC 9110, 13.1.1)
        with pytest.raises(PreconditionFailed):
            require_match(get(If_Match=held), TAG)
