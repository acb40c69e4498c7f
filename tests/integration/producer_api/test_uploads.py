"""Uploads: a file sent here, a form or parts sent straight to S3, and what is made of them."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import uuid
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from producer_api.database import DATABASE
from producer_api.objects import OBJECTS
from producer_api.telemetry import METRICS
from producer_api.uploads import create, presigned
from producer_api.uploads.models import AwaitingUpload, CreatedUpload, UploadResource
from producer_api.uploads.store import UploadStore
from producer_api.uploads.sweep import OrphanSweep


@pytest.fixture
def call(api):
    """A function that sends a request and returns status, headers and JSON."""

    async def send(method, path, **options):
        async with api.http.request(method, path, **options) as response:
            text = await response.text()
            return response.status, response.headers, json.loads(text) if text else None

    return send


@pytest.fixture
def declare(call):
    """A function that creates an AWAITING upload."""

    async def create_upload(size, **members):
        status, _, upload = await call("POST", "/v1/uploads", json={"size": size, **members})
        assert status == 201, upload
        AwaitingUpload.model_validate(upload)
        return upload

    return create_upload


async def send_form(transfer, body, **changed):
    """Send a file as a browser does; `changed` are other fields than the signed ones."""
    form = aiohttp.FormData()
    for name, value in (transfer["fields"] | changed).items():
        form.add_field(name, value)
    form.add_field("file", body, filename="x.csv", content_type="text/csv")
    async with aiohttp.ClientSession() as http, http.post(transfer["url"], data=form) as response:
        return response.status


async def send_part(url, body):
    async with aiohttp.ClientSession() as http, http.put(url, data=io.BytesIO(body)) as response:
        return response.status


@pytest.fixture
def small_parts(monkeypatch):
    """Makes a file of 12 MiB one of three parts."""
    monkeypatch.setattr(presigned, "MAX_FORM_BYTES", 1_000_000)
    monkeypatch.setattr(presigned, "MIN_PART_BYTES", 5 << 20)
    return 12 << 20


def large(customers, size):
    row = b"a-3,1,Two year,20,No\n"
    return (customers + row * (size // len(row) + 1))[: size - 1] + b"\n"


async def test_file_sent_here_is_ready(call, customers, owner, s3):
    status, headers, upload = await call(
        "POST",
        "/v1/uploads?name=C:%5CK%C3%BCndigungen.csv",
        data=customers,
        headers={"Content-Type": "text/csv"},
    )
    assert status == 201
    CreatedUpload.model_validate(upload)
    assert headers["Location"] == upload["links"]["self"] == f"/v1/uploads/{upload['upload_id']}"
    assert (upload["state"], upload["file_name"], upload["transfer"]) == ("READY", "Kündigungen.csv", None)
    assert (upload["size_bytes"], upload["received_bytes"]) == (len(customers), len(customers))
    assert upload["sha256"] == hashlib.sha256(customers).hexdigest()
    row = await owner.fetchrow("select * from uploads")
    stored = await s3.get_object(Bucket=row["bucket"], Key=row["object_key"])
    assert await stored["Body"].read() == customers
    status, headers, again = await call("GET", upload["links"]["self"])
    assert (status, again) == (200, {name: upload[name] for name in again})
    status, _, nothing = await call(
        "GET", upload["links"]["self"], headers={"If-None-Match": headers["ETag"]}
    )
    assert (status, nothing) == (304, None)


async def test_form_sent_here_is_ready(call, customers):
    form = aiohttp.FormData()
    form.add_field("file", customers, filename="a.csv", content_type="text/csv")
    status, _, upload = await call("POST", "/v1/uploads", data=form)
    assert (status, upload["state"], upload["file_name"]) == (201, "READY", "a.csv")


async def test_file_sent_here_needs_no_columns_of_a_model(call):
    table = b"a;b\n1;2\n3;4\n"
    status, _, _ = await call("POST", "/v1/uploads", data=table, headers={"Content-Type": "text/csv"})
    assert status == 201


BAD_PARAMETERS = [("?model=x", "model"), ("?name=a&name=b", "name"), ("?mapping={}", "mapping")]


async def test_parameters_of_a_file_are_checked(call, customers, owner, subtests):
    for query, field in BAD_PARAMETERS:
        with subtests.test(query=query):
            status, _, problem = await call(
                "POST", f"/v1/uploads{query}", data=customers, headers={"Content-Type": "text/csv"}
            )
            assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "invalid_request", field)
            assert await owner.fetchval("select count(*) from uploads") == 0


async def test_same_file_and_key_are_one_upload(call, customers, owner, s3, aws):
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "one"}
    _, _, first = await call("POST", "/v1/uploads", data=customers, headers=headers)
    status, answered, second = await call("POST", "/v1/uploads", data=customers, headers=headers)
    assert (status, second, answered["Idempotency-Replayed"]) == (201, first, "true")
    status, _, problem = await call(
        "POST", "/v1/uploads", data=customers + b"x-9,1,Two year,2,No\n", headers=headers
    )
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert await owner.fetchval("select count(*) from uploads") == 1
    assert len((await s3.list_objects_v2(Bucket=aws.bucket))["Contents"]) == 1


async def test_form_goes_straight_to_storage(call, declare, customers, owner):
    digest = hashlib.sha256(customers).hexdigest()
    upload = await declare(len(customers), name="kunden.csv", sha256=digest)
    assert (upload["state"], upload["received_bytes"], upload["parts"]) == ("AWAITING", 0, None)
    path = upload["links"]["self"]
    assert (await call("POST", f"{path}/complete"))[2]["code"] == "upload_incomplete"
    assert (await call("GET", f"{path}/inspection"))[2]["code"] == "upload_not_ready"
    _, before, _ = await call("GET", path)

    assert await send_form(upload["transfer"], customers) == 204
    _, after, awaiting = await call("GET", path)
    UploadResource.model_validate(awaiting)
    assert (awaiting["state"], awaiting["received_bytes"]) == ("AWAITING", len(customers))
    assert before["ETag"] != after["ETag"]

    status, _, ready = await call("POST", f"{path}/complete")
    UploadResource.model_validate(ready)
    assert (status, ready["state"], ready["sha256"]) == (200, "READY", digest)
    assert (await call("POST", f"{path}/complete"))[2] == ready
    assert (await call("POST", f"{path}/parts"))[2]["code"] == "upload_already_complete"
    row = await owner.fetchrow("select * from uploads")
    assert (row["state"], row["size_bytes"], row["sha256"]) == ("READY", len(customers), digest)


async def test_policy_is_signed_and_fixes_key_size_type_and_time(declare, aws):
    """The emulator does not verify a form's signature: it is computed here as S3 computes it."""
    upload = await declare(1_000)
    fields = upload["transfer"]["fields"]
    key = f"AWS4{aws.env['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (*fields["x-amz-credential"].split("/")[1:], fields["policy"]):
        key = hmac.digest(key, part.encode(), "sha256")
    assert fields["x-amz-signature"] == key.hex()
    policy = json.loads(base64.b64decode(upload["transfer"]["fields"]["policy"]))
    expires = datetime.fromisoformat(policy["expiration"])
    assert timedelta(0) < expires - datetime.now(UTC) <= timedelta(seconds=presigned.FORM_SECONDS)
    assert {"key": f"uploads/acme/{upload['upload_id']}.csv"} in policy["conditions"]
    assert {"bucket": aws.bucket} in policy["conditions"]
    assert {"Content-Type": "text/csv"} in policy["conditions"]
    assert ["content-length-range", 1_000, 1_000] in policy["conditions"]


async def test_forged_forms_are_refused(declare, customers, s3, aws, monkeypatch):
    upload = await declare(len(customers))
    key = f"uploads/globex/{uuid.uuid4()}.csv"
    forged = [
        (customers, {"key": key}),
        (customers + b"x", {}),
        (customers[:-1], {}),
        (customers, {"Content-Type": "text/html"}),
        (customers, {"acl": "public-read"}),
    ]
    for body, changed in forged:
        assert 400 <= await send_form(upload["transfer"], body, **changed) < 500, changed
    monkeypatch.setattr(presigned, "FORM_SECONDS", -60)
    expired = await declare(len(customers))
    assert await send_form(expired["transfer"], customers) == 403
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)


async def test_parts_go_straight_to_storage(call, declare, customers, small_parts):
    body = large(customers, small_parts)
    upload = await declare(len(body), sha256=hashlib.sha256(body).hexdigest())
    path, links = upload["links"]["self"], upload["transfer"]["parts"]
    assert upload["parts"] == {"count": 3, "part_bytes": 5 << 20, "held": []}
    assert [link["size_bytes"] for link in links] == [5 << 20, 5 << 20, 2 << 20]
    pieces = [body[start : start + (5 << 20)] for start in range(0, len(body), 5 << 20)]
    for link, piece in list(zip(links, pieces, strict=True))[1:]:
        assert await send_part(link["url"], piece) == 200
    _, _, awaiting = await call("GET", path)
    assert awaiting["parts"]["held"] == [2, 3]
    assert awaiting["received_bytes"] == len(pieces[1]) + len(pieces[2])
    status, _, problem = await call("POST", f"{path}/complete")
    assert (status, problem["code"], problem["missing_parts"]) == (409, "upload_incomplete", [1])

    _, _, renewed = await call("POST", f"{path}/parts")
    AwaitingUpload.model_validate(renewed)
    [link] = renewed["transfer"]["parts"]
    assert link["number"] == 1
    assert await send_part(link["url"], pieces[0]) == 200
    status, _, ready = await call("POST", f"{path}/complete")
    assert (status, ready["state"], ready["received_bytes"]) == (200, "READY", len(body))


async def test_forged_parts_are_refused(declare, customers, s3, aws, small_parts, monkeypatch):
    upload = await declare(small_parts)
    [first, *_] = upload["transfer"]["parts"]
    piece = b"x" * first["size_bytes"]
    for url, body in (
        (first["url"].replace("partNumber=1", "partNumber=9"), piece),
        (first["url"].replace(upload["upload_id"], str(uuid.uuid4())), piece),
        (first["url"], piece + b"x"),
        (first["url"], piece[1:]),
        (first["url"].replace("X-Amz-Expires=3600", "X-Amz-Expires=86400"), piece),
    ):
        assert await send_part(url, body) == 403, url
    monkeypatch.setattr(presigned, "PART_SECONDS", -60)
    expired = await declare(small_parts)
    assert await send_part(expired["transfer"]["parts"][0]["url"], piece) == 403
    begun = (await s3.list_multipart_uploads(Bucket=aws.bucket))["Uploads"]
    for unfinished in begun:
        parts = await s3.list_parts(Bucket=aws.bucket, Key=unfinished["Key"], UploadId=unfinished["UploadId"])
        assert not parts.get("Parts")


async def test_completion_that_died_halfway_is_finished(
    call, declare, customers, s3, aws, small_parts, owner
):
    body = large(customers, small_parts)
    upload = await declare(len(body))
    for link in upload["transfer"]["parts"]:
        start = (link["number"] - 1) * (5 << 20)
        assert await send_part(link["url"], body[start : start + link["size_bytes"]]) == 200
    row = await owner.fetchrow("select * from uploads")
    names = {"Bucket": aws.bucket, "Key": row["object_key"], "UploadId": row["multipart_id"]}
    parts = (await s3.list_parts(**names))["Parts"]
    await s3.complete_multipart_upload(
        **names,
        MultipartUpload={
            "Parts": [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        },
    )
    _, _, awaiting = await call("GET", upload["links"]["self"])
    assert (awaiting["received_bytes"], awaiting["parts"]["held"]) == (len(body), [1, 2, 3])
    assert (await call("POST", f"{upload['links']['self']}/parts"))[2]["transfer"]["parts"] == []
    status, _, ready = await call("POST", f"{upload['links']['self']}/complete")
    assert (status, ready["state"]) == (200, "READY")


async def test_another_file_than_declared_is_refused_and_deleted(call, declare, customers, owner, s3, aws):
    upload = await declare(len(customers), sha256="0" * 64)
    assert await send_form(upload["transfer"], customers) == 204
    status, _, problem = await call("POST", f"{upload['links']['self']}/complete")
    assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "upload_differs", "sha256")
    other = await declare(len(customers))
    await s3.put_object(Bucket=aws.bucket, Key=f"uploads/acme/{other['upload_id']}.csv", Body=b"a,b\n1,2\n")
    status, _, problem = await call("POST", f"{other['links']['self']}/complete")
    assert (status, problem["errors"][0]["field"]) == (422, "size")
    picture = b"\x89PNG\r\n" + b"\0" * 500
    no_table = await declare(len(picture))
    assert await send_form(no_table["transfer"], picture) == 204
    status, _, problem = await call("POST", f"{no_table['links']['self']}/complete")
    assert (status, problem["code"]) == (422, "not_a_csv")
    for gone in (upload, other, no_table):
        assert (await call("GET", gone["links"]["self"]))[0] == 404
    assert await owner.fetchval("select count(*) from uploads") == 0
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)


BAD_DECLARATIONS = [
    ({}, "size"),
    ({"size": 0}, "size"),
    ({"size": -1}, "size"),
    ({"size": "5"}, "size"),
    ({"size": 1.5}, "size"),
    ({"size": True}, "size"),
    ({"size": 5, "sha256": "ABC"}, "sha256"),
    ({"size": 5, "name": ""}, "name"),
    ({"size": 5, "name": "x" * 256}, "name"),
    ({"size": 5, "name": "a\0b"}, "name"),
    ({"size": 5, "key": "uploads/globex/x.csv"}, "key"),
    ({"size": 5, "tenant_id": "globex"}, "tenant_id"),
]


async def test_declarations_are_checked(call, owner, subtests):
    for body, field in BAD_DECLARATIONS:
        with subtests.test(body=body):
            status, _, problem = await call("POST", "/v1/uploads", json=body)
            assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "invalid_request", field)
            assert await owner.fetchval("select count(*) from uploads") == 0


async def test_declared_file_may_not_exceed_the_limit(start_api):
    async with (
        start_api(max_upload_bytes="1000") as api,
        api.http.post("/v1/uploads", json={"size": 1_001}) as answer,
    ):
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"], problem["max_bytes"]) == (413, "file_too_large", 1_000)


async def test_tenant_may_have_so_many_awaiting_uploads(call, declare, monkeypatch):
    monkeypatch.setattr(create, "MAX_AWAITING_UPLOADS", 2)
    first = await declare(5)
    await declare(5)
    status, headers, problem = await call("POST", "/v1/uploads", json={"size": 5})
    assert (status, problem["code"]) == (429, "too_many_awaiting_uploads")
    assert headers["Retry-After"]
    assert (await call("DELETE", first["links"]["self"]))[0] == 204
    await declare(5)


async def test_upload_is_deleted_with_its_file(call, declare, customers, owner, s3, aws, small_parts):
    _, _, ready = await call("POST", "/v1/uploads", data=customers, headers={"Content-Type": "text/csv"})
    awaiting = await declare(small_parts)
    assert await send_part(awaiting["transfer"]["parts"][2]["url"], b"x" * (2 << 20)) == 200
    for upload in (ready, awaiting):
        assert (await call("DELETE", upload["links"]["self"]))[0] == 204
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/complete"), ("POST", "/parts")):
            status, _, problem = await call(method, upload["links"]["self"] + path)
            assert (status, problem["code"]) == (404, "upload_not_found")
    assert await owner.fetchval("select count(*) from uploads") == 0
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)
    assert not (await s3.list_multipart_uploads(Bucket=aws.bucket)).get("Uploads")


async def test_upload_of_a_prediction_stays(call, api, customers, owner, s3, aws):
    assert (await api.post(customers))[0] == 202
    upload_id = await owner.fetchval("select upload_id from uploads")
    status, _, problem = await call("DELETE", f"/v1/uploads/{upload_id}")
    assert (status, problem["code"]) == (409, "upload_in_use")
    assert (await call("GET", f"/v1/uploads/{upload_id}"))[2]["state"] == "READY"
    assert len((await s3.list_objects_v2(Bucket=aws.bucket))["Contents"]) == 1


async def test_deletion_that_died_halfway_is_finished(call, api, customers, owner, s3, aws):
    _, _, upload = await call("POST", "/v1/uploads", data=customers, headers={"Content-Type": "text/csv"})
    await owner.execute("update uploads set state = 'DELETED', deleted_at = now()")
    assert (await call("GET", upload["links"]["self"]))[0] == 404
    assert (await call("DELETE", upload["links"]["self"]))[0] == 204
    assert await owner.fetchval("select count(*) from uploads") == 0
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)


async def test_sweep_deletes_expired_and_half_deleted_uploads(
    call, api, declare, customers, owner, s3, aws, small_parts
):
    kept = await declare(small_parts)
    expired = await declare(small_parts)
    assert await send_part(expired["transfer"]["parts"][2]["url"], b"x" * (2 << 20)) == 200
    await owner.execute(
        "update uploads set expires_at = now() - interval '2 hours' where upload_id = $1",
        expired["upload_id"],
    )
    _, _, half = await call("POST", "/v1/uploads", data=customers, headers={"Content-Type": "text/csv"})
    await owner.execute(
        "update uploads set state = 'DELETED', deleted_at = now() where upload_id = $1", half["upload_id"]
    )
    sweep = OrphanSweep(
        UploadStore(api.app[DATABASE]), api.app[OBJECTS], api.app[METRICS], age_seconds=-3_600
    )
    assert await sweep.sweep() == 2
    assert [str(row["upload_id"]) for row in await owner.fetch("select upload_id from uploads")] == [
        kept["upload_id"]
    ]
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)
    [begun] = (await s3.list_multipart_uploads(Bucket=aws.bucket))["Uploads"]
    assert kept["upload_id"] in begun["Key"]


async def test_another_tenants_upload_is_not_found(call, declare, api, issuer):
    upload = await declare(5)
    other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    for path in (upload["links"]["self"], f"/v1/uploads/{uuid.uuid4()}", "/v1/uploads/x"):
        for method, suffix in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/parts"),
            ("POST", "/complete"),
            ("GET", "/inspection"),
        ):
            status, _, problem = await call(method, path + suffix, headers=other)
            assert (status, problem["code"]) == (404, "upload_not_found"), (method, path, suffix)
    assert (await call("GET", upload["links"]["self"]))[0] == 200


async def test_unavailable_storage_leaves_no_row(call, owner, s3, aws, small_parts):
    await s3.delete_bucket(Bucket=aws.bucket)
    status, _, problem = await call("POST", "/v1/uploads", json={"size": small_parts})
    assert (status, problem["code"]) == (503, "storage_unavailable")
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_two_completions_at_once_are_one(call, declare, customers, owner):
    upload = await declare(len(customers))
    assert await send_form(upload["transfer"], customers) == 204
    path = f"{upload['links']['self']}/complete"
    answers = await asyncio.gather(*(call("POST", path) for _ in range(4)))
    assert {status for status, _, _ in answers} == {200}
    assert len({json.dumps(ready) for _, _, ready in answers}) == 1
    assert await owner.fetchval("select state from uploads") == "READY"


async def test_upload_is_deleted_or_predicted_but_never_both(call, customers, owner, s3, aws):
    for _ in range(8):
        _, _, upload = await call("POST", "/v1/uploads", data=customers, headers={"Content-Type": "text/csv"})
        wanted = {"upload_id": upload["upload_id"]}
        (deleted, _, _), (predicted, _, answer) = await asyncio.gather(
            call("DELETE", upload["links"]["self"]), call("POST", "/v1/predictions", json=wanted)
        )
        assert (deleted, predicted) in {(204, 404), (204, 410), (409, 202)}, answer
        kept = await owner.fetchval("select count(*) from uploads where upload_id = $1", upload["upload_id"])
        listed = await s3.list_objects_v2(Bucket=aws.bucket, Prefix=f"uploads/acme/{upload['upload_id']}")
        assert kept == listed["KeyCount"] == (1 if predicted == 202 else 0)
