"""An SQS in memory that speaks AWS JSON 1.0, delays each request by a fixed time and counts its requests.

    python -m tests.benchmarks.consumer.broker --delay-ms 15

prints its address, then serves until SIGTERM. GET /stats/<queue> returns that queue's `Stats` as JSON.
Queues are fair: the next message is of the message group with the fewest in flight.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from consumer_worker.sqs.flow import FairBuffer

Body = dict[str, Any]


@dataclass
class Stats:
    """One queue's requests and what happened to its messages; times are in monotonic seconds."""

    requests: dict[str, int] = field(default_factory=dict)
    visible: int = 0
    in_flight: int = 0
    deleted: int = 0
    redelivered: int = 0
    empty_receives: int = 0
    visibility_changes: int = 0
    first_receive: float | None = None
    last_delete: float | None = None


class SqsError(Exception):
    """An error as SQS reports it: its code, and the older code by which clients recognize it."""

    def __init__(self, code: str, query_code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.query_code = query_code


@dataclass(eq=False)
class StoredMessage:
    """A message of a queue, visible or in flight."""

    body: str
    group: str | None
    message_attributes: Body
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent_at: float = field(default_factory=time.time)
    receive_count: int = 0
    receipt: str = ""
    visible_again: asyncio.TimerHandle | None = None


class StoredQueue:
    """One standard queue. Only a message's newest receipt counts; an older one is ignored silently."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.stats = Stats()
        self.visibility_seconds = int(attributes.get("VisibilityTimeout", 30))
        self._visible: FairBuffer[StoredMessage] = FairBuffer(None)
        self._in_flight: dict[str, StoredMessage] = {}
        self._arrived = asyncio.Event()

    def send(self, body: str, group: str | None, message_attributes: Body) -> StoredMessage:
        """Add a message."""
        message = StoredMessage(body, group, message_attributes)
        self._show(message)
        return message

    async def receive(
        self, max_messages: int, wait_seconds: float, visibility_seconds: int
    ) -> list[StoredMessage]:
        """Return up to `max_messages` and hide them; wait for the first."""
        if self.stats.first_receive is None:
            self.stats.first_receive = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while not self.stats.visible:
                    await self._arrived.wait()
        messages: list[StoredMessage] = []
        while len(messages) < max_messages and (message := self._visible.pop()) is not None:
            self.stats.visible -= 1
            self.stats.redelivered += message.receive_count > 0
            message.receive_count += 1
            message.receipt = uuid.uuid4().hex
            self._in_flight[message.receipt] = message
            self._hide(message, visibility_seconds)
            messages.append(message)
        if not self.stats.visible:
            self._arrived.clear()
        self.stats.in_flight = len(self._in_flight)
        self.stats.empty_receives += not messages
        return messages

    def delete(self, receipt: str) -> None:
        """Delete the message, if the receipt is its newest."""
        message = self._in_flight.pop(receipt, None)
        if message is not None:
            self._visible.finished(message.group)
            if message.visible_again is not None:
                message.visible_again.cancel()
            self.stats.deleted += 1
        self.stats.in_flight = len(self._in_flight)
        self.stats.last_delete = time.monotonic()

    def change_visibility(self, receipt: str, seconds: int) -> None:
        """Make the message visible again `seconds` from now."""
        self.stats.visibility_changes += 1
        message = self._in_flight.get(receipt)
        if message is None:
            raise SqsError("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "not in flight")
        self._hide(message, seconds)

    def _hide(self, message: StoredMessage, seconds: int) -> None:
        if message.visible_again is not None:
            message.visible_again.cancel()
        if seconds == 0:
            self._return(message)
        else:
            message.visible_again = asyncio.get_running_loop().call_later(seconds, self._return, message)

    def _return(self, message: StoredMessage) -> None:
        del self._in_flight[message.receipt]
        self._visible.finished(message.group)
        self.stats.in_flight = len(self._in_flight)
        self._show(message)

    def _show(self, message: StoredMessage) -> None:
        self._visible.add(message.group, message)
        self.stats.visible += 1
        self._arrived.set()


class Broker:
    """The queues and the actions on them, as the AWS API names them."""

    def __init__(self) -> None:
        self.address = ""
        self.queues: dict[str, StoredQueue] = {}

    def queue(self, request: Body) -> StoredQueue:
        """Return the queue that a request is about."""
        name = request["QueueUrl"].rsplit("/", 1)[-1] if "QueueUrl" in request else request["QueueName"]
        try:
            return self.queues[name]
        except KeyError:
            code = "AWS.SimpleQueueService.NonExistentQueue"
            raise SqsError("QueueDoesNotExist", code, f"there is no queue {name}") from None

    async def act(self, action: str, request: Body) -> Body:
        """Carry out one request."""
        if action == "CreateQueue":
            name = request["QueueName"]
            self.queues.setdefault(name, StoredQueue(name, request.get("Attributes", {})))
            return self._url(name)
        queue = self.queue(request)
        queue.stats.requests[action] = queue.stats.requests.get(action, 0) + 1
        match action:
            case "GetQueueUrl":
                return self._url(queue.name)
            case "GetQueueAttributes":
                return {"Attributes": self._attributes(queue)}
            case "SendMessage":
                return self._send(queue, request)
            case "SendMessageBatch":
                return self._batch(request, lambda entry: self._send(queue, entry))
            case "ReceiveMessage":
                return await self._receive(queue, request)
            case "DeleteMessageBatch":
                return self._batch(request, lambda entry: queue.delete(entry["ReceiptHandle"]))
            case "ChangeMessageVisibilityBatch":
                return self._batch(
                    request,
                    lambda entry: queue.change_visibility(entry["ReceiptHandle"], entry["VisibilityTimeout"]),
                )
        raise SqsError("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", action)

    def _url(self, name: str) -> Body:
        return {"QueueUrl": f"{self.address}/000000000000/{name}"}

    def _attributes(self, queue: StoredQueue) -> Body:
        return {
            "ApproximateNumberOfMessages": str(queue.stats.visible),
            "ApproximateNumberOfMessagesNotVisible": str(queue.stats.in_flight),
            "QueueArn": f"arn:aws:sqs:local:000000000000:{queue.name}",
            "VisibilityTimeout": str(queue.visibility_seconds),
        }

    def _send(self, queue: StoredQueue, entry: Body) -> Body:
        message = queue.send(
            entry["MessageBody"], entry.get("MessageGroupId"), entry.get("MessageAttributes", {})
        )
        return {"MessageId": message.message_id, "MD5OfMessageBody": _md5(message.body)}

    async def _receive(self, queue: StoredQueue, request: Body) -> Body:
        messages = await queue.receive(
            request.get("MaxNumberOfMessages", 1),
            request.get("WaitTimeSeconds", 0),
            request.get("VisibilityTimeout", queue.visibility_seconds),
        )
        return {"Messages": [self._shown(message) for message in messages]} if messages else {}

    def _shown(self, message: StoredMessage) -> Body:
        attributes = {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        }
        if message.group is not None:
            attributes["MessageGroupId"] = message.group
        return {
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt,
            "Body": message.body,
            "MD5OfBody": _md5(message.body),
            "Attributes": attributes,
            "MessageAttributes": message.message_attributes,
        }

    def _batch(self, request: Body, act: Callable[[Body], Body | None]) -> Body:
        successful, failed = [], []
        for entry in request["Entries"]:
            try:
                successful.append({"Id": entry["Id"], **(act(entry) or {})})
            except SqsError as error:
                failed.append({"Id": entry["Id"], "Code": error.query_code, "SenderFault": True})
        return {"Successful": successful, "Failed": failed}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 for an SDK client: keep-alive, Content-Length, one request at a time."""

    def __init__(self, broker: Broker, delay_seconds: float) -> None:
        self._broker = broker
        self._delay_seconds = delay_seconds
        self._received = b""
        self._answer: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Cancel the long poll of a client that disconnected: it receives no message."""
        if self._answer is not None:
            self._answer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        if separator and len(body) >= int(headers.get("content-length", 0)):
            self._received = b""
            self._answer = asyncio.ensure_future(self._respond(line, headers, body))

    async def _respond(self, line: str, headers: dict[str, str], body: bytes) -> None:
        status, extra = "200 OK", ""
        if line.startswith("GET /stats/"):
            response = vars(self._broker.queues[line.split(" ")[1].removeprefix("/stats/")].stats)
        else:
            await asyncio.sleep(self._delay_seconds)
            try:
                response = await self._broker.act(
                    headers["x-amz-target"].rsplit(".", 1)[-1], json.loads(body)
                )
            except SqsError as error:
                status, extra = "400 Bad Request", f"x-amzn-query-error: {error.query_code};Sender\r\n"
                response = {"__type": error.code, "message": str(error)}
        answer = json.dumps(response).encode()
        self._transport.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\n{extra}"
            f"Content-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=15.0, help="time added to each request")
    delay_ms: float = parser.parse_args().delay_ms
    broker = Broker()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(broker, delay_ms / 1000), "127.0.0.1", 0)
    broker.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(broker.address, flush=True)  # the process that started it reads this
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
