"""Generates the OpenAPI 3.1 components of what the HTTP API and the messages share."""

from typing import Any

from pydantic.json_schema import models_json_schema

from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.events import PredictionEvent
from retainwise_contracts.failures import Failure
from retainwise_contracts.health import Health
from retainwise_contracts.results import ResultManifest, Summary
from retainwise_contracts.schemas.json_schema import TolerantSchema

SHARED = (Failure, Health, PredictionEvent, ResultManifest, Summary, *MESSAGES.values())


def generate_openapi(version: str) -> dict[str, Any]:
    """Return an OpenAPI document without paths, whose schemas others refer to by `$ref`."""
    _, definitions = models_json_schema(
        [(model, "serialization") for model in SHARED],
        schema_generator=TolerantSchema,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "RetainWise contracts", "version": version},
        "paths": {},
        "components": {"schemas": definitions["$defs"]},
    }
