"""What an operator sets. Read once at start from the environment; a missing or bad one ends the process."""

import re
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, PostgresDsn, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class SettingsRefused(Exception):
    """The environment does not hold what the API needs; the text names each variable and what to set."""


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


def _dsn(value: SecretStr) -> SecretStr:
    PostgresDsn(value.get_secret_value())
    return value


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("an origin is a scheme, a host and perhaps a port, with nothing behind")
    return origins


class Settings(BaseSettings):
    """The API's settings. Each is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_dsn)] = Field(
        description="postgresql://user:password@host:5432/name, of a member of the role retainwise_producer"
    )
    predictions_queue_url: str = Field(
        pattern="^https?://", description="The URL of the SQS queue of requests"
    )
    prediction_events_topic_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:sns:", description="The ARN of the SNS topic that other teams subscribe to"
    )
    bucket_name: str = Field(min_length=3, description="The S3 bucket of the uploads and the results")
    aws_region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="The AWS region, as eu-central-1")
    jwks_url: str = Field(
        pattern="^https?://", description="Where the token issuer publishes its keys, as a JSON Web Key Set"
    )
    jwt_issuer: str = Field(min_length=1, description="The issuer (claim iss) whose tokens are accepted")
    jwt_audience: str = Field(min_length=1, description="The audience (claim aud) tokens must be made for")

    enable_sqs: bool = Field(
        default=True,
        description="false pauses the publishing: uploads are accepted and their messages wait in the outbox",
    )
    cors_allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        default=(),
        validate_default=False,  # it is what the validator makes, not what it reads
        description="Origins of browser pages that may call, comma separated: https://app.example.com",
    )
    default_model: str = Field(
        default="telco-churn@1.0.0", description="The model of requests that name none, as name@version"
    )
    max_upload_bytes: int = Field(
        default=1_073_741_824, ge=1, le=50_000_000_000, description="The largest file that is accepted"
    )
    max_concurrent_uploads: int = Field(
        default=32,
        ge=1,
        le=1_000,
        description="Uploads taken at once; each may hold up to 30 MB of memory while it arrives",
    )
    upload_idle_seconds: float = Field(
        default=30, gt=0, le=3_600, description="How long an upload may send nothing before it is refused"
    )
    shutdown_grace_seconds: float = Field(
        default=110,
        ge=0,
        le=3_600,
        description="How long uploads in the air may take after SIGTERM; below the orchestrator's own limit",
    )
    http_host: str = Field(default="0.0.0.0", description="Where the API listens")  # noqa: S104 a container is reached from outside
    http_port: int = Field(default=8080, ge=0, le=65_535, description="0 picks a free port")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


SETTINGS = web.AppKey("settings", Settings)


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsRefused: one or more are missing or bad; all of them are named, none of their values shown.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0])
            wanted = Settings.model_fields[name].description or "see the README"
            said = "is not set" if problem["type"] == "missing" else f"is refused: {problem['msg']}"
            problems.append(f"{name.upper()} {said}. Set it to: {wanted}")
        raise SettingsRefused("\n".join(problems)) from None
