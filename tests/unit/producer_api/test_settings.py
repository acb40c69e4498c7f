import os
import subprocess
import sys

import pytest

from producer_api.settings import Settings, SettingsRefused, read_settings

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://producer_api:hidden-word@127.0.0.1:5432/retainwise",
    "PREDICTIONS_QUEUE_URL": "http://127.0.0.1:4566/000000000000/retainwise-predictions",
    "PREDICTION_EVENTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:000000000000:retainwise-prediction-events",
    "BUCKET_NAME": "retainwise-files",
    "AWS_REGION": "eu-central-1",
    "JWKS_URL": "https://issuer.example/jwks.json",
    "JWT_ISSUER": "https://issuer.example",
    "JWT_AUDIENCE": "retainwise-api",
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
    assert settings.enable_sqs
    assert settings.cors_allowed_origins == ()
    assert settings.max_upload_bytes == 1 << 30
    assert settings.admin_host == "127.0.0.1"  # not public unless somebody asks for it
    assert settings.orphan_age_seconds == 86_400
    assert settings.max_connections == 1_000
    assert settings.min_upload_bytes_per_second == 10_000
    assert "hidden-word" not in repr(settings)


@pytest.mark.parametrize("missing", REQUIRED)
def test_missing_setting_is_named_with_what_to_set(environment, missing):
    environment.delenv(missing)
    with pytest.raises(SettingsRefused, match=f"^{missing} is not set. Set it to: ."):
        read_settings()


def test_process_names_every_bad_setting_and_no_secret():
    environment = os.environ | ENVIRONMENT
    environment["DATABASE_URL"] = "mysql://producer_api:hidden-word@db/retainwise"
    environment["AWS_REGION"] = "Frankfurt"
    del environment["JWT_ISSUER"]
    ended = subprocess.run(
        [sys.executable, "-m", "producer_api"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    named = [line.split()[0] for line in ended.stderr.splitlines()[1:]]
    assert named == ["DATABASE_URL", "AWS_REGION", "JWT_ISSUER"]
    assert "hidden-word" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREDICTIONS_QUEUE_URL", ""),
        ("PREDICTION_EVENTS_TOPIC_ARN", "retainwise-prediction-events"),
        ("JWKS_URL", "issuer.example"),
        ("JWT_AUDIENCE", ""),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_CONCURRENT_UPLOADS", "0"),
        ("UPLOAD_IDLE_SECONDS", "0"),
        ("UPLOAD_IDLE_SECONDS", "nan"),
        ("MIN_UPLOAD_BYTES_PER_SECOND", "0"),
        ("MAX_CONNECTIONS", "15"),
        ("ORPHAN_AGE_SECONDS", "0"),
        ("ORPHAN_AGE_SECONDS", "inf"),
        ("SHUTDOWN_DELAY_SECONDS", "-1"),
        ("HTTP_PORT", "65536"),
        ("ADMIN_PORT", "65536"),
        ("ENABLE_SQS", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_invalid_setting_is_named(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsRefused, match=f"^{name} is invalid"):
        read_settings()


def test_origins_are_split_at_commas(environment):
    environment.setenv("CORS_ALLOWED_ORIGINS", "https://app.example.com, http://localhost:3000")
    assert read_settings().cors_allowed_origins == ("https://app.example.com", "http://localhost:3000")


OIDC = {
    "CONSOLE_OIDC_AUTHORIZE_URL": "https://login.example.com/authorize",
    "CONSOLE_OIDC_TOKEN_URL": "https://login.example.com/token",
    "CONSOLE_OIDC_CLIENT_ID": "retainwise-console",
}


def test_console_signs_in_with_a_provider(environment):
    for name, value in OIDC.items():
        environment.setenv(name, value)
    assert read_settings().console_oidc_client_id == "retainwise-console"


@pytest.mark.parametrize("missing", OIDC)
def test_half_of_a_provider_is_refused(environment, missing):
    for name, value in OIDC.items():
        if name != missing:
            environment.setenv(name, value)
    with pytest.raises(
        SettingsRefused, match="CONSOLE_OIDC_AUTHORIZE_URL, …_TOKEN_URL and …_CLIENT_ID go to"
    ):
        read_settings()
