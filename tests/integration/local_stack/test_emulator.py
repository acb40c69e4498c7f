"""The emulator: production's settings, what survives a SIGKILL, and that lost queues are noticed."""

import json
import os
import signal

import aiohttp
import pytest

from deploy.local.emulator import Emulator
from deploy.local.provision import CREDENTIALS, REGION, Names, provision


@pytest.fixture
def create_client(aws_session):
    def create(service: str, emulator: Emulator):
        return aws_session.create_client(
            service,
            region_name=REGION,
            endpoint_url=emulator.endpoint_url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    return create


async def kill(emulator: Emulator) -> None:
    assert emulator.child.pid is not None
    os.kill(emulator.child.pid, signal.SIGKILL)
    assert await emulator.child.wait() == -signal.SIGKILL


async def test_clean_stop_keeps_messages_and_a_later_kill_does_not_bring_them_back(
    durable_emulator, create_client
):
    queue_url = (await provision(durable_emulator.endpoint_url)).queue_url
    async with create_client("sqs", durable_emulator) as sqs:
        await sqs.send_message(QueueUrl=queue_url, MessageBody="before the stop")
        await durable_emulator.stop()
        await durable_emulator.start()

        assert not (await provision(durable_emulator.endpoint_url)).queue_created
        received = await sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1)
        assert [message["Body"] for message in received["Messages"]] == ["before the stop"]
        await kill(durable_emulator)
        await durable_emulator.start()

        # An out-of-date queue in its place would hide that newer messages are lost.
        assert (await provision(durable_emulator.endpoint_url)).queue_created


async def test_killed_emulator_keeps_objects_in_the_region_of_their_bucket(durable_emulator, create_client):
    bucket = (await provision(durable_emulator.endpoint_url)).bucket
    async with create_client("s3", durable_emulator) as s3:
        await s3.put_object(Bucket=bucket, Key="results/acme/1/scores.csv", Body=b"a,b\n")
        await kill(durable_emulator)
        await durable_emulator.start()
        await provision(durable_emulator.endpoint_url)

        # Without the SDK, which would follow a redirect to a wrong region.
        link = await s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": "results/acme/1/scores.csv"}
        )
    async with aiohttp.ClientSession() as session, session.get(link) as answer:
        assert (answer.status, await answer.read()) == (200, b"a,b\n")


async def test_provisioning_twice_gives_the_same_parts_with_production_settings(emulator, create_client):
    names = Names("twice", "twice-dlq", "twice-files", "twice-events")
    first = await provision(emulator.endpoint_url, names)
    again = await provision(emulator.endpoint_url, names)

    assert (first.queue_created, again.queue_created) == (True, False)
    assert (first.queue_url, first.dlq_url, first.topic_arn) == (
        again.queue_url,
        again.dlq_url,
        again.topic_arn,
    )
    async with create_client("sqs", emulator) as sqs:
        queue = (await sqs.get_queue_attributes(QueueUrl=again.queue_url, AttributeNames=["All"]))[
            "Attributes"
        ]
        dlq = (await sqs.get_queue_attributes(QueueUrl=again.dlq_url, AttributeNames=["All"]))["Attributes"]
    assert queue["VisibilityTimeout"] == "45"
    assert queue["MessageRetentionPeriod"] == "345600"
    assert queue["ReceiveMessageWaitTimeSeconds"] == "20"
    redrive = json.loads(queue["RedrivePolicy"])
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (dlq["QueueArn"], 5)
    assert dlq["MessageRetentionPeriod"] == "1209600"
    async with create_client("s3", emulator) as s3:
        cors = await s3.get_bucket_cors(Bucket=names.bucket)
        lifecycle = await s3.get_bucket_lifecycle_configuration(Bucket=names.bucket)
        access = await s3.get_public_access_block(Bucket=names.bucket)
    assert "GET" in cors["CORSRules"][0]["AllowedMethods"]
    assert {rule["Filter"]["Prefix"] for rule in lifecycle["Rules"]} == {"uploads/", "results/"}
    assert all(rule["Status"] == "Enabled" and rule["Expiration"]["Days"] for rule in lifecycle["Rules"])
    assert set(access["PublicAccessBlockConfiguration"].values()) == {True}
