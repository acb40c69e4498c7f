"""`make check-api` fails when a limit is missed, a check breaks or a count is missing."""

import json

import pytest

from tests.api.__main__ import find_checks
from tests.api.report import AT_LEAST, AT_MOST, KEYS, Report

GOOD = {key: AT_LEAST.get(key, 0) for key in KEYS}


def test_run_within_all_limits_passes():
    report = Report()
    report.add("all", GOOD, 1.0)
    assert report.broken(complete=True) == []
    assert list(json.loads(report.to_json())) == list(KEYS)


@pytest.mark.parametrize("key", [*AT_MOST, *AT_LEAST])
def test_missed_limit_is_named(key):
    report = Report()
    missed = AT_MOST[key] + 1 if key in AT_MOST else AT_LEAST[key] - 1
    report.add("all", GOOD | {key: missed}, 1.0)
    (text,) = report.broken(complete=True)
    assert text.startswith(f"{key} is {missed}")


def test_counts_are_summed_and_errors_are_not():
    report = Report()
    report.add("one", {"probes": 2, "explanation_max_error": 1e-9}, 1.0)
    report.add("two", {"probes": 3, "explanation_max_error": 1e-8, "api_peak_mb": 7}, 1.0)
    assert json.loads(report.to_json()) == {"probes": 5, "explanation_max_error": 1e-8}


def test_missing_count_is_named_in_a_complete_run_only():
    report = Report()
    report.add("all", {key: count for key, count in GOOD.items() if key != "leaks"}, 1.0)
    assert report.broken(complete=True) == ["leaks was not counted"]
    assert report.broken(complete=False) == []


def test_broken_check_is_named():
    report = Report()
    report.add("all", GOOD, 1.0)
    report.break_with("tokens", AssertionError("one was accepted"))
    assert report.broken(complete=True) == ["tokens has broken: AssertionError('one was accepted')"]


def test_checks_are_found_by_their_names():
    assert {"broken", "clients", "cors", "idempotency", "routes", "schemathesis", "tokens"} <= set(
        find_checks()
    )
