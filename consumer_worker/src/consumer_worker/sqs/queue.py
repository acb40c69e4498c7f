"""The queue as the consumer sees it, and its implementation with an aiobotocore client.

botocore's errors are translated here and go no further.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import MessageSystemAttributeNameType

BATCH_SIZE = 10
"""SQS's limit for the entries of one batch request and the messages of one receive."""

MAX_LONG_POLL_SECONDS = 20
"""SQS's limit for the wait of one receive."""

MAX_VISIBILITY_SECONDS = 43_200
"""SQS's limit for how long a message stays hidden after its receive, extensions included: 12 hours."""

DEFAULT_REASON_ATTRIBUTE = "DeadLetterReason"
"""Message attribute that says in the dead-letter queue why a message was parked."""

_MAX_MESSAGE_ATTRIBUTES = 10
_MAX_REASON_CHARACTERS = 1_000

_SYSTEM_ATTRIBUTES: "list[MessageSystemAttributeNameType]" = [
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "MessageGroupId",
    "SentTimestamp",
]

_NO_SUCH_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
ACCESS_DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class QueueError(Exception):
    """A request to the queue failed."""


class QueueUnavailable(QueueError):
    """The request failed but may succeed later: the network, throttling, an error of the service."""


class QueueRefused(QueueError):
    """No later request can succeed: no such queue, access denied, or an unusable KMS key."""


class Entry(Enum):
    """The result of one entry of a batch request."""

    DONE = "done"
    GONE = "gone"
    """The receipt is no longer valid: the message was deleted, or its visibility ended."""
    FAILED = "failed"
    """Not our fault: the same request may succeed later."""
    REFUSED = "refused"
    """Our fault: the same request can never succeed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one receive; received again, it is another `Message` with another receipt."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    """SQS's attributes by their SQS names; values as SQS sends them, times in milliseconds since 1970."""
    message_attributes: Mapping[str, str] = field(default_factory=dict)
    """The sender's attributes of type String and Number."""


class Queue(Protocol):
    """What the consumer needs of a queue.

    Raises:
        QueueUnavailable: from each method; the same request may succeed later.
        QueueRefused: from each method; no later request can succeed.
    """

    name: str

    async def receive(
        self, max_messages: int, *, wait_seconds: int, visibility_seconds: int
    ) -> list[Message]:
        """Return up to `max_messages` (1 to 10), waiting up to `wait_seconds` for the first."""
        ...

    async def delete(self, receipts: Sequence[str]) -> list[Entry]:
        """Delete up to 10 messages; the results are in the order of the receipts."""
        ...

    async def change_visibility(self, changes: Sequence[tuple[str, int]]) -> list[Entry]:
        """Make up to 10 messages visible after a time, each given as (receipt, seconds from now).

        The results are in the order of the changes.
        """
        ...

    async def park(self, message: Message, reason: str) -> None:
        """Send a copy of the message, with the reason, to the dead-letter queue; it is not deleted here."""
        ...


def client_config(max_connections: int) -> AioConfig:
    """Return the aiobotocore settings that `SqsQueue` needs.

    The client makes no retries: the consumer makes them, since it knows how much lease is left. The client
    validates no parameters: this module builds all requests, and validation costs time in each.
    """
    return AioConfig(
        max_pool_connections=max_connections,
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=MAX_LONG_POLL_SECONDS + 10,
        tcp_keepalive=True,
    )


class SqsQueue:
    """A standard SQS queue and, if it has one, its dead-letter queue, with one aiobotocore client.

    `reason_attribute` is the message attribute that says, in the dead-letter queue, why a message was parked.
    """

    def __init__(
        self,
        client: "SQSClient",
        url: str,
        *,
        dead_letter_url: str | None = None,
        reason_attribute: str = DEFAULT_REASON_ATTRIBUTE,
        request_timeout_seconds: float = 10.0,
    ) -> None:
        self.name = url.rsplit("/", 1)[-1]
        self._client = client
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._reason_attribute = reason_attribute
        self._timeout_seconds = request_timeout_seconds

    async def receive(
        self, max_messages: int, *, wait_seconds: int, visibility_seconds: int
    ) -> list[Message]:
        """See `Queue.receive`."""
        with self._translated("ReceiveMessage", self._url):
            async with asyncio.timeout(wait_seconds + self._timeout_seconds):
                response = await self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=max_messages,
                    WaitTimeSeconds=wait_seconds,
                    VisibilityTimeout=visibility_seconds,
                    MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
                    MessageAttributeNames=["All"],
                )
        return [
            Message(
                message_id=message["MessageId"],
                receipt_handle=message["ReceiptHandle"],
                body=message["Body"],
                attributes=cast("Mapping[str, str]", message.get("Attributes", {})),
                message_attributes={
                    name: value["StringValue"]
                    for name, value in message.get("MessageAttributes", {}).items()
                    if "StringValue" in value
                },
            )
            for message in response.get("Messages", ())
        ]

    async def delete(self, receipts: Sequence[str]) -> list[Entry]:
        """See `Queue.delete`."""
        with self._translated("DeleteMessageBatch", self._url):
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.delete_message_batch(
                    QueueUrl=self._url,
                    # Not the message id: a message received twice has two receipts but one message id.
                    Entries=[{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)],
                )
        return _entries(len(receipts), response, gone=frozenset({"ReceiptHandleIsInvalid"}))

    async def change_visibility(self, changes: Sequence[tuple[str, int]]) -> list[Entry]:
        """See `Queue.change_visibility`."""
        with self._translated("ChangeMessageVisibilityBatch", self._url):
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                        for n, (receipt, seconds) in enumerate(changes)
                    ],
                )
        return _entries(
            len(changes),
            response,
            gone=frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"}),
        )

    async def count_messages(self) -> int:
        """Return about how many messages the queue holds: visible, delayed and in flight.

        SQS's figures can be a minute old.
        """
        with self._translated("GetQueueAttributes", self._url):
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.get_queue_attributes(
                    QueueUrl=self._url,
                    AttributeNames=[
                        "ApproximateNumberOfMessages",
                        "ApproximateNumberOfMessagesDelayed",
                        "ApproximateNumberOfMessagesNotVisible",
                    ],
                )
        return sum(int(count) for count in response["Attributes"].values())

    async def park(self, message: Message, reason: str) -> None:
        """See `Queue.park`. Refused without a dead-letter queue: the caller would delete the message."""
        if self._dead_letter_url is None:
            raise QueueRefused(f"SendMessage: {self.name} was given no dead_letter_url to park messages at")
        attributes = dict(message.message_attributes)
        attributes.pop(self._reason_attribute, None)
        kept = list(attributes.items())[: _MAX_MESSAGE_ATTRIBUTES - 1]
        kept.append((self._reason_attribute, reason[:_MAX_REASON_CHARACTERS] or "unknown"))
        extra: dict[str, Any] = {}
        if group := message.attributes.get("MessageGroupId"):
            extra["MessageGroupId"] = group
        with self._translated("SendMessage", self._dead_letter_url):
            async with asyncio.timeout(self._timeout_seconds):
                await self._client.send_message(
                    QueueUrl=self._dead_letter_url,
                    MessageBody=message.body,
                    MessageAttributes={
                        name: {"DataType": "String", "StringValue": value} for name, value in kept
                    },
                    **extra,
                )

    @contextmanager
    def _translated(self, action: str, url: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise _translate(error, action, url) from error
        except NoCredentialsError as error:
            raise QueueRefused(
                f"{action} on {url}: no AWS credentials were found; give the process a role"
            ) from error
        except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise QueueUnavailable(f"{action} on {url}: {str(error) or type(error).__name__}") from error


def _translate(error: ClientError, action: str, url: str) -> QueueError:
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "")
    short = code.rsplit(".", 1)[-1].rsplit("#", 1)[-1]
    if short in _NO_SUCH_QUEUE:
        return QueueRefused(f"{action} on {url}: there is no such queue; check the URL and its region")
    key_unusable = code.lower().startswith("kms") and "throttl" not in code.lower()
    if short in ACCESS_DENIED_CODES or key_unusable:
        role_arn = re.search(r"arn:aws[\w-]*:(?:sts|iam)::\S+", message)
        role = role_arn.group() if role_arn else "the role of this process"
        permission = (
            "kms:Decrypt on the queue's key" if key_unusable else f"sqs:{action.removesuffix('Batch')}"
        )
        return QueueRefused(
            f"{action} on {url}: {role} needs the permission {permission} ({code}: {message})"
        )
    return QueueUnavailable(f"{action} on {url}: {code}: {message}")


def _entries(count: int, response: Mapping[str, Any], *, gone: frozenset[str]) -> list[Entry]:
    """Return the result of each entry; one that the response does not mention has failed."""
    results = [Entry.FAILED] * count
    for success in response.get("Successful", ()):
        results[int(success["Id"])] = Entry.DONE
    for failure in response.get("Failed", ()):
        if failure["Code"].rsplit(".", 1)[-1] in gone:
            results[int(failure["Id"])] = Entry.GONE
        elif failure["SenderFault"]:
            results[int(failure["Id"])] = Entry.REFUSED
    return results
