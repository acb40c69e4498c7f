"""What `/v1/me` answers, for the document and the tests."""

from pydantic import BaseModel, Field


class Limits(BaseModel):
    """What a tenant may do."""

    requests_per_second: float = Field(description="To one replica; ten seconds' worth at once")
    max_unfinished_predictions: int
    max_upload_bytes: int = Field(description="The largest file")
    max_json_bytes: int = Field(description="The largest body in JSON")


class Usage(BaseModel):
    """What a tenant uses of its limits at the moment."""

    unfinished_predictions: int


class Retention(BaseModel):
    """How long things are kept."""

    upload_days: int = Field(description="A file: until then a prediction of it can be retried")
    result_days: int = Field(description="The files of a result")
    idempotency_key_hours: int = Field(description="The answer to a request with an Idempotency-Key")


class Account(BaseModel):
    """Whose token this is, and the limits that hold for it."""

    tenant_id: str
    limits: Limits
    usage: Usage
    retention: Retention
