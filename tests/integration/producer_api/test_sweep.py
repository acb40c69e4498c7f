"""Objects without a row are deleted once they are old; nothing else is."""

import uuid

import pytest

from producer_api.database import DATABASE
from producer_api.objects import OBJECTS
from producer_api.telemetry import METRICS
from producer_api.uploads.store import UploadStore
from producer_api.uploads.sweep import OrphanSweep


@pytest.fixture
def create_sweep(api):
    """A function that makes a sweep for objects of at least this age."""

    def create(age_seconds):
        return OrphanSweep(
            UploadStore(api.app[DATABASE]), api.app[OBJECTS], api.app[METRICS], age_seconds=age_seconds
        )

    return create


async def list_keys(s3, aws):
    return {found["Key"] for found in (await s3.list_objects_v2(Bucket=aws.bucket)).get("Contents", ())}


async def test_sweep_deletes_only_old_uploads_without_a_row(api, create_sweep, customers, s3, aws):
    assert (await api.post(customers))[0] == 202
    (stored,) = await list_keys(s3, aws)
    kept = {stored, "uploads/acme/notes.txt", "results/acme/x/1/scores.csv", f"other/{uuid.uuid4()}.csv"}
    orphans = {f"uploads/acme/{uuid.uuid4()}.csv" for _ in range(3)}
    for key in (kept | orphans) - {stored}:
        await s3.put_object(Bucket=aws.bucket, Key=key, Body=b"x")
    begun = await s3.create_multipart_upload(Bucket=aws.bucket, Key=f"uploads/acme/{uuid.uuid4()}.csv")
    await s3.upload_part(
        Bucket=aws.bucket, Key=begun["Key"], UploadId=begun["UploadId"], PartNumber=1, Body=b"x"
    )

    assert await create_sweep(age_seconds=3_600).sweep() == 0
    assert await list_keys(s3, aws) == kept | orphans

    assert await create_sweep(age_seconds=-3_600).sweep() == 4
    assert await list_keys(s3, aws) == kept
    assert not (await s3.list_multipart_uploads(Bucket=aws.bucket)).get("Uploads")
    deleted = "retainwise_api_orphan_uploads_deleted_total"
    assert api.registry.get_sample_value(deleted, {"kind": "object"}) == 3
    assert api.registry.get_sample_value(deleted, {"kind": "unfinished"}) == 1


async def test_one_replica_sweeps_at_a_time(api, create_sweep, s3, aws, owner):
    key = f"uploads/acme/{uuid.uuid4()}.csv"
    await s3.put_object(Bucket=aws.bucket, Key=key, Body=b"x")
    async with UploadStore(api.app[DATABASE]).lock_sweep() as locked:
        assert locked
        assert await create_sweep(age_seconds=-3_600).sweep() == 0
    assert await create_sweep(age_seconds=-3_600).sweep() == 1
