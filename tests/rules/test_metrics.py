"""The metrics that the contracts promise are those that the services register."""

from prometheus_client import CollectorRegistry

from consumer_worker.sqs.telemetry import ConsumerMetrics
from producer_api.telemetry import ApiMetrics
from retainwise_contracts.metrics import Metric
from tests.conftest import ROOT


def test_every_promised_metric_is_registered():
    registry = CollectorRegistry()
    ConsumerMetrics(registry)
    ApiMetrics(registry)
    registered = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()
    }
    reconciler = (ROOT / "consumer_worker/src/consumer_worker/reconciler.py").read_text("utf-8")
    assert set(Metric) - registered == {Metric.RECONCILED}
    assert f'"{Metric.RECONCILED.removesuffix("_total")}"' in reconciler
