"""The settings, read once at start from the environment; the process exits if one is missing or invalid."""

import re
from typing import Annotated, Literal

from aiohttp import web
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PostgresDsn,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class SettingsRefused(Exception):
    """Environment variables are missing or invalid; the text names each one and what to set."""


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


def _dsn(value: SecretStr) -> SecretStr:
    PostgresDsn(value.get_secret_value())
    return value


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("an origin is a scheme, a host and an optional port, without a path")
    return origins


class Settings(BaseSettings):
    """The API's settings. Each is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_dsn)] = Field(
        description="postgresql://user:password@host:5432/name, with a user in the role retainwise_producer"
    )
    predictions_queue_url: str = Field(
        pattern="^https?://", description="The URL of the SQS queue of requests"
    )
    prediction_events_topic_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:sns:", description="The ARN of the SNS topic that other teams subscribe to"
    )
    bucket_name: str = Field(min_length=3, description="The S3 bucket of the uploads and the results")
    aws_region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="The AWS region, such as eu-central-1"
    )
    jwks_url: str = Field(pattern="^https?://", description="The URL of the token issuer's JSON Web Key Set")
    jwt_issuer: str = Field(min_length=1, description="The issuer (claim iss) whose tokens are accepted")
    jwt_audience: str = Field(min_length=1, description="The audience (claim aud) that tokens must have")

    enable_sqs: bool = Field(
        default=True,
        description="false pauses sending: uploads are accepted and their messages stay in the outbox",
    )
    cors_allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        default=(),
        validate_default=False,  # the default is already parsed
        description="Comma-separated origins of browser pages that may call the API, such as https://app.example.com",
    )
    default_model: str = Field(
        default="telco-churn@1.0.0", description="The model for requests that name none, as name@version"
    )
    max_upload_bytes: int = Field(
        default=1_073_741_824, ge=1, le=50_000_000_000, description="The maximum size of a file in bytes"
    )
    max_concurrent_uploads: int = Field(
        default=32,
        ge=1,
        le=1_000,
        description="The maximum number of concurrent uploads; each uses up to 35 MB of memory",
    )
    upload_idle_seconds: float = Field(
        default=30,
        gt=0,
        le=3_600,
        description="How long an upload may send no data, or be slower than MIN_UPLOAD_BYTES_PER_SECOND",
    )
    min_upload_bytes_per_second: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000_000,
        description="An upload that stays slower than this for UPLOAD_IDLE_SECONDS is refused",
    )
    orphan_age_seconds: float = Field(
        default=86_400,
        gt=0,
        le=31_536_000,
        description="An object below uploads/ that is older than this and has no row is deleted",
    )
    requests_per_second: float = Field(
        default=100,
        gt=0,
        le=1_000_000,
        description="Requests a second that one tenant may send to one replica; ten seconds' worth at once",
    )
    max_unfinished_predictions: int = Field(
        default=100, ge=1, le=1_000_000, description="The maximum number of a tenant's unfinished predictions"
    )
    max_event_streams: int = Field(
        default=400,
        ge=1,
        le=100_000,
        description="The maximum number of requests that wait for events; keep it below MAX_CONNECTIONS",
    )
    console_oidc_authorize_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="where readers of the console sign in: your identity provider's authorization endpoint",
    )
    console_oidc_token_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="the provider's token endpoint; it must allow this API's origin by CORS",
    )
    console_oidc_scope: str = Field(
        default="openid", min_length=1, description="what the console asks the provider for, such as openid"
    )
    console_oidc_client_id: str | None = Field(
        default=None,
        min_length=1,
        validate_default=True,
        description="the console's id at the provider, a public client with PKCE; set all three "
        "CONSOLE_OIDC_… or none",
    )
    upload_retention_days: int = Field(
        default=30, ge=1, description="How long the bucket keeps uploads, by its lifecycle rule; only shown"
    )
    result_retention_days: int = Field(
        default=365, ge=1, description="How long the bucket keeps results, by its lifecycle rule; only shown"
    )
    result_cache_bytes: int = Field(
        default=4_294_967_296,
        ge=1_048_576,
        description="How much disk the result files take that are kept for reading them row by row",
    )
    result_cache_directory: str | None = Field(
        default=None,
        description="A folder for result files while they are read; the system's temporary one if not set",
    )
    max_connections: int = Field(
        default=1_000, ge=16, le=100_000, description="The maximum number of open connections of clients"
    )
    shutdown_delay_seconds: float = Field(
        default=5,
        ge=0,
        le=300,
        description="How long /readyz answers 503 after SIGTERM before new uploads are refused",
    )
    shutdown_grace_seconds: float = Field(
        default=110,
        ge=0,
        le=3_600,
        description="How long running uploads may take after SIGTERM; set it below the orchestrator's limit",
    )
    http_host: str = Field(default="0.0.0.0", description="The address the API listens on")  # noqa: S104 a container must be reachable
    http_port: int = Field(default=8080, ge=0, le=65_535, description="0 picks a free port")
    admin_host: str = Field(
        default="127.0.0.1",
        description="The address of the port for operators: /metrics and health in detail",
    )
    admin_port: int = Field(default=8082, ge=0, le=65_535, description="0 picks a free port")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("console_oidc_client_id")
    @classmethod
    def _all_of_oidc_or_none(cls, client_id: str | None, info: ValidationInfo) -> str | None:
        urls = (info.data.get(name) for name in ("console_oidc_authorize_url", "console_oidc_token_url"))
        if len({value is None for value in (client_id, *urls)}) > 1:
            raise ValueError("CONSOLE_OIDC_AUTHORIZE_URL, …_TOKEN_URL and …_CLIENT_ID go together")
        return client_id


SETTINGS = web.AppKey("settings", Settings)


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsRefused: settings are missing or invalid; the text names all of them and shows no values.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0])
            description = Settings.model_fields[name].description or "see the README"
            state = "is not set" if problem["type"] == "missing" else f"is invalid: {problem['msg']}"
            problems.append(f"{name.upper()} {state}. Set it to: {description}")
        raise SettingsRefused("\n".join(problems)) from None
