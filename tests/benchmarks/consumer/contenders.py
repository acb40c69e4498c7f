"""The processes that the benchmark measures: our consumer, and the bare loop that is the practical limit.

    python -m tests.benchmarks.consumer.contenders engine|bare

with QUEUE_URL, HANDLER_SECONDS and VISIBILITY_SECONDS (and the SDK's own settings) in the environment.
SIGTERM ends it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from aiobotocore.session import get_session

from consumer_worker.logs import configure_logs
from consumer_worker.sqs.consumer import Consumer
from consumer_worker.sqs.delivery import Delivery
from consumer_worker.sqs.outcomes import Ack
from consumer_worker.sqs.queue import BATCH_SIZE, SqsQueue, client_config
from consumer_worker.sqs.settings import ConsumerSettings

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

HANDLERS = 100
PREFETCH = 100
RECEIVERS = 6
QUEUE_URL = os.environ["QUEUE_URL"]
HANDLER_SECONDS = float(os.environ["HANDLER_SECONDS"])
VISIBILITY_SECONDS = int(os.environ["VISIBILITY_SECONDS"])


async def engine() -> None:
    """Consume with the whole engine, log lines included."""
    configure_logs("INFO")
    settings = ConsumerSettings.for_visibility(
        VISIBILITY_SECONDS, max_handlers=HANDLERS, prefetch=PREFETCH, max_receivers=RECEIVERS
    )

    async def handle(_: Delivery) -> Ack:
        await asyncio.sleep(HANDLER_SECONDS)
        return Ack()

    async with get_session().create_client("sqs", config=client_config(settings.max_connections)) as client:
        consumer = Consumer(SqsQueue(client, QUEUE_URL), handle, settings)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.drain)
        await consumer.run()


async def bare() -> None:
    """Receive, handle and delete in batches, and nothing else: no leases, no retries, no drain."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        get_session().create_client("sqs", config=client_config(64)) as client,
        asyncio.TaskGroup() as tasks,
    ):
        bare_loop = BareLoop(client, tasks)
        loops = [tasks.create_task(bare_loop.receive()) for _ in range(RECEIVERS)]
        loops.append(tasks.create_task(bare_loop.delete()))
        await stop.wait()
        for loop in loops:
            loop.cancel()


class BareLoop:
    """A consumer without any safety, as fast as the client allows."""

    def __init__(self, client: "SQSClient", tasks: asyncio.TaskGroup) -> None:
        self._client = client
        self._tasks = tasks
        self._room = HANDLERS + PREFETCH
        self._room_enough = asyncio.Condition()
        self._handlers = asyncio.Semaphore(HANDLERS)
        self._handled: asyncio.Queue[str] = asyncio.Queue()

    async def receive(self) -> None:
        """Receive full batches until cancelled."""
        while True:
            async with self._room_enough:
                await self._room_enough.wait_for(lambda: self._room >= BATCH_SIZE)
                self._room -= BATCH_SIZE
            answer = await self._client.receive_message(
                QueueUrl=QUEUE_URL, MaxNumberOfMessages=BATCH_SIZE, WaitTimeSeconds=20
            )
            messages = answer.get("Messages", [])
            self._room += BATCH_SIZE - len(messages)
            for message in messages:
                self._tasks.create_task(self._handle(message["ReceiptHandle"]))

    async def _handle(self, receipt: str) -> None:
        async with self._handlers:
            await asyncio.sleep(HANDLER_SECONDS)
        self._handled.put_nowait(receipt)

    async def delete(self) -> None:
        """Delete handled messages, ten at a time or after 50 ms."""
        while True:
            receipts = [await self._handled.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    while len(receipts) < BATCH_SIZE:
                        receipts.append(await self._handled.get())
            self._tasks.create_task(self._delete(receipts))

    async def _delete(self, receipts: list[str]) -> None:
        await self._client.delete_message_batch(
            QueueUrl=QUEUE_URL,
            Entries=[{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)],
        )
        async with self._room_enough:
            self._room += len(receipts)
            self._room_enough.notify()


if __name__ == "__main__":
    asyncio.run({"engine": engine, "bare": bare}[sys.argv[1]]())
