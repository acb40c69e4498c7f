import pytest

from retainwise_contracts.failures import FAILURES, FailureCode
from retainwise_contracts.health import Check, Health, HealthState
from retainwise_contracts.results import (
    HIGH_FROM,
    MEDIUM_FROM,
    REJECTED_COLUMNS,
    RiskLevel,
    risk_level,
    score_columns,
)
from retainwise_contracts.status import ALLOWED_TRANSITIONS, PredictionStatus

KNOWN = [status for status in PredictionStatus if status is not PredictionStatus.UNKNOWN]


def test_final_statuses_have_no_moves_and_others_can_end():
    for status in KNOWN:
        assert status.is_final is (not ALLOWED_TRANSITIONS[status])
    assert PredictionStatus.COMPLETED in ALLOWED_TRANSITIONS[PredictionStatus.RUNNING]
    assert PredictionStatus.COMPLETED not in ALLOWED_TRANSITIONS[PredictionStatus.QUEUED]


def test_every_failure_code_has_a_sentence():
    assert set(FAILURES) == set(FailureCode)
    assert all(kind.sentence.endswith(".") for kind in FAILURES.values())


@pytest.mark.parametrize(
    ("probability", "level"),
    [
        (0.0, RiskLevel.LOW),
        (MEDIUM_FROM - 1e-9, RiskLevel.LOW),
        (MEDIUM_FROM, RiskLevel.MEDIUM),
        (HIGH_FROM - 1e-9, RiskLevel.MEDIUM),
        (HIGH_FROM, RiskLevel.HIGH),
        (1.0, RiskLevel.HIGH),
    ],
)
def test_each_risk_level_includes_its_lower_bound(probability, level):
    assert risk_level(probability) is level


def test_each_reason_adds_four_score_columns():
    plain = [column.name for column in score_columns(0)]
    assert plain == [
        "row_number",
        "customer_id",
        "churn_probability",
        "risk_level",
        "inputs_known",
        "data_quality",
        "already_left",
    ]
    assert [column.name for column in score_columns(1)][7:] == [
        "reason_1",
        "reason_1_effect",
        "reason_1_value",
        "reason_1_text",
    ]
    assert len(score_columns(3)) == 19
    assert all(column.name.startswith("rejected_") for column in REJECTED_COLUMNS)


def test_worst_check_is_the_state_of_the_service():
    ok = Check(name="database", state=HealthState.OK, detail="")
    paused = Check(name="relay", state=HealthState.DEGRADED, detail="sending is paused")
    broken = Check(name="queue", state=HealthState.FAILED, detail="access denied")
    assert Health.of("producer_api", (ok,)).state is HealthState.OK
    assert Health.of("producer_api", (ok, paused)).state is HealthState.DEGRADED
    assert Health.of("producer_api", (paused, broken, ok)).state is HealthState.FAILED
