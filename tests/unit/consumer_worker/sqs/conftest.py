import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiobotocore.session import get_session
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumer_worker.sqs.breaker import Probe
from consumer_worker.sqs.consumer import Consumer, Handler
from consumer_worker.sqs.queue import client_config
from consumer_worker.sqs.settings import ConsumerSettings
from consumer_worker.sqs.telemetry import ConsumerMetrics
from tests.benchmarks.consumer.broker import Broker, Connection
from tests.unit.consumer_worker.sqs.fake_queue import FakeQueue
from tests.unit.consumer_worker.sqs.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    return {"virtual": VirtualTimeLoop, "real": asyncio.SelectorEventLoop}


class RunningConsumer(Consumer):
    """A consumer and the task that runs it."""

    task: asyncio.Task[None]


@pytest.fixture(autouse=True)
def logs():
    """The log lines, not rendered: rendering tracebacks would take most of the tests' time."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sample(registry):
    """Read one of the consumer's metrics; 0 if nothing was counted yet."""
    return lambda name, **labels: registry.get_sample_value(f"sqs_consumer_{name}", labels) or 0


@pytest.fixture
def metrics(registry) -> ConsumerMetrics:
    return ConsumerMetrics(registry)


@pytest.fixture
def consuming(queue, metrics):
    """Run a consumer on `queue` while the block runs, then drain it and check that it holds nothing."""

    @asynccontextmanager
    async def run(handler: Handler, *, probes: Mapping[str, Probe] | None = None, **settings: Any):
        defaults = {"prefetch": 100, "max_handlers": 100, "visibility_seconds": 60, "poll_drain_seconds": 1.0}
        settings = defaults | settings
        consumer = RunningConsumer(
            queue,
            handler,
            ConsumerSettings.for_visibility(settings.pop("visibility_seconds"), **settings),
            probes=probes or {},
            clock=asyncio.get_running_loop().time,
            metrics=metrics,
        )
        consumer.task = asyncio.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.drain()
            await asyncio.wait((consumer.task,))
        if not consumer.task.cancelled() and consumer.task.exception() is None:
            assert queue.violations == []
            assert consumer._permits.free == consumer.settings.permits
            assert not consumer._deliveries

    return run


@pytest_asyncio.fixture(loop_scope="function")
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(broker, delay_seconds=0), "127.0.0.1", 0)
    broker.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield broker
    server.close()


@pytest_asyncio.fixture(loop_scope="function")
async def client(broker) -> AsyncIterator[Any]:
    async with get_session().create_client(
        "sqs",
        endpoint_url=broker.address,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=client_config(4),
    ) as client:
        yield client
