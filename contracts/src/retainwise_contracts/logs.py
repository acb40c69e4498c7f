"""The names of log events and fields that operators search for, the same in every service."""

from enum import StrEnum


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
