"""The relay: sends committed outbox messages to SQS and SNS, at least once.

Each batch is locked, sent and marked in one transaction. If the process dies between the send and the commit,
the batch is sent twice; the worker's claim on the prediction discards the duplicate.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.outbox.store import Destination, OutboxMessage, OutboxStore
from producer_api.redaction import hide_credentials
from producer_api.telemetry import ApiMetrics
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.health import Check, HealthState
from retainwise_contracts.logs import LogField

if TYPE_CHECKING:
    from types_aiobotocore_sns.client import SNSClient
    from types_aiobotocore_sqs.client import SQSClient

BATCH_SIZE = 10
"""The maximum number of entries in one request to SQS or SNS."""

SWEEP_SECONDS = 1.0
"""How often the outbox is read without a nudge: other replicas and the workers write to it too."""

MAX_BACKOFF_SECONDS = 5.0
"""The longest pause after failures, and so the longest delay of a message once the destination is back."""

REQUEST_TIMEOUT_SECONDS = 10.0

PURGE_INTERVAL_SECONDS = 3_600.0
RETENTION_SECONDS = 7 * 86_400.0
"""How long a sent message is kept: longer than SQS keeps it (4 days), so that it can be resent."""

PURGE_BATCH_SIZE = 1_000

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class DestinationUnavailable(Exception):
    """A request to SQS or SNS failed as a whole; the text says why. Wait before the next request."""


class BatchRefused(Exception):
    """SQS or SNS accepted no message of a batch; the text is the reason it gave for the first one."""


@dataclass(frozen=True)
class SendResult:
    """The outcome of a batch: what was accepted, by its SQS or SNS id, and what was not, with the reason."""

    sent: Mapping[OutboxMessage, str]
    failed: Mapping[OutboxMessage, str]


class Sender(Protocol):
    """Sends batches of messages to one destination."""

    destination: Destination

    async def send(self, messages: tuple[OutboxMessage, ...]) -> SendResult:
        """Send up to `BATCH_SIZE` messages. Raises DestinationUnavailable."""


class QueueSender:
    """Sends requests to the SQS queue. The tenant is the message group, for SQS fair queues."""

    destination: Destination = "predictions"

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    async def send(self, messages: tuple[OutboxMessage, ...]) -> SendResult:
        """Send up to `BATCH_SIZE` messages. Raises DestinationUnavailable."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answer = await self._client.send_message_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {
                            "Id": str(number),
                            "MessageBody": message.body,
                            "MessageGroupId": message.tenant_id,
                            "MessageAttributes": _attributes(message),
                        }
                        for number, message in enumerate(messages)
                    ],
                )
        except (ClientError, BotoCoreError, OSError) as error:  # OSError includes TimeoutError
            raise DestinationUnavailable(_describe(error)) from error
        return _send_result(messages, answer)


class TopicSender:
    """Sends events to the SNS topic that other teams subscribe to."""

    destination: Destination = "events"

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    async def send(self, messages: tuple[OutboxMessage, ...]) -> SendResult:
        """Send up to `BATCH_SIZE` messages. Raises DestinationUnavailable."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                answer = await self._client.publish_batch(
                    TopicArn=self._topic_arn,
                    PublishBatchRequestEntries=[
                        {
                            "Id": str(number),
                            "Message": message.body,
                            "MessageAttributes": _attributes(message),
                        }
                        for number, message in enumerate(messages)
                    ],
                )
        except (ClientError, BotoCoreError, OSError) as error:
            raise DestinationUnavailable(_describe(error)) from error
        return _send_result(messages, answer)


@dataclass
class OutboxRelay:
    """Sends the messages for one destination. Several replicas may run at the same time."""

    store: OutboxStore
    sender: Sender
    metrics: ApiMetrics
    paused: bool = False
    sweep_seconds: float = SWEEP_SECONDS
    failures: int = 0
    """Consecutive sweeps that failed."""
    problem: str = ""
    """Why the last sweep failed."""
    _nudged: asyncio.Event = field(default_factory=asyncio.Event)
    _wakes_on_nudge: bool = True

    def nudge(self) -> None:
        """Read the outbox now: a message has been committed."""
        self._nudged.set()

    async def run(self) -> None:
        """Sweep until cancelled. A failed sweep is logged and retried."""
        while True:
            try:
                await self._measure()  # first, so that the lag is measured in an outage too
                if not self.paused:
                    await self.send_pending()
                self.failures = 0
            except (DestinationUnavailable, BatchRefused, DatabaseUnavailable, DatabaseBusy) as error:
                self._fail(error)
                log.warning("outbox_sweep_failed", destination=self.sender.destination, reason=str(error))
            except Exception as error:
                self._fail(error)
                log.exception("outbox_sweep_failed", destination=self.sender.destination)
            await self._wait()

    async def send_pending(self) -> None:
        """Send all unsent messages, a batch at a time.

        Raises:
            DestinationUnavailable, BatchRefused: no message of a batch was accepted; all stay in the outbox.
            DatabaseUnavailable: the outbox cannot be read or marked.
        """
        more = True
        while more:
            more = await self._send_batch()

    async def _send_batch(self) -> bool:
        """Send one batch; return whether there may be more to send."""
        unavailable: DestinationUnavailable | None = None
        async with self.store.lock_unsent(self.sender.destination, at_most=BATCH_SIZE) as batch:
            if not batch.messages:
                return False
            try:
                result = await self.sender.send(batch.messages)
            except DestinationUnavailable as error:
                unavailable = error  # raised once the reason is stored
                result = SendResult({}, dict.fromkeys(batch.messages, str(error)))
            await batch.mark_sent(result.sent)
            await batch.mark_failed(result.failed)
        self._report(result)
        if unavailable is not None:
            raise unavailable
        if not result.sent:
            raise BatchRefused(next(iter(result.failed.values())))
        return len(batch.messages) == BATCH_SIZE and not result.failed

    def _report(self, result: SendResult) -> None:
        destination = self.sender.destination
        self.metrics.outbox_messages.labels(destination, "sent").inc(len(result.sent))
        self.metrics.outbox_messages.labels(destination, "failed").inc(len(result.failed))
        for message, message_id in result.sent.items():
            log.info(
                "message_sent",
                destination=destination,
                sqs_message_id=message_id,
                **_context(message),
            )
        for message, reason in result.failed.items():
            log.warning("message_not_sent", destination=destination, reason=reason, **_context(message))

    async def _measure(self) -> None:
        unsent, lag_seconds = await self.store.measure_outbox(self.sender.destination)
        self.metrics.outbox_unsent.labels(self.sender.destination).set(unsent)
        self.metrics.outbox_lag_seconds.labels(self.sender.destination).set(lag_seconds)

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self.problem = _describe(error)
        # While the destination is unavailable, uploads must not cause requests to it. But a refused message
        # does not block others, and a nudge means that there is a new one.
        self._wakes_on_nudge = isinstance(error, BatchRefused)

    async def _wait(self) -> None:
        pause = self.sweep_seconds
        if self.failures:
            pause = min(self.sweep_seconds * 2 ** min(self.failures, 16), MAX_BACKOFF_SECONDS)
            pause *= random.uniform(0.5, 1)  # noqa: S311 spreads the replicas, not a secret
        if self.failures and not self._wakes_on_nudge:
            await asyncio.sleep(pause)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
        self._nudged.clear()


class OutboxTasks:
    """The relays and the purge, which run as long as the API does."""

    def __init__(self, store: OutboxStore, relays: tuple[OutboxRelay, ...], metrics: ApiMetrics) -> None:
        self._store = store
        self._relays = relays
        self._metrics = metrics
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the relays and the purge."""
        self._running = asyncio.create_task(self._run(), name="outbox")

    async def stop(self) -> None:
        """Stop. A message sent but not marked yet will be sent a second time."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def nudge(self) -> None:
        """Read the outbox now."""
        for relay in self._relays:
            relay.nudge()

    @property
    def alive(self) -> bool:
        """Whether the relays are running: only `stop` should end them."""
        return self._running is not None and not self._running.done()

    def check(self) -> Check:
        """Return the relays' health. It is degraded while a destination fails: uploads still work."""
        if not self.alive:
            return Check(name="outbox", state=HealthState.FAILED, detail="the relay has stopped")
        if any(relay.paused for relay in self._relays):
            return Check(name="outbox", state=HealthState.DEGRADED, detail="sending is paused by ENABLE_SQS")
        failing = [relay for relay in self._relays if relay.failures]
        if failing:
            problems = "; ".join(f"{relay.sender.destination}: {relay.problem}" for relay in failing)
            return Check(name="outbox", state=HealthState.DEGRADED, detail=f"sending fails: {problems}")
        return Check(name="outbox", state=HealthState.OK, detail="")

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for relay in self._relays:
                tasks.create_task(relay.run())
            tasks.create_task(self._purge())

    async def _purge(self) -> None:
        while True:
            try:
                while purged := await self._store.purge_messages(
                    sent_seconds_ago=RETENTION_SECONDS, at_most=PURGE_BATCH_SIZE
                ):
                    self._metrics.outbox_purged.inc(purged)
            except Exception:
                log.exception("outbox_purge_failed")
            await asyncio.sleep(PURGE_INTERVAL_SECONDS)


OUTBOX = web.AppKey("outbox", OutboxTasks)


def _attributes(message: OutboxMessage) -> dict[str, Any]:
    attributes = {
        MessageAttribute.TYPE: message.message_type,
        MessageAttribute.TENANT_ID: message.tenant_id,
        MessageAttribute.TRACEPARENT: message.traceparent,
    }
    return {
        name.value: {"DataType": "String", "StringValue": value}
        for name, value in attributes.items()
        if value
    }


def _send_result(messages: tuple[OutboxMessage, ...], answer: Any) -> SendResult:  # noqa: ANN401 of SQS or SNS
    sent = {messages[int(entry["Id"])]: entry["MessageId"] for entry in answer.get("Successful", ())}
    failed = {
        messages[int(entry["Id"])]: f"{entry['Code']}: {entry.get('Message', '')}"
        for entry in answer.get("Failed", ())
    }
    unmentioned = dict.fromkeys(
        (m for m in messages if m not in sent and m not in failed), "not mentioned in the answer"
    )
    return SendResult(sent, failed | unmentioned)


def _describe(error: BaseException) -> str:
    return hide_credentials(str(error)) or type(error).__name__


def _context(message: OutboxMessage) -> dict[str, str]:
    return {
        LogField.MESSAGE_ID: str(message.message_id),
        LogField.PREDICTION_ID: str(message.prediction_id),
        LogField.TENANT_ID: message.tenant_id,
    }
