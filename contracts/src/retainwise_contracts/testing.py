"""For the tests of programs that send or receive messages: a factory, and a queue and a topic in memory.

The queue and the topic take what SQS and SNS take, and check it as the services on the other side would. The
pytest plugin (`pytest_plugin`) has them as fixtures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from retainwise_contracts.codec import MESSAGES, Message, decode, encode
from retainwise_contracts.envelope import Envelope, MessageAttribute
from retainwise_contracts.errors import ContractError, UnsupportedVersion
from retainwise_contracts.examples import load_example

Attributes = Mapping[str, Mapping[str, str]]
"""As boto3 has them: `{"type": {"DataType": "String", "StringValue": "…"}}`."""


def create_message(message_type: type[Message] | str, **changes: object) -> Envelope[Message]:
    """Return the example of a message type with a new id, and some fields of its data changed.

    Args:
        message_type: its class or the text of its type.
        changes: values by the path of a field, with `__` for a dot: `rows__scored=5`.

    Raises:
        ContractError: the changed message breaks the contract.
        KeyError: there is no such type or field.
    """
    name = message_type if isinstance(message_type, str) else message_type.TYPE
    content = json.loads(load_example(MESSAGES[name].TYPE))
    content["id"] = str(uuid4())
    for path, value in changes.items():
        *parents, last = path.split("__")
        holder = content["data"]
        for parent in parents:
            holder = holder[parent]
        if last not in holder:
            raise KeyError(path)
        holder[last] = value
    content["subject"] = str(content["data"]["prediction_id"])
    content["tenantid"] = content["data"]["tenant_id"]
    return decode(json.dumps(content, default=str))


def message_attributes(message: Envelope[Message]) -> Attributes:
    """Return the message attributes that are sent with a message."""
    values = {
        MessageAttribute.TYPE: message.type,
        MessageAttribute.TENANT_ID: message.tenantid,
        MessageAttribute.TRACEPARENT: message.traceparent,
    }
    return {
        str(name): {"DataType": "String", "StringValue": value} for name, value in values.items() if value
    }


@dataclass
class FakeQueue:
    """An SQS queue in memory. It takes only what a strict writer writes, and checks how a reader settles it.

    `dead_letters` is where `park` puts messages.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    _received: dict[str, dict[str, Any]] = field(default_factory=dict)

    def send_message(self, *, MessageBody: str, MessageAttributes: Attributes, **_: object) -> None:  # noqa: N803 as boto3 has it
        """Take a message from the program under test.

        Raises:
            AssertionError: it breaks the contract; the text says how.
        """
        check_sent(MessageBody, MessageAttributes)
        self.put(MessageBody, MessageAttributes)

    def put(self, body: str, attributes: Attributes | None = None) -> None:
        """Put a message into the queue, whatever it is: to test what a reader does with it."""
        message = {
            "MessageId": str(uuid4()),
            "ReceiptHandle": str(uuid4()),
            "Body": body,
            "MessageAttributes": dict(attributes or {}),
        }
        self.messages.append(message)

    def receive_message(self, *, MaxNumberOfMessages: int = 1, **_: object) -> dict[str, Any]:  # noqa: N803 as boto3 has it
        """Deliver up to so many messages; each is hidden until it is deleted, parked or redelivered."""
        batch, self.messages = self.messages[:MaxNumberOfMessages], self.messages[MaxNumberOfMessages:]
        self._received |= {message["ReceiptHandle"]: message for message in batch}
        return {"Messages": batch} if batch else {}

    def delete_message(self, *, ReceiptHandle: str, **_: object) -> None:  # noqa: N803 as boto3 has it
        """Settle a message.

        Raises:
            AssertionError: it has a major version that this release cannot read: it is to be parked.
        """
        message = self._received.pop(ReceiptHandle)
        try:
            decode(message["Body"])
        except UnsupportedVersion as error:
            raise AssertionError(f"deleted, but it was to be parked: {error}") from error
        except ContractError:
            pass  # it may be dropped: no release can read it

    def park(self, receipt_handle: str) -> None:
        """Move a received message to the dead-letter queue."""
        self.dead_letters.append(self._received.pop(receipt_handle))

    def redeliver(self) -> None:
        """Make all messages visible again that were received and not settled, as SQS does after a while."""
        self.messages += self._received.values()
        self._received.clear()

    def check_settled(self) -> None:
        """Raise AssertionError if a message waits, or was received and neither deleted nor parked."""
        if self.messages or self._received:
            raise AssertionError(f"{len(self.messages)} messages wait, {len(self._received)} are not settled")


@dataclass
class FakeTopic:
    """An SNS topic in memory with queues that subscribe to it, with raw message delivery."""

    published: list[Envelope[Message]] = field(default_factory=list)
    _subscriptions: list[tuple[FakeQueue, frozenset[str]]] = field(default_factory=list)

    def subscribe(self, queue: FakeQueue, *types: str) -> None:
        """Deliver to a queue: messages of these types, or all if none is named."""
        self._subscriptions.append((queue, frozenset(types)))

    def publish(self, *, Message: str, MessageAttributes: Attributes, **_: object) -> None:  # noqa: N803 as boto3 has it
        """Take a message from the program under test and deliver it.

        Raises:
            AssertionError: it breaks the contract; the text says how.
        """
        message = check_sent(Message, MessageAttributes)
        self.published.append(message)
        for queue, types in self._subscriptions:
            if not types or message.type in types:
                queue.put(Message, MessageAttributes)


def check_sent(body: str, attributes: Attributes) -> Envelope[Message]:
    """Return a sent message if it is as a strict writer writes it.

    Raises:
        AssertionError: it breaks the contract; the text says how.
    """
    try:
        message = decode(body)
        written = json.loads(encode(message))
    except ContractError as error:
        raise AssertionError(f"the message breaks the contract: {error}") from error
    sent = json.loads(body)
    if surplus := sorted(set(sent) ^ set(written)) or sorted(set(sent["data"]) ^ set(written["data"])):
        raise AssertionError(f"the message lacks or adds fields: {', '.join(surplus)}")
    for name, attribute in message_attributes(message).items():
        if attributes.get(name, {}).get("StringValue") != attribute["StringValue"]:
            raise AssertionError(f"the message attribute {name} is missing or not the message's")
    return message
