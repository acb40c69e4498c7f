import os
import subprocess
import sys

import pytest

from consumer_worker.settings import Settings, SettingsRefused, read_settings

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://consumer_worker:hidden-word@127.0.0.1:5432/retainwise",
    "PREDICTIONS_QUEUE_URL": "http://127.0.0.1:4566/000000000000/retainwise-predictions",
    "PREDICTIONS_DLQ_URL": "http://127.0.0.1:4566/000000000000/retainwise-predictions-dlq",
    "BUCKET_NAME": "retainwise-files",
    "AWS_REGION": "eu-central-1",
}
REQUIRED = [name.upper() for name, field in Settings.model_fields.items() if field.is_required()]


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_required_settings_are_enough(environment):
    assert set(REQUIRED) == set(ENVIRONMENT)
    settings = read_settings()
    assert settings.bucket_name == "retainwise-files"
    assert "hidden-word" not in repr(settings)


@pytest.mark.parametrize("missing", REQUIRED)
def test_process_exits_and_names_the_setting_when_it_is_missing(missing):
    environment = {name: value for name, value in (os.environ | ENVIRONMENT).items() if name != missing}
    ended = subprocess.run(
        [sys.executable, "-m", "consumer_worker"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert f"{missing} is not set. Set it to: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://consumer_worker:hidden-word@db/retainwise"),
        ("PREDICTIONS_QUEUE_URL", "retainwise-predictions"),
        ("PREDICTIONS_QUEUE_URL", ""),
        ("AWS_REGION", "Frankfurt"),
        ("VISIBILITY_TIMEOUT_SECONDS", "43201"),
        ("MAX_HANDLING_SECONDS", "43171"),
        ("SCORING_THREADS", "1"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_refusal_names_an_invalid_setting_and_hides_its_value(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsRefused, match=f"^{name} is invalid") as refused:
        read_settings()
    assert "hidden-word" not in str(refused.value)


@pytest.mark.parametrize(
    "times",
    [
        {"VISIBILITY_TIMEOUT_SECONDS": "2"},
        {"VISIBILITY_TIMEOUT_SECONDS": "43170", "MAX_HANDLING_SECONDS": "43170"},
        {"SHUTDOWN_GRACE_SECONDS": "5"},
    ],
)
def test_consumer_accepts_the_bounds_of_the_settings(environment, times):
    for name, value in times.items():
        environment.setenv(name, value)
    assert read_settings().consumer.permits == 16


def test_settings_refuse_a_handling_time_below_the_visibility_timeout(environment):
    environment.setenv("VISIBILITY_TIMEOUT_SECONDS", "3601")
    with pytest.raises(
        SettingsRefused, match=r"^MAX_HANDLING_SECONDS is invalid: .* VISIBILITY_TIMEOUT_SECONDS"
    ):
        read_settings()


def test_refusal_names_all_problems_at_once(environment):
    environment.delenv("BUCKET_NAME")
    environment.setenv("AWS_REGION", "Frankfurt")
    with pytest.raises(SettingsRefused) as refused:
        read_settings()
    assert "BUCKET_NAME" in str(refused.value)
    assert "AWS_REGION" in str(refused.value)
