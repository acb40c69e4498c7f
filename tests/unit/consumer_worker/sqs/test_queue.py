"""SqsQueue with a real client and a broker over a socket; only AWS's own errors are stubbed."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from consumer_worker.sqs.queue import (
    DEFAULT_REASON_ATTRIBUTE,
    Entry,
    Message,
    QueueRefused,
    QueueUnavailable,
    SqsQueue,
    client_config,
)

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["real"])

URL = "https://sqs.eu-central-1.amazonaws.com/111122223333/predictions"


@pytest_asyncio.fixture(loop_scope="function")
async def queue(client) -> SqsQueue:
    parked = (await client.create_queue(QueueName="predictions-dlq"))["QueueUrl"]
    url = (await client.create_queue(QueueName="predictions"))["QueueUrl"]
    return SqsQueue(client, url, dead_letter_url=parked)


async def receive(queue: SqsQueue, max_messages: int = 10) -> list[Message]:
    return await queue.receive(max_messages, wait_seconds=0, visibility_seconds=30)


async def test_message_arrives_with_its_attributes(broker, client, queue):
    await client.send_message(
        QueueUrl=queue._url,
        MessageBody="{}",
        MessageGroupId="tenant",
        MessageAttributes={
            "traceparent": {"DataType": "String", "StringValue": "00-1"},
            "blob": {"DataType": "Binary", "BinaryValue": b"\0"},
        },
    )
    (message,) = await receive(queue)
    assert message.body == "{}"
    assert message.attributes["MessageGroupId"] == "tenant"
    assert message.attributes["ApproximateReceiveCount"] == "1"
    assert int(message.attributes["SentTimestamp"]) > 1_700_000_000_000
    assert message.message_attributes == {"traceparent": "00-1"}
    assert await receive(queue) == []
    assert broker.queues["predictions"].stats.in_flight == 1


async def test_long_poll_waits_for_a_message(client, queue):
    poll = asyncio.create_task(queue.receive(1, wait_seconds=20, visibility_seconds=30))
    await asyncio.sleep(0.05)
    await client.send_message(QueueUrl=queue._url, MessageBody="late")
    assert [message.body for message in await poll] == ["late"]


async def test_messages_are_deleted_and_released_in_batches(broker, client, queue):
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(10)]
    await client.send_message_batch(QueueUrl=queue._url, Entries=entries)
    messages = await receive(queue)
    receipts = [message.receipt_handle for message in messages]
    assert await queue.delete(receipts[:6]) == [Entry.DONE] * 6
    assert await queue.change_visibility([(receipt, 0) for receipt in receipts[6:]]) == [Entry.DONE] * 4
    stats = broker.queues["predictions"].stats
    assert (stats.deleted, stats.visible, stats.in_flight) == (6, 4, 0)
    assert await queue.change_visibility([(receipts[0], 30)]) == [Entry.GONE]


@pytest.mark.parametrize(
    ("named", "attribute"), [({}, DEFAULT_REASON_ATTRIBUTE), ({"reason_attribute": "why"}, "why")]
)
async def test_parked_message_keeps_body_attributes_group_and_reason(client, queue, named, attribute):
    """Rule 14."""
    attributes = {f"a{n}": "x" for n in range(10)} | {attribute: "an older one"}
    message = Message("m", "r", "{}", {"MessageGroupId": "tenant"}, attributes)
    parking = SqsQueue(client, queue._url, dead_letter_url=queue._dead_letter_url, **named)
    await parking.park(message, "not JSON")
    (parked,) = await receive(SqsQueue(client, queue._dead_letter_url or ""))
    assert parked.body == "{}"
    assert parked.attributes["MessageGroupId"] == "tenant"
    assert parked.message_attributes[attribute] == "not JSON"
    assert len(parked.message_attributes) == 10  # as many as a message may have


async def test_park_is_refused_without_a_dead_letter_queue(client, queue):
    with pytest.raises(QueueRefused, match="no dead_letter_url"):
        await SqsQueue(client, queue._url).park(Message("m", "r", "{}"), "not JSON")


async def test_missing_queue_is_refused_by_name(client, broker):
    """Rule 4."""
    with pytest.raises(QueueRefused, match=r"ReceiveMessage on .*/nowhere: there is no such queue"):
        await receive(SqsQueue(client, f"{broker.address}/000000000000/nowhere"))


class FakeClient(SimpleNamespace):
    """A client whose every request ends the same way."""

    def __init__(self, end: Any) -> None:
        super().__init__(requests=[])

        async def act(**request: Any) -> Any:
            self.requests.append(request)
            if isinstance(end, BaseException):
                raise end
            return end

        self.receive_message = self.delete_message_batch = act
        self.change_message_visibility_batch = self.send_message = act


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "ReceiveMessage")


def over(end: Any) -> SqsQueue:
    return SqsQueue(cast("Any", FakeClient(end)), URL, dead_letter_url=URL)


DENIED = (
    "User: arn:aws:sts::111122223333:assumed-role/worker/i-1 is not authorized to perform: sqs:receivemessage"
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), "there is no such queue"),
        (client_error("QueueDoesNotExist"), "there is no such queue"),
        (
            client_error("AccessDenied", DENIED),
            r"arn:aws:sts::111122223333:assumed-role/worker/i-1 needs the permission sqs:ReceiveMessage",
        ),
        (
            client_error("AccessDeniedException"),
            "the role of this process needs the permission sqs:ReceiveMessage",
        ),
        (client_error("KMS.AccessDeniedException", "arn:aws:sts::1:assumed-role/w/i may not"), "kms:Decrypt"),
        (client_error("KmsDisabled"), "kms:Decrypt"),
        (client_error("InvalidClientTokenId"), "needs the permission"),
        (NoCredentialsError(), "no AWS credentials"),
    ],
)
async def test_refusal_names_queue_role_and_permission(error, text):
    """Rule 4."""
    with pytest.raises(QueueRefused, match=text) as caught:
        await receive(over(error))
    assert URL in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        client_error("RequestThrottled"),
        client_error("KMS.ThrottlingException"),
        client_error("KmsThrottled"),
        client_error("OverLimit"),
        client_error("ServiceUnavailable"),
        client_error("ExpiredToken"),
        EndpointConnectionError(endpoint_url=URL),
        aiohttp.ClientPayloadError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
@pytest.mark.parametrize(
    "request_of",
    [
        receive,
        lambda queue: queue.delete(["r"]),
        lambda queue: queue.change_visibility([("r", 1)]),
        lambda queue: queue.park(Message("m", "r", "{}"), "why"),
    ],
)
async def test_transient_errors_are_unavailable(error, request_of):
    """Rule 4."""
    with pytest.raises(QueueUnavailable):
        await request_of(over(error))


async def test_request_that_hangs_times_out():
    """Rule 4."""
    hangs = FakeClient(None)
    hangs.delete_message_batch = lambda **_: asyncio.sleep(60)
    with pytest.raises(QueueUnavailable, match="TimeoutError"):
        await SqsQueue(cast("Any", hangs), URL, request_timeout_seconds=0.01).delete(["r"])


def failed(code: str, *, sender_fault: bool) -> dict[str, Any]:
    return {"Failed": [{"Id": "0", "Code": code, "SenderFault": sender_fault}]}


@pytest.mark.parametrize(
    ("code", "sender_fault", "entry"),
    [
        ("ReceiptHandleIsInvalid", True, Entry.GONE),
        ("InvalidParameterValue", True, Entry.GONE),
        ("AWS.SimpleQueueService.MessageNotInflight", True, Entry.GONE),
        ("MessageNotInflight", True, Entry.GONE),
        ("InternalError", False, Entry.FAILED),
        ("SomethingElse", True, Entry.REFUSED),
    ],
)
async def test_visibility_change_has_a_result_per_entry(code, sender_fault, entry):
    """Rule 7."""
    queue = over(failed(code, sender_fault=sender_fault))
    assert await queue.change_visibility([("r", 30)]) == [entry]


@pytest.mark.parametrize(
    ("code", "sender_fault", "entry"),
    [
        ("ReceiptHandleIsInvalid", True, Entry.GONE),
        ("InternalError", False, Entry.FAILED),
        ("InvalidParameterValue", True, Entry.REFUSED),
    ],
)
async def test_delete_has_a_result_per_entry(code, sender_fault, entry):
    """Rule 12."""
    assert await over(failed(code, sender_fault=sender_fault)).delete(["r"]) == [entry]


async def test_entry_missing_from_the_response_has_failed():
    """Rule 12."""
    answer = {"Successful": [{"Id": "2"}], "Failed": []}
    assert await over(answer).delete(["a", "b", "c"]) == [Entry.FAILED, Entry.FAILED, Entry.DONE]


async def test_entry_id_is_the_position():
    """Rule 11."""
    client = FakeClient({})
    await SqsQueue(cast("Any", client), URL).delete(["m1#1", "m1#2"])
    entries = client.requests[0]["Entries"]
    assert entries == [{"Id": "0", "ReceiptHandle": "m1#1"}, {"Id": "1", "ReceiptHandle": "m1#2"}]


async def test_client_waits_longer_than_a_poll_and_never_retries():
    """Rule 3."""
    config = cast("Any", client_config(7))
    assert config.read_timeout > 20
    assert config.retries == {"total_max_attempts": 1}
    assert config.max_pool_connections == 7


async def test_broker_queues_are_fair(client, queue):
    for group, count in (("noisy", 8), ("quiet", 2)):
        for n in range(count):
            await client.send_message(QueueUrl=queue._url, MessageBody=str(n), MessageGroupId=group)
    received = [(await receive(queue, 1))[0].attributes["MessageGroupId"] for _ in range(6)]
    assert [len(list(run)) for _, run in itertools.groupby(received)] == [1, 1, 1, 1, 2]
