"""Saved mappings, and the inspection of an upload that offers them."""

import json
import uuid
from typing import Any

import pytest

from producer_api.mappings import handlers
from producer_api.mappings.models import MappingResource, MappingsPage
from producer_api.uploads.models import Inspection

TABLE = b"Nr;Monate;Vertrag;Netz\n1;5;monatlich;DSL\n2;7;monatlich;DSL\n3;9;zwei Jahre;DSL\n"
HEADERS = ["Nr", "Monate", "Vertrag", "Netz"]
SAVED: dict[str, Any] = {
    "headers": HEADERS,
    "mapping": {"customer_id": "Nr", "InternetService": "Netz"},
    "values": {"Contract": {"zwei Jahre": "Two year"}},
}


@pytest.fixture
def call(api):
    """A function that sends a request and returns status, headers and JSON."""

    async def send(method, path, **options):
        async with api.http.request(method, path, **options) as response:
            text = await response.text()
            return response.status, response.headers, json.loads(text) if text else None

    return send


@pytest.fixture
async def upload(call):
    """The path of a READY upload."""
    status, _, created = await call("POST", "/v1/uploads", data=TABLE, headers={"Content-Type": "text/csv"})
    assert status == 201, created
    return created["links"]["self"]


async def test_mapping_is_saved_read_replaced_and_deleted(call):
    path = "/v1/mappings/CRM export (2026)"
    status, headers, saved = await call("PUT", path, json=SAVED)
    assert status == 201, saved
    MappingResource.model_validate(saved)
    assert saved["mapping"] == SAVED["mapping"]
    assert headers["Location"] == saved["links"]["self"] == "/v1/mappings/CRM%20export%20%282026%29"
    status, read, again = await call("GET", path)
    assert (status, again, read["ETag"]) == (200, saved, headers["ETag"])
    assert (await call("GET", path, headers={"If-None-Match": read["ETag"]}))[0] == 304

    status, changed, replaced = await call("PUT", path, json={**SAVED, "values": {}})
    assert (status, replaced["values"]) == (200, {})
    assert changed["ETag"] != read["ETag"]
    assert (await call("DELETE", path))[0] == 204
    for method in ("GET", "DELETE"):
        assert (await call(method, path))[2]["code"] == "mapping_not_found"


async def test_nobody_overwrites_what_they_have_not_read(call):
    path = "/v1/mappings/crm"
    _, first, _ = await call("PUT", path, json=SAVED, headers={"If-None-Match": "*"})
    assert (await call("PUT", path, json=SAVED, headers={"If-None-Match": "*"}))[0] == 412
    _, second, _ = await call("PUT", path, json=SAVED, headers={"If-Match": first["ETag"]})
    for method in ("PUT", "DELETE"):
        status, _, problem = await call(method, path, json=SAVED, headers={"If-Match": first["ETag"]})
        assert (status, problem["code"]) == (412, "precondition_failed")
    assert (await call("DELETE", path, headers={"If-Match": second["ETag"]}))[0] == 204
    assert (await call("PUT", path, json=SAVED, headers={"If-Match": second["ETag"]}))[0] == 412


async def test_mappings_are_listed_by_name_in_pages(call):
    for name in ("b", "a", "d", "c"):
        assert (await call("PUT", f"/v1/mappings/{name}", json=SAVED))[0] == 201
    names, path = [], "/v1/mappings?limit=3"
    while path:
        status, headers, found = await call("GET", path)
        assert status == 200
        MappingsPage.model_validate(found)
        names.append([each["name"] for each in found["items"]])
        assert ("Link" in headers) == (found["next_cursor"] is not None)
        path = found["next_cursor"] and f"/v1/mappings?limit=3&cursor={found['next_cursor']}"
    assert names == [["a", "b", "c"], ["d"]]


async def test_mapping_is_offered_for_the_same_headers(call, upload, api, issuer):
    await call("PUT", "/v1/mappings/mine", json={**SAVED, "headers": HEADERS[::-1]})
    await call("PUT", "/v1/mappings/other", json={**SAVED, "headers": [*HEADERS, "more"]})
    other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    await call("PUT", "/v1/mappings/theirs", json=SAVED, headers=other)
    _, _, inspection = await call("GET", f"{upload}/inspection")
    assert inspection["saved_mappings"] == ["mine"]
    for method in ("GET", "DELETE"):
        assert (await call(method, "/v1/mappings/mine", headers=other))[0] == 404
    assert [each["name"] for each in (await call("GET", "/v1/mappings", headers=other))[2]["items"]] == [
        "theirs"
    ]


BAD_MAPPINGS: list[tuple[dict[str, Any], str]] = [
    ({"headers": []}, "headers"),
    ({"headers": ["x"] * 1_001}, "headers"),
    ({"headers": "Nr"}, "headers"),
    ({"headers": ["a\0b"]}, "headers"),
    ({"mapping": {"tenure": "Nothing"}}, "mapping"),
    ({"mapping": {"nothing": "Nr"}}, "mapping"),
    ({"mapping": {"tenure": 5}}, "mapping.tenure"),
    ({"values": {"tenure": {"a": "b"}}}, "values"),
    ({"values": {"Contract": {"a": "Three years"}}}, "values.Contract"),
    ({"model": "telco-churn@9.9.9"}, "model"),
    ({"name": "other"}, "name"),
    ({"tenant_id": "globex"}, "tenant_id"),
]


async def test_mappings_are_checked(call, owner, subtests):
    for changed, field in BAD_MAPPINGS:
        with subtests.test(changed=changed):
            status, _, problem = await call("PUT", "/v1/mappings/crm", json={**SAVED, **changed})
            assert status == 422, problem
            assert problem["errors"][0]["field"].startswith(field)
            assert await owner.fetchval("select count(*) from mappings") == 0


BAD_NAMES = ["%20x", "x%20", "a%2Fb", "%00", "%ff", "x" * 101, "a%0Ab", "..%2Fx", "-x"]


async def test_names_are_checked(call, owner, subtests):
    for name in BAD_NAMES:
        with subtests.test(name=name):
            status, _, problem = await call("PUT", f"/v1/mappings/{name}", json=SAVED)
            assert status in {404, 422}, problem
            assert (await call("GET", f"/v1/mappings/{name}"))[0] == 404
            assert await owner.fetchval("select count(*) from mappings") == 0


BAD_PAGES = [("limit=0", "limit"), ("limit=101", "limit"), ("cursor=x", "cursor"), ("q=x", "q")]


async def test_parameters_of_the_list_are_checked(call, subtests):
    for query, field in BAD_PAGES:
        with subtests.test(query=query):
            status, _, problem = await call("GET", f"/v1/mappings?{query}")
            assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_tenant_may_save_so_many_mappings(call, monkeypatch):
    monkeypatch.setattr(handlers, "MAX_MAPPINGS", 1)
    assert (await call("PUT", "/v1/mappings/a", json=SAVED))[0] == 201
    assert (await call("PUT", "/v1/mappings/b", json=SAVED))[2]["code"] == "too_many_mappings"
    assert (await call("PUT", "/v1/mappings/a", json=SAVED))[0] == 200


async def test_upload_is_inspected_before_anything_is_queued(call, upload, owner):
    status, headers, inspection = await call("GET", f"{upload}/inspection")
    assert status == 200
    Inspection.model_validate(inspection)
    assert inspection["upload_id"] == upload.rpartition("/")[2]
    assert not inspection["is_ready"]
    status, _, nothing = await call("GET", f"{upload}/inspection", headers={"If-None-Match": headers["ETag"]})
    assert (status, nothing) == (304, None)
    mapping = {"customer_id": "Nr", "tenure": "Monate", "Contract": "Vertrag", "InternetService": "Netz"}
    values = {"Contract": {"monatlich": "Month-to-month", "zwei jahre": "Two year"}}
    parameters = {
        "model": "telco-churn@1.0.0",
        "mapping": json.dumps(mapping),
        "values": json.dumps(values),
    }
    status, mapped, inspection = await call("GET", f"{upload}/inspection", params=parameters)
    assert (status, inspection["is_ready"], inspection["missing"]) == (200, True, [])
    assert mapped["ETag"] != headers["ETag"]
    assert all(each["unseen"] == 0 for each in inspection["quality"]["features"])
    assert await owner.fetchval("select count(*) from predictions") == 0
    assert await owner.fetchval("select count(*) from outbox") == 0


BAD_QUERIES = [
    ({"model": "x"}, "model"),
    ({"mapping": "{"}, "mapping"),
    ({"mapping": "[]"}, "mapping"),
    ({"mapping": '{"tenure": 5}'}, "mapping"),
    ({"mapping": '{"tenure": "Nothing"}'}, "mapping"),
    ({"values": '{"Contract": "x"}'}, "values"),
    ({"values": '{"Contract": {"x": "y"}}'}, "values.Contract"),
    ({"values": '{"tenure": {"x": "y"}}'}, "values"),
    ({"mapping": '{"tenure": "' + "x" * 17_000 + '"}'}, "mapping"),
    ({"rows": "5"}, "rows"),
]


async def test_parameters_of_an_inspection_are_checked(call, upload, subtests):
    for parameters, field in BAD_QUERIES:
        with subtests.test(parameters=parameters):
            status, _, problem = await call("GET", f"{upload}/inspection", params=parameters)
            assert status in {422, 431}, problem
            if status == 422:
                assert problem["errors"][0]["field"].startswith(field), problem


async def test_file_that_is_no_longer_kept_is_gone(call, upload, s3, aws):
    await s3.delete_object(Bucket=aws.bucket, Key=f"uploads/acme/{uuid.UUID(upload.rpartition('/')[2])}.csv")
    status, _, problem = await call("GET", f"{upload}/inspection")
    assert (status, problem["code"]) == (410, "upload_gone")
