"""The names of log events and fields that operators search for, equal in all services."""

from enum import StrEnum


class StartupEvent(StrEnum):
    """Log events of a service's startup, which show how far it got."""

    DATABASE_INITIALIZED = "database_initialized"
    SQS_CLIENT_INITIALIZED = "sqs_client_initialized"
    S3_CLIENT_INITIALIZED = "s3_client_initialized"
    SNS_CLIENT_INITIALIZED = "sns_client_initialized"
    JWT_VERIFIER_INITIALIZED = "jwt_verifier_initialized"
    MODEL_LOADED = "model_loaded"
    STARTUP_COMPLETE = "startup_complete"
    STARTUP_REFUSED = "startup_refused"


class LogField(StrEnum):
    """Log fields that mean the same in every service."""

    SERVICE = "service"
    TENANT_ID = "tenant_id"
    PREDICTION_ID = "prediction_id"
    UPLOAD_ID = "upload_id"
    MESSAGE_ID = "message_id"
    REQUEST_ID = "request_id"
    TRACE_ID = "trace_id"
