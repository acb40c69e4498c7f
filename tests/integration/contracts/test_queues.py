"""`can-i-deploy` against a real queue: it tells what it can read, and leaves every message where it was."""

import asyncio

import boto3
import pytest

from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.command import main
from retainwise_contracts.examples import load_example
from retainwise_contracts.queues import BATCH, judge, peek

REQUESTED = "retainwise.prediction.requested.v1"
FUTURE = load_example(REQUESTED).replace("requested.v1", "requested.v2")


@pytest.fixture
def sqs(aws):
    return boto3.client("sqs")


@pytest.fixture
def can_deploy(aws, capsys):
    """Run the command; returns its exit code and what it printed."""

    async def run(**options):
        arguments = ["can-i-deploy", "--queue-url", aws.queue_url, "--dead-letter-url", aws.dlq_url]
        arguments += [f"--{name}={value}" for name, value in options.items()]
        code = await asyncio.to_thread(main, arguments)
        return code, capsys.readouterr().out

    return run


def put(sqs, queue_url, body, reason=None):
    attribute = {"deadletterreason": {"DataType": "String", "StringValue": reason}} if reason else {}
    sqs.send_message(QueueUrl=queue_url, MessageBody=body, MessageAttributes=attribute)


def count_visible(sqs, queue_url):
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
    return int(attributes["ApproximateNumberOfMessages"])


async def test_release_that_reads_all_may_be_deployed(aws, sqs, can_deploy):
    for message_type in MESSAGES:
        put(sqs, aws.queue_url, load_example(message_type))
    put(sqs, aws.dlq_url, "no json", "MalformedMessage: the body is not JSON")

    code, printed = await can_deploy()

    assert code == 0, printed
    assert "  1 of malformed, and parked as such" in printed
    assert "yes: " in printed
    assert (count_visible(sqs, aws.queue_url), count_visible(sqs, aws.dlq_url)) == (len(MESSAGES), 1)


@pytest.mark.parametrize(("body", "kind"), [(FUTURE, f"unsupported {REQUESTED[:-1]}2"), ("{}", "malformed")])
async def test_release_that_cannot_read_a_message_may_not_be_deployed(aws, sqs, can_deploy, body, kind):
    put(sqs, aws.queue_url, body)
    code, printed = await can_deploy()
    assert (code, printed.splitlines()[1]) == (1, f"  1 of {kind}")
    assert count_visible(sqs, aws.queue_url) == 1


async def test_answer_is_unknown_while_a_worker_holds_a_dead_letter(aws, sqs, can_deploy):
    put(sqs, aws.dlq_url, FUTURE)
    (held,) = sqs.receive_message(QueueUrl=aws.dlq_url)["Messages"]
    code, printed = await can_deploy(patience=0)
    assert code == 2
    assert "1 in the hands of a worker" in printed

    waiting = asyncio.create_task(can_deploy(patience=60))
    sqs.change_message_visibility(
        QueueUrl=aws.dlq_url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=1
    )
    assert (await waiting)[0] == 1


async def test_peek_stops_at_its_limit_and_hides_nothing(aws, sqs):
    for _ in range(2 * BATCH + 1):
        put(sqs, aws.queue_url, FUTURE)
    contents = await asyncio.to_thread(peek, aws.queue_url, limit=BATCH)
    assert len(contents.messages) == BATCH
    assert contents.unseen == BATCH + 1
    assert not judge("queue", contents).readable
    assert count_visible(sqs, aws.queue_url) == 2 * BATCH + 1
