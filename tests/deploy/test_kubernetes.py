"""The manifests as kubectl builds them, and with a fault planted in what it built."""

import json

import pytest

from deploy.checks.kubernetes import build_manifests, check_pods
from deploy.checks.report import Report
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def manifests():
    report = Report(ROOT, terraform="terraform")
    built = build_manifests(report)
    assert built is not None, report.problems
    return json.dumps(built)


def test_manifests_give_each_program_what_it_reads(manifests):
    assert list(check_pods(json.loads(manifests))) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"BUCKET_NAME"', '"BUCKET"', "producer needs BUCKET_NAME and is not given it"),
        ('"LOG_LEVEL"', '"LOG_LEVELS"', "worker is given LOG_LEVELS, which it does not read"),
        ('"PREDICTIONS_DLQ_URL"', '"DLQ_URL"', "worker needs PREDICTIONS_DLQ_URL and is not given it"),
        ('"DATABASE_URL"', '"DSN"', "producer needs DATABASE_URL and is not given it"),
        ('"/livez"', '"/readyz"', "worker: its liveness probe does not ask for /livez"),
        ('"SHUTDOWN_GRACE_SECONDS": "95"', '"SHUTDOWN_GRACE_SECONDS": "110"', "producer is killed before it"),
        ("producer_api@sha256:" + "1" * 64, "producer_api:latest", "producer_api:latest is not by digest"),
    ],
)
def test_planted_fault_is_found(manifests, old, new, problem):
    assert old in manifests
    found = list(check_pods(json.loads(manifests.replace(old, new))))
    assert any(problem in each for each in found), found
