"""The deletion of a prediction: nothing is left but the receipt, also if it dies half-way."""

import asyncio
import hashlib
import json

import pytest

from producer_api.objects import StorageUnavailable
from producer_api.predictions.deletion import DELETIONS

FILES = ("scores.parquet", "scores.csv", "rejected.csv", "manifest.json")

TABLES = ("predictions", "uploads", "prediction_events", "outbox", "idempotency_keys")


def digest(content):
    """Return a SHA-256 digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
async def store_results(s3, aws, owner):
    """A function that stores the results of a prediction, of two attempts, and completes it."""

    async def store(prediction):
        prediction_id = prediction["prediction_id"]
        folder = f"results/acme/{prediction_id}"
        manifest = {
            "prediction_id": prediction_id,
            "input": {"size_bytes": 1, "sha256": "0" * 64},
            "model": {"model": {"name": "telco-churn", "version": "1.0.0"}, "sha256": "0" * 64},
            "rows": {"total": 1, "scored": 1, "rejected": 0},
            "csv": {"delimiter": ",", "decimal": "."},
            "outputs": [{"name": "worklist.parquet", "size_bytes": 8, "sha256": digest(b"worklist")}],
            "versions": {},
        }
        contents = {name: name.encode() for name in FILES} | {"manifest.json": json.dumps(manifest).encode()}
        for attempt in (1, 2):
            for name, content in {**contents, "worklist.parquet": b"worklist"}.items():
                await s3.put_object(Bucket=aws.bucket, Key=f"{folder}/{attempt}/{name}", Body=content)
        result = {
            "bucket": aws.bucket,
            "files": [
                {
                    "name": name,
                    "key": f"{folder}/2/{name}",
                    "media_type": "text/csv",
                    "size_bytes": len(content),
                    "sha256": digest(content),
                }
                for name, content in contents.items()
            ],
        }
        await owner.execute(
            """
            update predictions set status = 'RUNNING', fence = 2, attempt = 2, started_at = now()
            where prediction_id = $1
            """,
            prediction_id,
        )
        await owner.execute(
            """
            update predictions set status = 'COMPLETED', finished_at = now(), rows_total = 1, rows_scored = 1,
                rows_rejected = 0, summary = '{}', result = $2
            where prediction_id = $1
            """,
            prediction_id,
            json.dumps(result),
        )

    return store


@pytest.fixture
async def completed(api, customers, store_results):
    """A completed prediction with the results of two attempts."""
    _, prediction = await api.post(customers, headers={"Idempotency-Key": "once"})
    await store_results(prediction)
    return prediction


async def delete(api, prediction):
    """Delete a prediction; return the status and the JSON of the answer."""
    async with api.http.delete(prediction["links"]["self"]) as response:
        return response.status, await response.json(content_type=None)


async def keys(s3, aws):
    """Return the keys of all versions of all objects."""
    listed = await s3.list_object_versions(Bucket=aws.bucket)
    return sorted(found["Key"] for kind in ("Versions", "DeleteMarkers") for found in listed.get(kind, ()))


async def rows(owner):
    """Return how many rows each table has."""
    return {table: await owner.fetchval(f"select count(*) from {table}") for table in TABLES}


@pytest.mark.parametrize("versioned", [False, True])
async def test_deletion_leaves_the_receipt_and_nothing_else(
    api, customers, owner, s3, aws, store_results, versioned
):
    if versioned:
        await s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    _, prediction = await api.post(customers, headers={"Idempotency-Key": "once"})
    await store_results(prediction)
    await store_results_again(s3, aws, prediction)
    assert await rows(owner) == dict(zip(TABLES, (1, 1, 3, 1, 1), strict=True))

    status, receipt = await delete(api, prediction)
    assert status == 200
    assert await keys(s3, aws) == []
    assert await rows(owner) == dict.fromkeys(TABLES, 0)
    assert receipt["prediction_id"] == prediction["prediction_id"]
    assert receipt["deleted_at"].endswith("Z")
    assert receipt["rows"] == {"predictions": 1, "uploads": 1, "events": 3, "messages": 1, "kept_answers": 1}
    digests = {
        deleted["key"].rpartition(f"{prediction['prediction_id']}/")[2]: deleted["sha256"]
        for deleted in receipt["objects"]
    }
    assert len(receipt["objects"]) == (11 if not versioned else 12)
    assert digests["2/scores.csv"] == digest(b"scores.csv")
    assert digests["2/worklist.parquet"] == digest(b"worklist")
    assert digests["1/scores.csv"] is None
    assert digests[f"uploads/acme/{prediction['upload']['upload_id']}.csv"] == digest(customers)

    assert await delete(api, prediction) == (200, receipt)
    for path in ("", "/events", "/result"):
        status, problem = await api.get(prediction["links"]["self"] + path)
        assert (status, problem["code"], problem["receipt"]) == (410, "prediction_deleted", receipt)
    for act in ("cancel", "retry"):
        async with api.http.post(f"{prediction['links']['self']}/{act}") as response:
            assert response.status == 410
    assert (await api.get("/v1/predictions"))[1]["items"] == []


async def store_results_again(s3, aws, prediction):
    """Write one of the files a second time: where versions are kept, that is one more."""
    key = f"results/acme/{prediction['prediction_id']}/2/scores.csv"
    await s3.put_object(Bucket=aws.bucket, Key=key, Body=b"scores.csv")


async def test_deletion_is_the_tenants_own(api, completed, owner, issuer):
    other = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    path = completed["links"]["self"]
    async with api.http.delete(path, headers=other) as response:
        unknown = await response.json(content_type=None)
    assert (response.status, unknown["code"]) == (404, "prediction_not_found")
    assert (await delete(api, completed))[0] == 200
    async with api.http.delete(path, headers=other) as response:
        deleted = await response.json(content_type=None)
    assert response.status == 404
    assert deleted | {"request_id": ""} == unknown | {"request_id": ""}


async def test_unfinished_prediction_is_not_deleted(api, customers, owner):
    _, prediction = await api.post(customers)
    status, problem = await delete(api, prediction)
    assert (status, problem["code"]) == (409, "not_finished")
    assert await owner.fetchval("select count(*) from receipts") == 0


async def test_upload_stays_while_another_prediction_needs_it(api, completed, owner, s3, aws):
    async with api.http.post(f"{completed['links']['self']}/retry") as response:
        retried = await response.json()
    status, receipt = await delete(api, completed)
    assert (status, receipt["rows"]["uploads"]) == (200, 0)
    assert await keys(s3, aws) == [f"uploads/acme/{completed['upload']['upload_id']}.csv"]
    assert (await api.get(retried["links"]["self"]))[0] == 200
    async with api.http.post(f"{retried['links']['self']}/cancel") as response:
        assert response.status == 200
    status, receipt = await delete(api, retried)  # after its end is announced
    assert (status, receipt["rows"]["uploads"]) == (200, 1)
    assert await keys(s3, aws) == []


async def test_deletion_that_dies_half_way_is_finished_by_the_sweep(
    api, completed, owner, s3, aws, monkeypatch
):
    deletions = api.app[DELETIONS]

    async def fail(*_):
        raise StorageUnavailable

    with monkeypatch.context() as outage:
        outage.setattr(deletions, "delete_objects", fail)
        status, problem = await delete(api, completed)
        assert (status, problem["code"]) == (503, "storage_unavailable")
    assert (await api.get(completed["links"]["self"]))[0] == 410  # never half visible
    assert len(await keys(s3, aws)) == 11
    assert await deletions.sweep() == 0  # the request itself is given a minute
    await owner.execute("update receipts set sweep_at = now()")
    assert await deletions.sweep() == 11
    assert await keys(s3, aws) == []
    assert await owner.fetchval("select sweep_at - deleted_at = interval '15 min' from receipts")

    # An overtaken worker stores a file after that.
    late = f"results/acme/{completed['prediction_id']}/1/scores.csv"
    await s3.put_object(Bucket=aws.bucket, Key=late, Body=b"late")
    await owner.execute("update receipts set deleted_at = now() - interval '1 h', sweep_at = now()")
    assert await deletions.sweep() == 1
    assert await keys(s3, aws) == []
    assert await owner.fetchval("select sweep_at is null from receipts")


async def test_object_that_cannot_be_deleted_delays_no_other(
    api, customers, owner, store_results, s3, aws, monkeypatch
):
    first, second = [(await api.post(customers))[1] for _ in range(2)]
    for prediction in (first, second):
        await store_results(prediction)
        assert (await delete(api, prediction))[0] == 200
        await s3.put_object(
            Bucket=aws.bucket, Key=f"results/acme/{prediction['prediction_id']}/1/scores.csv", Body=b"late"
        )
    await owner.execute("update receipts set sweep_at = now() - interval '1 h'")
    deletions = api.app[DELETIONS]
    whole = deletions.delete_objects

    async def fail_first(prediction_id, *arguments):
        if str(prediction_id) == first["prediction_id"]:
            raise StorageUnavailable
        return await whole(prediction_id, *arguments)

    monkeypatch.setattr(deletions, "delete_objects", fail_first)
    assert await deletions.sweep() == 1


async def test_messages_are_sent_before_they_are_deleted(start_api, customers, owner):
    async with start_api(enable_sqs="false") as api:
        with pytest.MonkeyPatch.context() as limits:
            limits.setattr("producer_api.predictions.deletion.SEND_SECONDS", 0.2)
            _, prediction = await api.post(customers)
            async with api.http.post(f"{prediction['links']['self']}/cancel") as response:
                assert response.status == 200
            status, problem = await delete(api, prediction)
            assert (status, problem["code"]) == (503, "messages_unsent")
            assert (await api.get(prediction["links"]["self"]))[0] == 200
            await owner.execute("update outbox set sent_at = now()")
            assert (await delete(api, prediction))[0] == 200


async def test_deletion_and_retry_do_not_lose_the_file(api, customers, owner, store_results, s3, aws):
    for _ in range(5):
        _, prediction = await api.post(customers)
        await store_results(prediction)

        async def retry(path=prediction["links"]["self"]):
            async with api.http.post(f"{path}/retry") as response:
                return response.status, await response.json(content_type=None)

        (deleted, receipt), (status, answer) = await asyncio.gather(delete(api, prediction), retry())
        assert deleted == 200
        key = f"uploads/acme/{prediction['upload']['upload_id']}.csv"
        if status == 202:
            assert receipt["rows"]["uploads"] == 0
            assert key in await keys(s3, aws)
        else:
            assert (status, answer["code"]) in {(410, "upload_gone"), (410, "prediction_deleted")}
            assert key not in await keys(s3, aws)


async def test_two_deletions_give_one_receipt(api, completed, owner):
    first, second = await asyncio.gather(delete(api, completed), delete(api, completed))
    assert first == second
    assert first[0] == 200
    assert await owner.fetchval("select count(*) from receipts") == 1
