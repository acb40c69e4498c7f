"""The relay sends what was committed: in batches, from several replicas, past refusals, and after outages."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aiobotocore.config import AioConfig
from prometheus_client import CollectorRegistry

from producer_api.database import Database, open_pools
from producer_api.outbox.relay import (
    RETENTION_SECONDS,
    BatchRefused,
    DestinationUnavailable,
    OutboxRelay,
    QueueSender,
    TopicSender,
)
from producer_api.outbox.store import OutboxStore
from producer_api.telemetry import ApiMetrics

REQUESTED = "retainwise.prediction.requested.v1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def store(database):
    """The outbox as the producer's role sees it."""
    async with open_pools(database.producer) as pools:
        yield OutboxStore(Database(pools))


@pytest.fixture
def create_relay(store, sqs, aws):
    """A function that makes a relay; without a sender it sends to the test's queue."""

    def create(sender=None):
        sender = sender or QueueSender(sqs, aws.queue_url)
        return OutboxRelay(store, sender, ApiMetrics(CollectorRegistry()), sweep_seconds=0.05)

    return create


async def create_messages(owner, number, destination="predictions", tenant="acme"):
    """Insert predictions and their messages, as create_prediction would."""
    upload_id = await owner.fetchval(
        """
        insert into uploads (upload_id, tenant_id, bucket, object_key, size_bytes, sha256)
        values (gen_random_uuid(), $1, 'b', gen_random_uuid(), 1, repeat('0', 64))
        returning upload_id
        """,
        tenant,
    )
    await owner.execute(
        """
        with made as (
            insert into predictions (prediction_id, tenant_id, upload_id, model_name, model_version)
            select gen_random_uuid(), $1, $2, 'm', '1.0.0' from generate_series(1, $3)
            returning prediction_id
        )
        insert into outbox
            (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
        select $4, gen_random_uuid(), $5, prediction_id, $1, $6, prediction_id::text from made
        """,
        tenant,
        upload_id,
        number,
        destination,
        REQUESTED,
        TRACE,
    )


async def receive_all(sqs, queue_url, number):
    bodies: list[str] = []
    while len(bodies) < number:
        answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        bodies += [message["Body"] for message in answer.get("Messages", ())]
        if not answer.get("Messages"):
            break
    return bodies


async def test_several_replicas_send_each_message_once(create_relay, owner, sqs, aws):
    await create_messages(owner, 45)
    await asyncio.gather(*(create_relay().send_pending() for _ in range(3)))
    assert await owner.fetchval("select count(*) from outbox where sent_at is null or attempts <> 1") == 0
    assert await owner.fetchval("select count(*) from predictions where sqs_queued_at is not null") == 45
    bodies = await receive_all(sqs, aws.queue_url, 46)
    assert len(bodies) == 45
    assert set(bodies) == {str(row[0]) for row in await owner.fetch("select prediction_id from predictions")}


class PartlyRefusing:
    """An SQS client that accepts all entries but some: no emulator can be made to answer like this."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.accepted: list[str] = []

    async def send_message_batch(self, *, QueueUrl, Entries):  # noqa: N803 boto's names
        accepted = [entry for entry in Entries if entry["MessageBody"] not in self.refused]
        self.accepted += [entry["MessageBody"] for entry in accepted]
        return {
            "Successful": [{"Id": entry["Id"], "MessageId": f"id-{entry['Id']}"} for entry in accepted],
            "Failed": [
                {"Id": e["Id"], "Code": "InternalError", "Message": "again", "SenderFault": False}
                for e in Entries
                if e not in accepted
            ],
        }


async def test_refused_message_does_not_block_others(create_relay, owner):
    await create_messages(owner, 12)
    oldest = await owner.fetch("select body from outbox order by outbox_id limit 2")
    refused = {row["body"] for row in oldest}
    client: Any = PartlyRefusing(refused)
    relay = create_relay(QueueSender(client, "queue"))
    for _ in range(2):
        await relay.send_pending()
    assert len(client.accepted) == 10
    with pytest.raises(BatchRefused, match="InternalError: again"):
        await relay.send_pending()
    rows = await owner.fetch("select * from outbox where sent_at is null")
    assert {row["body"] for row in rows} == refused
    assert {row["last_error"] for row in rows} == {"InternalError: again"}
    assert await owner.fetchval("select count(*) from predictions where sqs_message_id is not null") == 10

    await create_messages(owner, 10)  # newer ones go first: a batch full of old refusals would block them
    client.accepted.clear()
    with pytest.raises(BatchRefused):
        await relay.send_pending()
    assert len(client.accepted) == 10
    client.refused = set()
    await relay.send_pending()
    assert await owner.fetchval("select count(*) from outbox where sent_at is null") == 0
    assert await owner.fetchval("select count(*) from outbox where last_error is not null") == 0


@asynccontextmanager
async def running(relay):
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_relay_waits_for_an_outage_to_end(create_relay, owner, aws, unused_port, aws_session, until):
    await create_messages(owner, 3)
    dead = f"http://127.0.0.1:{unused_port()}"
    once = AioConfig(retries={"total_max_attempts": 1})
    async with aws_session.create_client("sqs", endpoint_url=dead, config=once) as unreachable:
        relay = create_relay(QueueSender(unreachable, aws.queue_url))
        with pytest.raises(DestinationUnavailable, match="Could not connect"):
            await relay.send_pending()
        rows = await owner.fetch("select * from outbox")
        assert [row["attempts"] for row in rows] == [1, 1, 1]
        assert all("Could not connect" in row["last_error"] for row in rows)
        assert all(row["sent_at"] is None for row in rows)
        assert await owner.fetchval("select count(*) from predictions where sqs_queued_at is not null") == 0

        async def reported() -> bool:
            unsent = relay.metrics.outbox_unsent.labels("predictions")._value.get()
            return relay.failures > 1 and unsent == 3 and "Could not connect" in relay.problem

        async with running(relay):
            await until(reported)


async def test_relay_reports_an_unavailable_database_without_a_traceback(create_relay, store, until):
    await store._database.pools.background.close()
    relay = create_relay()

    async def reported() -> bool:
        return bool(relay.failures > 1)

    with structlog.testing.capture_logs() as lines:
        async with running(relay):
            await until(reported)
    assert {(line["event"], line["log_level"]) for line in lines} == {("outbox_sweep_failed", "warning")}
    assert relay.problem == "the database cannot be reached"


async def test_relay_survives_a_fault_and_wakes_on_a_nudge(create_relay, store, owner, monkeypatch, until):
    relay = create_relay()
    relay.sweep_seconds = 0.01
    faults = iter([RuntimeError("a bug"), OSError("the network")])
    send = relay._send_batch

    async def faulty():
        for fault in faults:
            raise fault
        return await send()

    monkeypatch.setattr(relay, "_send_batch", faulty)
    await create_messages(owner, 1)

    async def sent() -> bool:
        return bool(await owner.fetchval("select count(*) = 0 from outbox where sent_at is null"))

    async with running(relay):
        await until(sent)
        relay.sweep_seconds = 3_600
        await asyncio.sleep(0.1)  # the current sweep is the last one by the clock
        await create_messages(owner, 1)
        relay.nudge()
        await until(sent)


async def test_relay_sends_events_to_the_topic(create_relay, owner, aws, sqs, aws_session):
    async with aws_session.create_client("sns", endpoint_url=aws.endpoint_url) as sns:
        attributes = await sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=["QueueArn"])
        await sns.subscribe(
            TopicArn=aws.topic_arn,
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "false"},
        )
        await create_messages(owner, 2, destination="events")
        await create_relay(TopicSender(sns, aws.topic_arn)).send_pending()
    received = [json.loads(body) for body in await receive_all(sqs, aws.queue_url, 2)]
    assert {event["Message"] for event in received} == {
        row["body"] for row in await owner.fetch("select body from outbox")
    }
    assert received[0]["MessageAttributes"]["type"]["Value"] == REQUESTED
    assert await owner.fetchval("select count(*) from outbox where sent_at is null") == 0
    assert await owner.fetchval("select count(*) from predictions where sqs_queued_at is not null") == 0


async def test_purge_deletes_old_messages_of_finished_predictions(store, owner):
    await create_messages(owner, 4)
    await owner.execute("update outbox set sent_at = now() - interval '8 days' where outbox_id > 2")
    await owner.execute("update outbox set sent_at = now() - interval '6 days' where outbox_id = 2")
    await owner.execute(
        """
        update predictions set status = 'EXPIRED', finished_at = now()
        where prediction_id in (select prediction_id from outbox where outbox_id <> 3)
        """
    )
    assert await store.purge_messages(sent_seconds_ago=RETENTION_SECONDS, at_most=10) == 1
    assert [row[0] for row in await owner.fetch("select outbox_id from outbox order by 1")] == [1, 2, 3]


async def test_paused_relay_keeps_messages_and_reports_it(start_api, customers, owner, sqs, aws, until):
    async with start_api(enable_sqs="false") as api:
        status, _ = await api.post(customers)
        assert status == 202
        status, health = await api.get(f"{api.admin_url}/readyz")
        assert (status, health["state"]) == (200, "degraded")
        assert {"name": "outbox", "state": "degraded", "detail": "sending is paused by ENABLE_SQS"} in health[
            "checks"
        ]

        async def measured() -> bool:
            waiting = api.registry.get_sample_value(
                "retainwise_api_outbox_unsent_messages", {"destination": "predictions"}
            )
            return bool(waiting)

        await until(measured)
    assert await owner.fetchval("select count(*) from outbox where sent_at is null and attempts = 0") == 1
    async with start_api() as api:
        assert len(await receive_all(sqs, aws.queue_url, 1)) == 1
        status, health = await api.get("/readyz")
        assert (status, health["state"]) == (200, "ok")
        status, health = await api.get("/livez")
        assert (status, health["state"]) == (200, "ok")
