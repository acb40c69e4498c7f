"""`/readyz` and `/livez` report what is unavailable: each thing the API needs is removed in turn."""

from producer_api.database import DATABASE
from producer_api.http.auth import VERIFIER
from producer_api.http.key_set import KeysUnavailable
from producer_api.outbox.relay import OUTBOX


async def read_health(api, path="/readyz"):
    status, health = await api.get(f"{api.admin_url}{path}")
    assert await api.get(path) == (status, {"state": health["state"]})  # the public gets a word
    return status, {check["name"]: check["state"] for check in health["checks"] if check["state"] != "ok"}


async def test_readyz_names_each_missing_resource(api, customers, aws, s3, sqs, until, monkeypatch):
    assert await read_health(api) == (200, {})

    await sqs.delete_queue(QueueUrl=aws.queue_url)
    assert (await api.post(customers))[0] == 202
    degraded = {"outbox": "degraded"}

    async def noticed():
        return await read_health(api) == (200, degraded)

    await until(noticed)

    for stored in (await s3.list_object_versions(Bucket=aws.bucket))["Versions"]:
        await s3.delete_object(Bucket=aws.bucket, Key=stored["Key"], VersionId=stored["VersionId"])
    await s3.delete_bucket(Bucket=aws.bucket)
    degraded["storage"] = "degraded"
    await until(noticed)

    async def unreachable():
        raise KeysUnavailable("the issuer is unavailable")

    monkeypatch.setattr(api.app[VERIFIER], "_fetch_keys", unreachable)
    await api.app[VERIFIER]._try_refresh()
    degraded["token_keys"] = "degraded"
    assert await read_health(api) == (200, degraded)
    assert await read_health(api, "/livez") == (200, {})

    await api.app[DATABASE].pools.probe.close()

    async def database_failed():
        return await read_health(api) == (503, degraded | {"database": "failed"})

    await until(database_failed)

    await api.app[OUTBOX].stop()
    assert await read_health(api, "/livez") == (503, {"outbox": "failed"})
