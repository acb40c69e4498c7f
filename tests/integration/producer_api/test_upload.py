"""An upload is stored unchanged, with one row and one message, and answered 202."""

import asyncio
import hashlib
from asyncio import StreamReader, StreamWriter
from uuid import UUID

import aiohttp
import pytest

from ml_models.intake.dialect import HEAD_BYTES
from producer_api.database import DATABASE
from producer_api.http.admission import UPLOAD_GATE
from producer_api.objects import PART_BYTES
from producer_api.uploads import receive as uploads
from retainwise_contracts.codec import decode
from retainwise_contracts.prediction_requested import PredictionRequestedV1


async def receive(sqs, queue_url):
    """Receive the one message that should be on the queue."""
    answer = await sqs.receive_message(
        QueueUrl=queue_url,
        WaitTimeSeconds=5,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    (message,) = answer["Messages"]
    return message


async def test_file_is_stored_queued_and_answered(api, customers, aws, owner, s3, sqs):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with api.http.post(
        "/v1/predictions?reasons=5&confirm=tenure,%20MonthlyCharges,tenure",
        data=customers,
        headers={"Content-Type": "text/csv", "traceparent": trace},
    ) as response:
        assert response.status == 202, await response.text()
        prediction = await response.json()
        assert response.headers["Location"] == prediction["links"]["self"]
        assert response.headers["Cache-Control"] == "no-store"
    assert prediction["status"] == "QUEUED"
    assert prediction["phase"] == "waiting"
    assert prediction["model"] == "telco-churn@1.0.0"
    assert prediction["requested_at"].endswith("Z")

    message = await receive(sqs, aws.queue_url)
    envelope = decode(message["Body"])
    assert envelope.traceparent == trace
    assert message["MessageAttributes"]["traceparent"]["StringValue"] == trace
    assert message["MessageAttributes"]["tenantid"]["StringValue"] == "acme"
    assert message["MessageAttributes"]["type"]["StringValue"] == "retainwise.prediction.requested.v1"
    assert message["Attributes"]["MessageGroupId"] == "acme"
    requested = envelope.data
    assert isinstance(requested, PredictionRequestedV1)
    assert requested.prediction_id == UUID(prediction["prediction_id"])
    assert requested.options.reasons == 5
    assert requested.options.confirmed == ("tenure", "MonthlyCharges")
    assert requested.upload.sha256 == hashlib.sha256(customers).hexdigest()
    stored = await s3.get_object(Bucket=requested.upload.bucket, Key=requested.upload.key)
    assert await stored["Body"].read() == customers
    assert requested.upload.key.startswith("uploads/acme/")

    async with asyncio.timeout(10):  # the relay marks what it has sent
        while (row := await owner.fetchrow("select * from predictions"))["sqs_message_id"] is None:
            await asyncio.sleep(0.02)
    assert row["sqs_message_id"] == message["MessageId"]
    assert row["sqs_queued_at"] is not None
    assert await owner.fetchval("select sent_at is not null and attempts = 1 from outbox")
    status, again = await api.get(prediction["links"]["self"])
    assert status == 200
    assert again["queued_at"] is not None


async def test_form_may_have_fields_around_its_file(api, customers, owner):
    form = aiohttp.FormData(quote_fields=False)  # names as browsers send them
    form.add_field("reasons", "0")
    form.add_field("file", customers, filename="exports\\Kündigungen.csv", content_type="text/csv")
    form.add_field("mapping", '{"tenure": "tenure"}')
    form.add_field("deadline", "2999-01-01T00:00:00+02:00")
    form.add_field("model", "telco-churn@1.0.0")
    async with api.http.post("/v1/predictions", data=form) as response:
        assert response.status == 202, await response.text()
        assert (await response.json())["deadline"] == "2998-12-31T22:00:00Z"
    assert await owner.fetchval("select file_name from uploads") == "Kündigungen.csv"
    requested = decode(await owner.fetchval("select body from outbox")).data
    assert isinstance(requested, PredictionRequestedV1)
    assert requested.mapping == {"tenure": "tenure"}
    assert requested.options.reasons == 0


async def test_file_of_several_parts_is_stored(api, customers, owner, s3):
    row = b"a-3,1,Two year,20,No\n"
    body = customers + row * (PART_BYTES * 5 // 2 // len(row))

    async def in_chunks():
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    status, _ = await api.post(in_chunks())
    assert status == 202
    upload = await owner.fetchrow("select * from uploads")
    assert (upload["size_bytes"], upload["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    stored = await s3.get_object(Bucket=upload["bucket"], Key=upload["object_key"])
    assert await stored["Body"].read() == body


async def raw_request(
    api, body: bytes, *, length: int | None = None, more: str = ""
) -> tuple[StreamReader, StreamWriter]:
    """Send the head of a request and the beginning of its body over a socket of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: api\r\nContent-Type: text/csv\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\n{more}"
    )
    if length is not None:
        head += f"Content-Length: {length}\r\n"
    writer.write(f"{head}\r\n".encode() + body)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("size", [1_000, PART_BYTES + 1_000], ids=["in the first part", "after it"])
async def test_cut_off_upload_leaves_nothing(api, customers, owner, s3, aws, size, until):
    body = (customers + b"a-3,1,Two year,20,No\n" * (size // 20))[:size]
    _, writer = await raw_request(api, body, length=size + 10_000)
    gate = api.app[UPLOAD_GATE]

    async def arrived() -> bool:
        if size < PART_BYTES:
            return bool(api.registry.get_sample_value("retainwise_api_upload_bytes_total") == size)
        return bool((await s3.list_multipart_uploads(Bucket=aws.bucket)).get("Uploads"))

    await until(arrived)
    writer.transport.abort()
    async with asyncio.timeout(20):
        await gate.wait_empty()

    async def reported() -> bool:
        labels = {"method": "POST", "route": "/v1/predictions", "status": "400", "code": "upload_cut_off"}
        return bool(api.registry.get_sample_value("retainwise_api_requests_total", labels))

    await until(reported)
    assert await owner.fetchval("select count(*) from uploads") == 0
    assert await owner.fetchval("select count(*) from outbox") == 0
    assert not (await s3.list_multipart_uploads(Bucket=aws.bucket)).get("Uploads")
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)


async def test_stalled_upload_is_refused(start_api, customers, owner, until):
    async with start_api(upload_idle_seconds="0.2") as api:
        reader, writer = await raw_request(api, customers, length=10_000)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
        writer.write(
            b"." * 10_000
        )  # without it the server waits for the body, so that its answer is not lost
        await writer.drain()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_stalled"' in answer
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_upload_that_takes_longer_than_an_upload_may_is_refused(
    start_api, customers, owner, monkeypatch
):
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.3)
    async with start_api() as api:
        reader, writer = await raw_request(api, customers, length=10_000)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
        writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"detail":"An upload may take an hour. ' in answer
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_body_with_broken_framing_is_refused(start_api, customers, owner):
    async with start_api(upload_idle_seconds="1") as api:
        reader, writer = await raw_request(api, b"", more="Transfer-Encoding: chunked\r\n")
        writer.write(b"%x\r\n%s\r\n" % (len(customers), customers))
        await writer.drain()
        await asyncio.sleep(0.1)  # the handler is reading when the framing breaks
        writer.write(b"no length\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
        writer.close()
    # aiohttp's parser does not report this to the reader of the body, so the upload times out.
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_refusal_is_sent_before_100_continue(api, customers, until):
    expect = "Expect: 100-continue\r\n"
    reader, writer = await raw_request(api, b"", length=10**12, more=expect)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    assert answer.startswith(b"HTTP/1.1 413 ")
    writer.close()
    reader, writer = await raw_request(api, b"", length=len(customers), more=expect)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(customers)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).startswith(b"HTTP/1.1 202 ")
    writer.close()


async def test_wrong_columns_are_refused_before_the_rest_arrives(api, owner):
    head = b"customerID,tenur\n" + b"a-1,2\n" * (HEAD_BYTES // 6)
    reader, writer = await raw_request(api, head, length=10**8)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b'"code":"required_columns_missing"' in answer
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_upload_over_the_concurrency_limit_is_refused(start_api, customers, until):
    async with start_api(max_concurrent_uploads="1") as api:
        _, writer = await raw_request(api, customers[:50], length=len(customers))

        async def under_way() -> bool:
            return bool(api.registry.get_sample_value("retainwise_api_uploads_under_way"))

        await until(under_way)
        async with api.http.post(
            "/v1/predictions", data=customers, headers={"Content-Type": "text/csv"}
        ) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
            assert (await response.json(content_type=None))["code"] == "too_many_uploads"
        writer.write(customers[50:])
        await api.app[UPLOAD_GATE].wait_empty()
        writer.close()
        status, _ = await api.post(customers)
        assert status == 202


async def test_tenant_with_many_uploads_leaves_slots_to_others(start_api, customers, issuer):
    async with start_api(max_concurrent_uploads="12") as api:
        held = [await raw_request(api, customers[:50], length=len(customers)) for _ in range(12)]
        gate = api.app[UPLOAD_GATE]
        async with api.http.post(
            "/v1/predictions", data=customers, headers={"Content-Type": "text/csv"}
        ) as response:
            assert response.status == 429
            assert response.headers["Retry-After"]
            assert (await response.json(content_type=None))["code"] == "too_many_own_uploads"
        assert gate._of_tenant["acme"] == 6  # as many as are still free
        other = {"Authorization": f"Bearer {issuer.mint('globex')}", "Content-Type": "text/csv"}
        assert (await api.post(customers, headers=other))[0] == 202
        answers = []
        for reader, writer in held:
            writer.write(customers[50:])
            answers.append((await asyncio.wait_for(reader.readline(), 20))[:12])
            writer.close()
        assert sorted(answers) == [b"HTTP/1.1 202"] * 6 + [b"HTTP/1.1 429"] * 6
        await gate.wait_empty()
        assert not gate._of_tenant


async def test_upload_that_dribbles_is_refused(start_api, customers, owner):
    async with start_api(upload_idle_seconds="0.5", min_upload_bytes_per_second="100000") as api:
        reader, writer = await raw_request(api, customers, length=10**6)

        async def dribble():
            while True:  # always far sooner than the idle time
                writer.write(b"a")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
        dribbling.cancel()
        writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_stalled"' in answer
    assert await owner.fetchval("select count(*) from uploads") == 0


async def test_ended_upload_is_answered(api, customers):
    reader, writer = await raw_request(api, customers[:50], length=len(customers))
    gate = api.app[UPLOAD_GATE]
    async with asyncio.timeout(20):
        while not gate._of_tenant:
            await asyncio.sleep(0.01)
    gate.close()
    gate.abort()
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"shutting_down"' in answer


async def test_unavailable_storage_and_database_are_reported(api, customers, aws, s3, owner):
    await s3.delete_bucket(Bucket=aws.bucket)
    status, problem = await api.post(customers)
    assert (status, problem["code"]) == (503, "storage_unavailable")
    assert problem["detail"] == "The file storage cannot be reached. Try again in a few seconds."
    await api.app[DATABASE].pools.reads.close()
    status, problem = await api.get("/v1/predictions/00000000-0000-0000-0000-000000000000")
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert problem["detail"] == "The database cannot be reached. Try again in a few seconds."
