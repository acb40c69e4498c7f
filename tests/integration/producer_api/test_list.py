"""The list of predictions: its filters, its orders and its pages."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

START = datetime(2026, 11, 1, tzinfo=UTC)

ROWS = """
insert into uploads (upload_id, tenant_id, bucket, object_key, file_name, size_bytes, sha256)
select gen_random_uuid(), $1, 'files', $1 || '/' || number, 'Export_' || number || '.csv', 1, repeat('0', 64)
from generate_series(1, $2) as number;
"""

PREDICTIONS = """
insert into predictions (prediction_id, tenant_id, upload_id, model_name, model_version, label, requested_at)
select gen_random_uuid(), tenant_id, upload_id, case when number % 2 = 0 then 'telco-churn' else 'other' end,
    '1.0.0', case when number % 3 = 0 then '100%_sure' || number % 2 end,
    $2::timestamptz + make_interval(days => number / 4)  -- four at the same moment
from (
    select *, split_part(object_key, '/', 2)::int as number from uploads where tenant_id = $1
) as uploads
"""


@pytest.fixture
async def predictions(api, owner):
    """Twenty predictions of `acme` over five days, and some of another tenant."""
    for tenant, number in (("acme", 20), ("globex", 5)):
        await owner.execute(ROWS.replace("$1", f"'{tenant}'").replace("$2", str(number)))
        await owner.execute(PREDICTIONS, tenant, START)
    await owner.execute(
        """
        update predictions set status = 'CANCELLED', finished_at = now()
        where upload_id in (select upload_id from uploads where file_name in ('Export_1.csv', 'Export_2.csv'))
        """
    )


async def walk(api, **parameters):
    """Read all pages, by their links."""
    found: list[Any] = []
    path: str | None = "/v1/predictions"
    while path:
        async with api.http.get(path, params=parameters if "?" not in path else None) as response:
            assert response.status == 200, await response.text()
            page = await response.json()
            assert page["items"] or not found
            found += page["items"]
            assert (page["next_cursor"] is None) == ("next" not in response.links)
            path = str(response.links["next"]["url"].relative()) if response.links else None
    return found


@pytest.mark.parametrize(("sort", "limit"), [("-requested_at", 3), ("requested_at", 7), ("requested_at", 20)])
async def test_pages_show_each_prediction_once_and_in_order(api, predictions, sort, limit):
    found = await walk(api, sort=sort, limit=str(limit))
    assert len({item["prediction_id"] for item in found}) == len(found) == 20
    keys = [(item["requested_at"], UUID(item["prediction_id"])) for item in found]
    assert keys == sorted(keys, reverse=sort.startswith("-"))


DAY = timedelta(days=1)
FILTERS: list[tuple[Any, int]] = [
    ({"status": "CANCELLED"}, 2),
    ([("status", "CANCELLED"), ("status", "QUEUED")], 20),
    ({"model": "telco-churn"}, 10),
    ({"model": "telco-churn@1.0.0"}, 10),
    ({"model": "telco-churn@2.0.0"}, 0),
    ({"since": (START + 2 * DAY).isoformat()}, 13),
    ({"until": (START + 2 * DAY).isoformat()}, 7),
    ({"since": (START + DAY).isoformat(), "until": (START + 2 * DAY).isoformat()}, 4),
    ({"label": "100%_sure0"}, 3),
    ({"label": "100%"}, 0),
    ({"q": "0%_SURE"}, 6),
    ({"q": "export_1.csv"}, 1),
    ({"q": "t_2"}, 2),
    ({"q": "%"}, 6),
    ({"q": "\\"}, 0),
    ({"q": "export", "status": "QUEUED", "model": "other", "label": "100%_sure1"}, 3),
]


async def test_filters_select(api, predictions, subtests):
    for parameters, number in FILTERS:
        with subtests.test(parameters=parameters):
            given = parameters if isinstance(parameters, list) else list(parameters.items())
            status, page = await api.get("/v1/predictions", params=[*given, ("limit", "100")])
            assert (status, len(page["items"])) == (200, number)


BROKEN = [
    ({"status": "DONE"}, "status.0"),
    ({"since": "yesterday"}, "since"),
    ({"since": "1700000000"}, "since"),
    ({"until": "2026-11-01T00:00:00"}, "until"),
    ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
    ({"q": ""}, "q"),
    ({"q": "x" * 101}, "q"),
    ({"label": "\x1b[31m"}, "label"),
    ({"sort": "label"}, "sort"),
    ({"limit": "0"}, "limit"),
    ({"limit": "101"}, "limit"),
    ({"limit": "many"}, "limit"),
    ({"cursor": "bm9uZQ"}, "cursor"),
    ({"colour": "red"}, "colour"),
]


async def test_broken_parameter_is_named(api, subtests):
    for parameters, field in BROKEN:
        with subtests.test(parameters=parameters):
            status, problem = await api.get("/v1/predictions", params=parameters)
            assert (status, problem["code"]) == (422, "invalid_request")
            assert [error["field"] for error in problem["errors"]] == [field]


async def test_cursor_belongs_to_its_list_and_its_tenant(api, predictions, issuer):
    _, page = await api.get("/v1/predictions", params={"limit": "2"})
    cursor = page["next_cursor"]
    status, _ = await api.get("/v1/predictions", params={"limit": "5", "cursor": cursor})
    assert status == 200
    status, problem = await api.get("/v1/predictions", params={"status": "QUEUED", "cursor": cursor})
    assert (status, problem["errors"][0]["field"]) == (422, "cursor")
    other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    status, problem = await api.get("/v1/predictions", params={"cursor": cursor}, headers=other)
    assert (status, problem["errors"][0]["field"]) == (422, "cursor")
