"""`/readyz` names what is unavailable: each thing the worker needs is removed in turn."""

import asyncio

import aiohttp
import asyncpg
import pytest

from tests.integration.consumer_worker.conftest import customers


@pytest.fixture
async def worker_url(start_worker, unused_port, proxy):
    port = unused_port()
    await start_worker(HEALTH_PORT=str(port), AWS_ENDPOINT_URL=proxy.url)
    url = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return url
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def read_health(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        health = await answer.json()
        return answer.status, {check["name"] for check in health["checks"] if check["state"] == "failed"}


async def test_readyz_names_each_missing_part(backend, worker_url, proxy, database, postgres_server):
    assert await read_health(f"{worker_url}/livez") == (200, set())
    assert await read_health(f"{worker_url}/readyz") == (200, set())

    refused = proxy.add("GetQueueAttributes", "refuse", times=1_000)
    assert await read_health(f"{worker_url}/readyz") == (503, {"queue"})
    proxy.faults.remove(refused)
    assert await read_health(f"{worker_url}/readyz") == (200, set())

    await backend.s3.delete_bucket(Bucket=backend.aws.bucket)
    assert await read_health(f"{worker_url}/readyz") == (503, {"bucket"})

    name = database.worker.rpartition("/")[2]
    administrator = await asyncpg.connect(postgres_server.dsn())
    await administrator.execute(f"alter database {name} allow_connections false")
    await administrator.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = $1 and usename = 'consumer_worker'",
        name,
    )
    assert await read_health(f"{worker_url}/readyz") == (503, {"bucket", "database"})
    assert await read_health(f"{worker_url}/livez") == (200, set())
    await administrator.execute(f"alter database {name} allow_connections true")
    await administrator.close()
    assert await read_health(f"{worker_url}/readyz") == (503, {"bucket"})


async def test_worker_exits_and_names_the_queue_when_it_is_deleted(backend, start_worker, tmp_path):
    worker = await start_worker()
    prediction_id = await backend.accept(customers(3))
    await backend.wait_for(prediction_id)
    await backend.sqs.delete_queue(QueueUrl=backend.aws.queue_url)
    assert await asyncio.wait_for(worker.wait(), 40) == 1
    last = (tmp_path / "worker-0.log").read_text().splitlines()[-1]
    assert '"event":"worker_failed"' in last
    assert f" on {backend.aws.queue_url}: there is no such queue" in last


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "DATABASE_URL",
            "postgresql://consumer_worker@127.0.0.1:9/retainwise",
            "the database at 127.0.0.1:9/retainwise cannot be reached",
        ),
        (
            "DATABASE_URL",
            "postgresql://127.0.0.1/x?sslmode=bogus",
            "the database at 127.0.0.1/x cannot be used: `sslmode` parameter must be",
        ),
        ("PREDICTIONS_QUEUE_URL", "{endpoint}/000000000000/unknown", "sqs:GetQueueAttributes on"),
        ("PREDICTIONS_DLQ_URL", "{queue}", "does not redrive to"),
        (
            "SCRATCH_DIRECTORY",
            "/nowhere",
            "SCRATCH_DIRECTORY: cannot write to /nowhere: No such file",
        ),
        ("BUCKET_NAME", "no-such-bucket", "s3:ListBucket on no-such-bucket"),
    ],
)
async def test_worker_refuses_to_start_in_one_line_when_a_part_is_missing(
    aws, start_worker, tmp_path, name, value, reason
):
    worker = await start_worker(**{name: value.format(endpoint=aws.endpoint_url, queue=aws.queue_url)})
    assert await asyncio.wait_for(worker.wait(), 40) == 1
    last = (tmp_path / "worker-0.log").read_text().splitlines()[-1]
    assert '"event":"startup_refused"' in last
    assert reason in last
