"""Calls that a good day does not make: each is made once, by the code that makes it, under its policy."""

import asyncio
import hashlib
import json
import sys
import uuid
from datetime import UTC, datetime

import aiohttp
import asyncpg
import pytest
from aiobotocore.config import AioConfig

from consumer_worker.errors import StorageUnavailable
from consumer_worker.objects import PART_BYTES, RETRY_SECONDS
from consumer_worker.objects import Objects as WorkerObjects
from consumer_worker.sqs.queue import Entry, SqsQueue, client_config
from deploy.checks.enforced.stack import USERS
from deploy.local.errors import LocalStackError
from deploy.local.process import Child
from deploy.local.provision import CREDENTIALS, REGION, Names
from deploy.local.sample import SAMPLE
from producer_api.objects import PART_BYTES as UPLOAD_PART_BYTES
from producer_api.objects import Objects as ProducerObjects
from retainwise_contracts.prediction_requested import UploadReference
from retainwise_contracts.results import FileDigest
from tests.e2e.test_prediction import Frontend

NAMES = Names()
WAIT_SECONDS = 60


async def wait_until_decided(stack, program, action, resource):
    """Wait until a program was allowed to make a call."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not any(
            (decision.action, decision.resource, decision.allowed) == (action, resource, True)
            for decision in stack.decided(program)
        ):
            await asyncio.sleep(0.1)


@pytest.fixture
def open_client(stack, aws_session):
    """A function that opens a client as a program, or as the operator."""

    def open_as(program, service, config=None):
        keys = stack.credentials.get(program, CREDENTIALS)
        return aws_session.create_client(
            service,
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{stack.ports.emulator}",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=config or AioConfig(signature_version="s3v4"),
        )

    return open_as


@pytest.fixture
async def worker_objects(open_client):
    async with open_client("worker", "s3") as s3:
        yield WorkerObjects(s3, NAMES.bucket)


@pytest.fixture
async def queue_urls(open_client):
    async with open_client("operator", "sqs") as sqs:
        yield (
            sqs,
            *[
                (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
                for name in (NAMES.queue, NAMES.dead_letter_queue)
            ],
        )


async def test_api_removes_the_parts_of_a_broken_upload(stack, http):
    async def half_a_file():
        yield SAMPLE.read_bytes().ljust(UPLOAD_PART_BYTES + 1, b"\n")
        raise ConnectionError("the sender is gone")

    headers = {"Authorization": f"Bearer {stack.issuer.mint('acme')}", "Content-Type": "text/csv"}
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await http.post(f"{stack.api_url}/v1/predictions", data=half_a_file(), headers=headers)
    async with asyncio.timeout(WAIT_SECONDS):
        while not any(decision.action == "s3:AbortMultipartUpload" for decision in stack.decided("producer")):
            await asyncio.sleep(0.1)


async def test_api_deletes_uploads_that_have_no_row(open_client):
    key = f"uploads/acme/{uuid.uuid4()}.csv"
    async with open_client("producer", "s3") as s3:
        objects = ProducerObjects(s3, NAMES.bucket)
        async with objects.create_object(key) as writer:
            await writer.write(b"id\n1\n")
            await writer.complete()
        await objects.delete_objects([key])
        assert [stored async for page in objects.list_objects(key) for stored in page] == []


async def test_worker_reads_an_upload_that_was_stored_before_versioning(
    worker_objects, open_client, tmp_path
):
    key, content = f"uploads/acme/{uuid.uuid4()}.csv", b"id"
    async with open_client("operator", "s3") as s3:
        await s3.put_object(Bucket=NAMES.bucket, Key=key, Body=content)
    upload = UploadReference(
        bucket=NAMES.bucket,
        key=key,
        version_id=None,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    await worker_objects.download(upload, tmp_path / "upload.csv")
    assert (tmp_path / "upload.csv").read_bytes() == content


async def test_worker_removes_the_parts_of_results_that_failed(
    stack, worker_objects, open_client, tmp_path, monkeypatch
):
    monkeypatch.setattr("consumer_worker.objects.RETRY_SECONDS", 0.0)
    assert RETRY_SECONDS > 0
    (tmp_path / "scores.csv").write_bytes(bytes(PART_BYTES))
    digest = FileDigest(name="scores.csv", size_bytes=PART_BYTES, sha256="0" * 64)

    async def fail(**_):
        raise ConnectionError("the network is gone")

    worker_objects._client.upload_part = fail  # the one step that cannot be provoked
    prefix = f"results/acme/{uuid.uuid4()}/1"
    with pytest.raises(StorageUnavailable):
        await worker_objects.store_results(tmp_path, [digest], prefix)
    await wait_until_decided(
        stack, "worker", "s3:AbortMultipartUpload", f"{stack.arns['bucket_arn']}/{prefix}/scores.csv"
    )


async def test_worker_deletes_results_that_nobody_names(worker_objects, open_client):
    key = f"results/acme/{uuid.uuid4()}/1/scores.csv"
    async with open_client("operator", "s3") as s3:
        await s3.put_object(Bucket=NAMES.bucket, Key=key, Body=b"x")
        await worker_objects.delete([key])
        listed = await s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=key)
    assert listed["KeyCount"] == 0


async def test_worker_changes_the_visibility_of_a_message(open_client, queue_urls):
    _, queue_url, _ = queue_urls
    async with open_client("worker", "sqs", client_config(1)) as sqs:
        changed = await SqsQueue(sqs, queue_url).change_visibility([("no receipt", 0)])
    assert changed == [Entry.GONE]


async def test_worker_parks_what_it_cannot_read_and_settles_what_was_parked(stack, http, queue_urls):
    sqs, queue_url, dlq_url = queue_urls
    frontend = Frontend(http, stack, "acme")
    _, location, accepted = await frontend.upload(SAMPLE.read_bytes())
    assert (await frontend.wait_for(location))["status"] == "COMPLETED"
    connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{stack.ports.postgres}/retainwise")
    try:
        body = await connection.fetchval(
            "select body from outbox where prediction_id = $1 and destination = 'predictions'",
            uuid.UUID(accepted["prediction_id"]),
        )
    finally:
        await connection.close()
    later = json.loads(body) | {
        "id": str(uuid.uuid4()),
        "type": "retainwise.prediction.requested.v9",
        "time": datetime.now(UTC).isoformat(),
    }
    await sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(later), MessageGroupId="acme")
    await wait_until_decided(stack, "worker", "sqs:SendMessage", stack.arns["dead_letter_queue_arn"])
    await sqs.send_message(QueueUrl=dlq_url, MessageBody=body)
    await wait_until_decided(stack, "worker", "sqs:DeleteMessage", stack.arns["dead_letter_queue_arn"])


async def check(service):
    """Run `check --permissions` of a service, as the deployment's gate does; return its exit code and log."""
    child = Child(
        "check",
        [sys.executable, "-P", "-m", service.module, "check", "--permissions"],
        env=service.env,
        log=service.child.log,
    )
    await child.start()
    return await child.wait(), service.child.log.read_text()


async def test_check_passes_under_the_own_policy(stack):
    for service in await stack.build_services("own", USERS):
        code, log = await check(service)
        assert code == 0, log


async def test_check_names_each_permission_that_is_missing_or_too_much(stack):
    changes = {
        '"s3:AbortMultipartUpload", ': "",
        '"sns:Publish"': '"sns:GetTopicAttributes"',
        '"s3:GetObject", "s3:GetObjectVersion"': '"s3:GetObject"',
        '"sqs:GetQueueAttributes", "sqs:SendMessage"': '"sqs:GetQueueAttributes", "sqs:ReceiveMessage"',
    }
    producer, worker = await stack.build_services("changed", USERS, changes)
    code, log = await check(producer)
    assert code == 1
    for complaint in (
        "sqs:SendMessage on http",
        "sns:Publish on arn",
        "s3:AbortMultipartUpload on retainwise-files/uploads/* is missing",
        "/retainwise-predictions is granted and must not be",
    ):
        assert complaint in log
    code, log = await check(worker)
    assert code == 1
    assert "s3:GetObjectVersion on retainwise-files/uploads/* is missing" in log
    assert "s3:AbortMultipartUpload on retainwise-files/results/* is missing" in log


async def test_service_with_the_other_role_refuses_to_start_and_names_what_it_lacks(stack):
    swapped = {"producer_api": "worker", "consumer_worker": "producer"}
    producer, worker = await stack.build_services("swapped", swapped)
    with pytest.raises(LocalStackError, match=r"needs sqs:GetQueueAttributes|needs sns:GetTopicAttributes"):
        await producer.start()
    with pytest.raises(LocalStackError, match=r"needs sqs:GetQueueAttributes on \S+-dlq"):
        await worker.start()


async def test_nothing_that_a_service_calls_is_denied(stack, http):
    """Last in this file: what was denied is seen here, whoever was in need of it."""
    frontend = Frontend(http, stack, "acme")
    _, location, _ = await frontend.upload(SAMPLE.read_bytes())
    await frontend.wait_for(location)
    denied = {
        (program, decision.action, decision.resource)
        for program in ("producer", "worker")
        for decision in stack.decided(program)
        if not decision.allowed
    }
    assert denied == set()
