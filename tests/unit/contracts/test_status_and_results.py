import pytest
from pydantic import ValidationError

from retainwise_contracts.events import EventType
from retainwise_contracts.failures import FAILURES, FailureCode
from retainwise_contracts.health import Check, Health, HealthState
from retainwise_contracts.prediction_requested import ScoringOptions
from retainwise_contracts.results import (
    HIGH_FROM,
    MEDIA_TYPES,
    MEDIUM_FROM,
    REJECTED_COLUMNS,
    FeatureKind,
    FileDigest,
    ResultFile,
    RiskLevel,
    risk_level,
    score_columns,
    value_columns,
    worklist_columns,
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


def test_worklist_has_the_columns_of_the_scores_and_what_is_at_risk():
    features: list[tuple[str, FeatureKind]] = [("tenure", "numeric"), ("Contract", "categorical")]
    values = value_columns(features)
    assert [(column.name, column.type, column.nullable) for column in values] == [
        ("value_tenure", "float64", True),
        ("value_Contract", "string", True),
        ("customer_value", "float64", True),
    ]
    *columns, at_risk = worklist_columns(2, features)
    assert columns == [*score_columns(2), *values]
    assert at_risk.name == "value_at_risk"


def test_completed_prediction_names_only_files_that_readers_of_1_0_0_know():
    """Contracts 1.0.0 refuse the whole message for a name they do not know."""
    digest = {"size_bytes": 1, "sha256": "a" * 64}
    stored = {"key": "k", "media_type": "m"}
    with pytest.raises(ValidationError, match="name"):
        ResultFile.model_validate({"name": "worklist.parquet", **digest, **stored})
    known = {"scores.parquet", "scores.csv", "rejected.csv", "manifest.json"}
    for name in MEDIA_TYPES:
        assert FileDigest.model_validate({"name": name, **digest}).name == name
        if name in known:
            assert ResultFile.model_validate({"name": name, **digest, **stored}).name == name
    assert set(MEDIA_TYPES) == {*known, "worklist.parquet"}


@pytest.mark.parametrize("currency", ["€", "USD", "R$", "zł"])
def test_currency_is_a_short_printable_text(currency):
    assert ScoringOptions(currency=currency).currency == currency


@pytest.mark.parametrize("currency", ["", " ", "EUR ", "E\nR", "\u202e$", "x" * 9])
def test_other_currencies_are_refused(currency):
    with pytest.raises(ValidationError, match="currency"):
        ScoringOptions(currency=currency)


def test_every_final_status_has_an_event():
    events = {event.name for event in EventType}
    assert {status.name for status in KNOWN if status.is_final} <= events
