"""Looks at the messages in a live queue without consuming any. Needs the extra `[aws]`."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import boto3

from retainwise_contracts.codec import decode
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.errors import MalformedMessage, UnsupportedVersion

HIDDEN_SECONDS = 180
"""How long a message is hidden while others are looked at, so that no receive returns it twice. It is made
visible again at the end; if the command dies before, after this time."""

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
class Contents:
    """What a queue holds: the messages that were looked at, and how many others had them in hand."""

    messages: tuple[Peeked, ...]
    unseen: int


@dataclass
class Answer:
    """Whether this release can read the messages of a queue, with a line for each kind of message."""

    queue: str
    readable: bool = True
    unseen: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{self.queue}: {self.counts.total()} messages"]
        lines += [f"  {count} of {kind}" for kind, count in sorted(self.counts.items())]
        if self.unseen:
            lines.append(f"  {self.unseen} in the hands of a worker, not looked at")
        return "\n".join(lines)


def peek(queue_url: str, *, limit: int, patience_seconds: float = 0) -> Contents:
    """Return the messages of a queue, about `limit` at most, and leave them there.

    SQS counts it as a receive: a message on its last receive would be dead-lettered by the next one.

    Args:
        queue_url: the queue.
        limit: no more are received once so many are held.
        patience_seconds: how long to wait for messages that a worker has received and will release.

    Raises:
        botocore.exceptions.ClientError: the queue cannot be read.
    """
    sqs = boto3.client("sqs")
    held: dict[str, Any] = {}
    give_up = time.monotonic() + patience_seconds
    empty = 0
    try:
        while len(held) < limit:
            batch = _receive(sqs, queue_url)
            held |= {message["MessageId"]: message for message in batch}
            empty = 0 if batch else empty + 1
            unseen = max(0, _count(sqs, queue_url) - len(held))
            if empty >= EMPTY_RECEIVES and (unseen == 0 or time.monotonic() > give_up):
                break
        return Contents(
            tuple(Peeked(message["Body"], _reason(message)) for message in held.values()),
            unseen=max(0, _count(sqs, queue_url) - len(held)),
        )
    finally:
        _release(sqs, queue_url, [message["ReceiptHandle"] for message in held.values()])


def judge(queue: str, contents: Contents) -> Answer:
    """Say whether this release reads the messages that were looked at.

    One that was parked as malformed, and still is, does not count against it: no release could read it.
    """
    answer = Answer(queue, unseen=contents.unseen)
    for message in contents.messages:
        try:
            answer.counts[decode(message.body).type] += 1
        except UnsupportedVersion as error:
            answer.counts[f"unsupported {error.message_type}"] += 1
            answer.readable = False
        except MalformedMessage:
            if message.dead_letter_reason.startswith(MalformedMessage.__name__):
                answer.counts["malformed, and parked as such"] += 1
            else:
                answer.counts["malformed"] += 1
                answer.readable = False
    return answer


def _receive(sqs: Any, queue_url: str) -> list[Any]:  # noqa: ANN401 boto3 has no types of its own
    received = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH,
        VisibilityTimeout=HIDDEN_SECONDS,
        WaitTimeSeconds=WAIT_SECONDS,
        MessageAttributeNames=[MessageAttribute.DEAD_LETTER_REASON],
    )
    return list(received.get("Messages", ()))


def _count(sqs: Any, queue_url: str) -> int:  # noqa: ANN401 as above
    """Return about how many messages a queue holds, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


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
