"""The settings, read once at start from the environment; a missing or invalid one ends the process."""

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PostgresDsn, SecretStr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumer_worker.sqs.queue import MAX_LONG_POLL_SECONDS, MAX_VISIBILITY_SECONDS
from consumer_worker.sqs.settings import ConsumerSettings

HANDLING_MARGIN_SECONDS = 30
"""Time the consumer gives a handler beyond the handler's own limit, to settle and clean up."""


class SettingsRefused(Exception):
    """A setting is missing or invalid; the text names each variable and what to set."""


def _dsn(value: SecretStr) -> SecretStr:
    PostgresDsn(value.get_secret_value())
    return value


def _not_below_visibility(value: int, others: ValidationInfo) -> int:
    if value < others.data.get("visibility_timeout_seconds", value):
        raise ValueError("it is below VISIBILITY_TIMEOUT_SECONDS, so that no lease would ever be extended")
    return value


class Settings(BaseSettings):
    """The worker's settings. Each is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_dsn)] = Field(
        description="postgresql://user:password@host:5432/name, of a member of the role retainwise_worker"
    )
    predictions_queue_url: str = Field(
        pattern="^https?://", description="The URL of the SQS queue of requests"
    )
    predictions_dlq_url: str = Field(pattern="^https?://", description="The URL of its dead-letter queue")
    bucket_name: str = Field(min_length=3, description="The S3 bucket of the uploads and the results")
    aws_region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="The AWS region, as eu-central-1")

    visibility_timeout_seconds: int = Field(
        default=45,
        ge=2,
        le=MAX_VISIBILITY_SECONDS - HANDLING_MARGIN_SECONDS,
        description="How long a received message, and the lease on its row, stay hidden without a heartbeat",
    )
    max_handling_seconds: Annotated[int, AfterValidator(_not_below_visibility)] = Field(
        default=3_600,
        validate_default=True,
        le=MAX_VISIBILITY_SECONDS - HANDLING_MARGIN_SECONDS,
        description="The longest a file may take before the attempt is given up; "
        "not below VISIBILITY_TIMEOUT_SECONDS",
    )
    max_concurrent_messages: int = Field(default=8, ge=1, le=1_000, description="Messages handled at once")
    max_concurrent_per_tenant: int = Field(
        default=4, ge=1, le=1_000, description="Messages of one tenant handled at once"
    )
    scoring_threads: int = Field(
        default=max(2, os.cpu_count() or 1),
        ge=2,
        le=256,
        description="Files scored at once; one of them is always kept for a small file",
    )
    max_attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Attempts that may fail by themselves before a prediction becomes FAILED",
    )
    reconcile_seconds: float = Field(
        default=60, ge=0.1, le=3_600, description="How often to look for predictions that nobody will end"
    )
    sweep_seconds: float = Field(
        default=300, ge=0.1, le=86_400, description="How often to remove what ended attempts left behind"
    )
    unused_results_seconds: float = Field(
        default=86_400,
        ge=0,
        description="Age at which result files of no use are removed",
    )
    shutdown_grace_seconds: float = Field(
        default=110,
        ge=5,
        le=3_600,
        description="From SIGTERM to exit; below the limit of the orchestrator (ECS stopTimeout: 120)",
    )
    scratch_directory: str | None = Field(
        default=None,
        description="Folder for files while they are scored; the system's temporary folder if not set",
    )
    health_host: str = Field(default="0.0.0.0", description="Where /livez, /readyz and /metrics listen")  # noqa: S104 a container is reached from outside
    health_port: int = Field(default=8081, ge=0, le=65_535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def consumer(self) -> ConsumerSettings:
        """The settings of the consumer."""
        return ConsumerSettings.for_visibility(
            self.visibility_timeout_seconds,
            max_handlers=self.max_concurrent_messages,
            max_handlers_per_group=self.max_concurrent_per_tenant,
            prefetch=self.max_concurrent_messages,
            max_handling_seconds=self.max_handling_seconds + HANDLING_MARGIN_SECONDS,
            grace_seconds=self.shutdown_grace_seconds,
            # A poll that is abandoned can still be given messages, so a long grace waits for its end.
            poll_drain_seconds=min(MAX_LONG_POLL_SECONDS + 1, self.shutdown_grace_seconds / 4),
        )


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsRefused: one or more are missing or invalid; all are named, and no value is shown.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0])
            expected = Settings.model_fields[name].description or "see the README"
            complaint = "is not set" if problem["type"] == "missing" else f"is invalid: {problem['msg']}"
            problems.append(f"{name.upper()} {complaint}. Set it to: {expected}")
        raise SettingsRefused("\n".join(problems)) from None
