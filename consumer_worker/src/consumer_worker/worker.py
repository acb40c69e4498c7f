"""The wiring of a worker: resources, handler and consumer, together for as long as it runs."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Never

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from consumer_worker.errors import DatabaseUnavailable, ScratchUnavailable, SideTaskFailed, StorageUnavailable
from consumer_worker.handler import PredictionHandler
from consumer_worker.health import NotHealthy, serve_health
from consumer_worker.reconciler import Reconciler, ReconcilerSettings
from consumer_worker.resources import Resources, open_resources
from consumer_worker.scratch import probe_scratch
from consumer_worker.settings import Settings
from consumer_worker.sqs.breaker import Probe
from consumer_worker.sqs.consumer import Consumer
from consumer_worker.sqs.telemetry import ConsumerMetrics
from consumer_worker.sweeper import Sweeper
from retainwise_contracts.logs import StartupEvent

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def run_worker(settings: Settings) -> None:
    """Consume until SIGTERM or SIGINT, then drain; a second signal releases everything and exits.

    Raises:
        StartRefused: something the worker needs is missing.
        QueueRefused: the queue is gone, or access to it is denied.
        SideTaskFailed: the reconciler, the sweeper or the watch for cancellations ended.
    """
    async with open_resources(settings) as resources:
        handler = build_handler(resources, settings)
        consumer = build_consumer(handler, resources, settings)
        async with serve_health(
            settings.health_host,
            settings.health_port,
            live={"loops": lambda: _require(consumer.live, "a loop of the consumer hangs")},
            ready={
                "consumer": lambda: _require(
                    consumer.ready or bool(consumer.unavailable), "starting or draining"
                ),
                "queue": resources.queues.requests.count_messages,
                **{
                    name: partial(_require_available, consumer, name, probe)
                    for name, probe in build_probes(handler, resources).items()
                },
            },
        ):
            _drain_on_signal(consumer)
            log.info(StartupEvent.STARTUP_COMPLETE, models=list(resources.models))
            async with _run_alongside(
                consumer,
                watch_cancellations=handler.watch_cancellations(),
                reconciler=build_reconciler(
                    resources, settings, is_paused=lambda: bool(consumer.unavailable)
                ).run(),
                sweeper=build_sweeper(resources, settings).run(),
            ):
                await consumer.run()
    log.info("worker_stopped")


@asynccontextmanager
async def _run_alongside(
    consumer: Consumer, **side_tasks: Coroutine[None, None, Never]
) -> AsyncIterator[None]:
    """Run tasks that never end by themselves while the block runs; if one does, drain the consumer.

    Raises:
        SideTaskFailed: one of them ended, after the block.
    """
    failed: list[asyncio.Task[Never]] = []

    def drain_if_failed(task: asyncio.Task[Never]) -> None:
        if not task.cancelled():
            log.critical("side_task_failed", task=task.get_name(), exc_info=task.exception())
            failed.append(task)
            consumer.drain()

    tasks = [asyncio.create_task(side_task, name=name) for name, side_task in side_tasks.items()]
    for task in tasks:
        task.add_done_callback(drain_if_failed)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in failed:
        raise SideTaskFailed(f"{task.get_name()}: {task.exception()!r}") from task.exception()


def build_handler(resources: Resources, settings: Settings) -> PredictionHandler:
    """Build the handler of one message."""
    return PredictionHandler(
        store=resources.store,
        objects=resources.objects,
        models=resources.models,
        scoring_pool=resources.scoring_pool,
        max_attempts=settings.max_attempts,
        max_handling_seconds=settings.max_handling_seconds,
        max_receive_count=resources.queues.max_receive_count,
        scratch=resources.scratch,
    )


def build_probes(handler: PredictionHandler, resources: Resources) -> Mapping[str, Probe]:
    """Build the check of each thing that every message needs, by the names the handler gives them."""
    return {
        DatabaseUnavailable.dependency: handler.probe_database,
        StorageUnavailable.dependency: resources.objects.probe,
        ScratchUnavailable.dependency: partial(asyncio.to_thread, probe_scratch, resources.scratch),
    }


def build_consumer(
    handler: PredictionHandler,
    resources: Resources,
    settings: Settings,
    *,
    registry: CollectorRegistry = REGISTRY,
) -> Consumer:
    """Build the consumer around the handler."""
    return Consumer(
        resources.queues.requests,
        handler,
        settings.consumer,
        probes=build_probes(handler, resources),
        metrics=ConsumerMetrics(registry, prefix="retainwise_consumer"),
    )


def build_reconciler(
    resources: Resources,
    settings: Settings,
    *,
    is_paused: Callable[[], bool] = lambda: False,
    registry: CollectorRegistry = REGISTRY,
) -> Reconciler:
    """Build the reconciler."""
    return Reconciler(
        resources.store,
        resources.queues.requests,
        resources.queues.dead_letter,
        ReconcilerSettings(
            sweep_seconds=settings.reconcile_seconds,
            lease_seconds=settings.visibility_timeout_seconds,
            max_attempts=settings.max_attempts,
        ),
        registry,
        is_paused=is_paused,
    )


def build_sweeper(resources: Resources, settings: Settings) -> Sweeper:
    """Build the sweeper."""
    return Sweeper(
        resources.store,
        resources.objects,
        resources.scratch,
        sweep_seconds=settings.sweep_seconds,
        results_age=timedelta(seconds=settings.unused_results_seconds),
    )


def _drain_on_signal(consumer: Consumer) -> None:
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        log.info("signal_received", signal=signal.Signals(number).name, times=len(received))
        (consumer.drain if len(received) == 1 else consumer.stop_now)()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _require(healthy: bool, problem: str) -> None:
    if not healthy:
        raise NotHealthy(problem)


async def _require_available(consumer: Consumer, dependency: str, probe: Probe) -> None:
    """Check what the consumer waits for by what handlers met, all else by its probe."""
    await _require(dependency not in consumer.unavailable, consumer.unavailable.get(dependency, ""))
    await probe()
