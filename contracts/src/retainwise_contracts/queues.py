"""Looks at the messages in a live queue without consuming any. Needs the extra `[aws]`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

from retainwise_contracts.codec import decode
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.errors import MalformedMessage, UnsupportedVersion

HIDDEN_SECONDS = 30
"""How long a message is hidden while it is looked at, so that no receive returns it twice. It is made visible
again at the end; if the command dies before, after this time."""

EMPTY_RECEIVES = 3
"""So many empty receives in a row end it: SQS asks only some of its servers each time."""

WAIT_SECONDS = 1
BATCH = 10
"""SQS returns and changes at most this many messages per request."""


@dataclass(frozen=True)
class Peeked:
    """A message as it lies in a queue."""

    body: str
    dead_letter_reason: str
    """Why a worker parked it; empty if none did."""


@dataclass(frozen=True)
class Answer:
    """Whether this release can read the messages of a queue."""

    readable: bool
    text: str


def peek(queue_url: str, *, limit: int) -> tuple[Peeked, ...]:
    """Return the messages that are visible now, about `limit` at most, and leave them in the queue.

    SQS counts it as a receive: a message on its last receive would be dead-lettered by the next one.

    Raises:
        botocore.exceptions.ClientError: the queue cannot be read.
    """
    sqs = boto3.client("sqs")
    held: dict[str, Any] = {}
    try:
        for batch in _receive(sqs, queue_url):
            held |= {message["MessageId"]: message for message in batch}
            if len(held) >= limit:
                break
    finally:
        _release(sqs, queue_url, [message["ReceiptHandle"] for message in held.values()])
    return tuple(Peeked(message["Body"], _reason(message)) for message in held.values())


def judge(name: str, messages: tuple[Peeked, ...]) -> Answer:
    """Say whether this release reads the messages.

    One that was parked as malformed, and still is, does not count against it: no release could read it.
    """
    counts: Counter[str] = Counter()
    readable = True
    for message in messages:
        try:
            counts[decode(message.body).type] += 1
        except UnsupportedVersion as error:
            counts[f"unsupported: {error.message_type}"] += 1
            readable = False
        except MalformedMessage:
            if message.dead_letter_reason.startswith(MalformedMessage.__name__):
                counts["malformed, and parked as such"] += 1
            else:
                counts["malformed"] += 1
                readable = False
    lines = [f"  {count} of {kind}" for kind, count in sorted(counts.items())]
    return Answer(readable, "\n".join((f"{name}: {len(messages)} messages", *lines)))


def _receive(sqs: Any, queue_url: str) -> Iterator[list[Any]]:  # noqa: ANN401 boto3 has no types of its own
    empty = 0
    while empty < EMPTY_RECEIVES:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=[MessageAttribute.DEAD_LETTER_REASON],
        ).get("Messages", [])
        empty = 0 if messages else empty + 1
        yield messages


def _release(sqs: Any, queue_url: str, receipts: list[str]) -> None:  # noqa: ANN401 as above
    for start in range(0, len(receipts), BATCH):
        sqs.change_message_visibility_batch(
            QueueUrl=queue_url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + BATCH])
            ],
        )


def _reason(message: Any) -> str:  # noqa: ANN401 as above
    attribute = message.get("MessageAttributes", {}).get(MessageAttribute.DEAD_LETTER_REASON, {})
    return str(attribute.get("StringValue", ""))
