"""What `/livez` and `/readyz` answer, and the names of log events and fields that operators search for."""

from enum import StrEnum

from retainwise_contracts.model import Contract, OpenEnum


class HealthState(OpenEnum):
    """The state of a service or of one thing it needs."""

    OK = "ok"
    DEGRADED = "degraded"
    """It serves, with a part of its work held back: publishing is paused, for one."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class Check(Contract):
    """One thing a service needs, and what is the matter with it where it is not ok."""

    name: str
    state: HealthState
    detail: str


class Health(Contract):
    """The answer of `/livez` and `/readyz`: HTTP 503 where the state is failed, else 200."""

    state: HealthState
    service: str
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, service: str, checks: tuple[Check, ...]) -> "Health":
        """Sum up the checks: the worst of them is the state of the service."""
        states = {check.state for check in checks}
        for state in (HealthState.FAILED, HealthState.DEGRADED):
            if state in states:
                return cls(state=state, service=service, checks=checks)
        return cls(state=HealthState.OK, service=service, checks=checks)


class StartupEvent(StrEnum):
    """Log events that tell how far a service came while it started."""

    DATABASE_INITIALIZED = "database_initialized"
    SQS_CLIENT_INITIALIZED = "sqs_client_initialized"
    S3_CLIENT_INITIALIZED = "s3_client_initialized"
    SNS_CLIENT_INITIALIZED = "sns_client_initialized"
    JWT_VERIFIER_INITIALIZED = "jwt_verifier_initialized"
    MODEL_LOADED = "model_loaded"
    STARTUP_COMPLETE = "startup_complete"
    STARTUP_REFUSED = "startup_refused"


class LogField(StrEnum):
    """Fields that mean the same in every service's log lines."""

    SERVICE = "service"
    TENANT_ID = "tenant_id"
    PREDICTION_ID = "prediction_id"
    UPLOAD_ID = "upload_id"
    MESSAGE_ID = "message_id"
    REQUEST_ID = "request_id"
    TRACE_ID = "trace_id"
