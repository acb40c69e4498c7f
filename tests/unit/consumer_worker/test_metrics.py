"""The names that the worker's dashboards and alarms know."""

from typing import Any, cast
from unittest.mock import Mock

from prometheus_client import CollectorRegistry

from consumer_worker.sqs.settings import ConsumerSettings
from consumer_worker.worker import build_consumer


def test_worker_publishes_the_consumer_metrics_under_its_own_prefix():
    registry = CollectorRegistry()
    resources = cast("Any", Mock())
    settings = cast("Any", Mock(consumer=ConsumerSettings()))
    build_consumer(cast("Any", Mock()), resources, settings, registry=registry)
    names = {metric.name for metric in registry.collect()}
    assert "retainwise_consumer_in_flight" in names
    assert all(name.startswith("retainwise_consumer_") for name in names)
