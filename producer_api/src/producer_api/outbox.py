"""The relay: sends what the transactions left in the outbox, to SQS and SNS, at least once.

Each batch is locked, sent and marked in one transaction. If the process dies after the send and before the
commit, the batch is sent again, and the readers' claims refuse the duplicate.
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

from producer_api.errors import ApiError
from producer_api.store import Destination, OutboxMessage, Store
from producer_api.telemetry import ApiMetrics
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.health import Check, HealthState
from retainwise_contracts.logs import LogField

if TYPE_CHECKING:
    from types_aiobotocore_sns.client import SNSClient
    from types_aiobotocore_sqs.client import SQSClient

BATCH_SIZE = 10
"""Entries that SQS and SNS take in one request, at most."""

SWEEP_SECONDS = 1.0
"""How often the outbox is looked at without a nudge: other replicas and the workers write to it too."""

MAX_BACKOFF_SECONDS = 30.0
"""The longest pause after failures. It is also how late a message may go out once the receiver is back."""

REQUEST_TIMEOUT_SECONDS = 10.0

PURGE_SECONDS = 3_600.0
KEPT_SECONDS = 7 * 86_400.0
"""How long a sent message is kept: longer than SQS keeps it (4 days), so that it can be sent again."""

PURGED_AT_ONCE = 1_000

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ReceiverAway(Exception):
    """SQS or SNS did not answer the request as a whole; the text says why. Wait before the next one."""


class BatchRefused(Exception):
    """SQS or SNS answered and took not one message of a batch; the text is its word on the first."""


@dataclass(frozen=True)
class Published:
    """What became of a batch: taken, with the receiver's message id, or not taken, with the reason."""

    sent: Mapping[OutboxMessage, str]
    failed: Mapping[OutboxMessage, str]


class Publisher(Protocol):
    """Sends batches to one place."""

    destination: Destination

    async def publish(self, messages: tuple[OutboxMessage, ...]) -> Published:
        """Send up to `BATCH_SIZE` messages. Raises ReceiverAway."""


class QueuePublisher:
    """Sends requests to the SQS queue. The tenant is the message group, so that SQS serves tenants fairly."""

    destination: Destination = "predictions"

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    async def publish(self, messages: tuple[OutboxMessage, ...]) -> Published:
        """Send up to `BATCH_SIZE` messages. Raises ReceiverAway."""
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
        except (ClientError, BotoCoreError, OSError) as error:  # a TimeoutError is an OSError
            raise ReceiverAway(_told(error)) from error
        return _published(messages, answer)


class TopicPublisher:
    """Sends events to the SNS topic that other teams subscribe to."""

    destination: Destination = "events"

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    async def publish(self, messages: tuple[OutboxMessage, ...]) -> Published:
        """Send up to `BATCH_SIZE` messages. Raises ReceiverAway."""
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
            raise ReceiverAway(_told(error)) from error
        return _published(messages, answer)


@dataclass
class OutboxRelay:
    """Sends the messages for one destination. Several replicas may run side by side."""

    store: Store
    publisher: Publisher
    metrics: ApiMetrics
    paused: bool = False
    sweep_seconds: float = SWEEP_SECONDS
    failures: int = 0
    """Sweeps in a row that failed."""
    problem: str = ""
    """Why the last sweep failed."""
    _nudged: asyncio.Event = field(default_factory=asyncio.Event)
    _hears_nudges: bool = True

    def nudge(self) -> None:
        """Look at the outbox now: a message has been committed."""
        self._nudged.set()

    async def run(self) -> None:
        """Sweep until cancelled. No failure of a sweep ends it."""
        while True:
            try:
                await self._measure()  # first, so that the lag is told in an outage too
                if not self.paused:
                    await self.publish_pending()
                self.failures = 0
            except (ReceiverAway, BatchRefused, ApiError) as error:
                self._fail(error)
                log.warning("outbox_sweep_failed", destination=self.publisher.destination, reason=str(error))
            except Exception as error:
                self._fail(error)
                log.exception("outbox_sweep_failed", destination=self.publisher.destination)
            await self._wait()

    async def publish_pending(self) -> None:
        """Send all that waits, a batch at a time.

        Raises:
            ReceiverAway, BatchRefused: nothing of a batch was taken; its messages stay in the outbox.
        """
        taken = True
        while taken:
            taken = await self._publish_batch()

    async def _publish_batch(self) -> bool:
        """Send one batch; True if another may be worth it."""
        away: ReceiverAway | None = None
        async with self.store.take_unsent(self.publisher.destination, at_most=BATCH_SIZE) as batch:
            if not batch.messages:
                return False
            try:
                published = await self.publisher.publish(batch.messages)
            except ReceiverAway as error:
                away = error  # raised when the reason is stored
                published = Published({}, dict.fromkeys(batch.messages, str(error)))
            await batch.mark_sent(published.sent)
            await batch.mark_failed(published.failed)
        self._tell(published)
        if away is not None:
            raise away
        if not published.sent:
            raise BatchRefused(next(iter(published.failed.values())))
        return len(batch.messages) == BATCH_SIZE and not published.failed

    def _tell(self, published: Published) -> None:
        destination = self.publisher.destination
        self.metrics.outbox_messages.labels(destination, "sent").inc(len(published.sent))
        self.metrics.outbox_messages.labels(destination, "failed").inc(len(published.failed))
        for message, message_id in published.sent.items():
            log.info(
                "message_sent",
                destination=destination,
                received_as=message_id,
                **_context(message),
            )
        for message, reason in published.failed.items():
            log.warning("message_not_taken", destination=destination, reason=reason, **_context(message))

    async def _measure(self) -> None:
        unsent, lag_seconds = await self.store.measure_outbox(self.publisher.destination)
        self.metrics.outbox_unsent.labels(self.publisher.destination).set(unsent)
        self.metrics.outbox_lag_seconds.labels(self.publisher.destination).set(lag_seconds)

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self.problem = _told(error)
        # A receiver that is down is not asked once for every upload. But a message that is refused holds up
        # no other: a nudge means there is a new one.
        self._hears_nudges = isinstance(error, BatchRefused)

    async def _wait(self) -> None:
        pause = self.sweep_seconds
        if self.failures:
            pause = min(self.sweep_seconds * 2 ** min(self.failures, 16), MAX_BACKOFF_SECONDS)
            pause *= random.uniform(0.5, 1)  # noqa: S311 spreads replicas, no secret
        if self.failures and not self._hears_nudges:
            await asyncio.sleep(pause)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
        self._nudged.clear()


class Outbox:
    """The relays and the purge, together for as long as the API runs."""

    def __init__(self, store: Store, relays: tuple[OutboxRelay, ...], metrics: ApiMetrics) -> None:
        self._store = store
        self._relays = relays
        self._metrics = metrics
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the relays and the purge."""
        self._running = asyncio.create_task(self._run(), name="outbox")

    async def stop(self) -> None:
        """Stop; what is not marked by now is sent again by whoever comes next."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def nudge(self) -> None:
        """Look at the outbox now."""
        for relay in self._relays:
            relay.nudge()

    @property
    def alive(self) -> bool:
        """Whether it runs: nothing but `stop` should end it."""
        return self._running is not None and not self._running.done()

    def check(self) -> Check:
        """Say how the publishing is. A receiver that is away degrades the API: uploads are still taken."""
        if not self.alive:
            return Check(name="outbox", state=HealthState.FAILED, detail="the relay has stopped")
        if any(relay.paused for relay in self._relays):
            return Check(name="outbox", state=HealthState.DEGRADED, detail="publishing paused")
        failing = [relay for relay in self._relays if relay.failures]
        if failing:
            told = "; ".join(f"{relay.publisher.destination}: {relay.problem}" for relay in failing)
            return Check(name="outbox", state=HealthState.DEGRADED, detail=f"publishing fails: {told}")
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
                    sent_seconds_ago=KEPT_SECONDS, at_most=PURGED_AT_ONCE
                ):
                    self._metrics.outbox_purged.inc(purged)
            except Exception:
                log.exception("outbox_purge_failed")
            await asyncio.sleep(PURGE_SECONDS)


OUTBOX = web.AppKey("outbox", Outbox)


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


def _published(messages: tuple[OutboxMessage, ...], answer: Any) -> Published:  # noqa: ANN401 of SQS or SNS
    sent = {messages[int(entry["Id"])]: entry["MessageId"] for entry in answer.get("Successful", ())}
    failed = {
        messages[int(entry["Id"])]: f"{entry['Code']}: {entry.get('Message', '')}"
        for entry in answer.get("Failed", ())
    }
    silent = dict.fromkeys((m for m in messages if m not in sent and m not in failed), "no answer for it")
    return Published(sent, failed | silent)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _context(message: OutboxMessage) -> dict[str, str]:
    return {
        LogField.MESSAGE_ID: str(message.message_id),
        LogField.PREDICTION_ID: str(message.prediction_id),
        LogField.TENANT_ID: message.tenant_id,
    }
