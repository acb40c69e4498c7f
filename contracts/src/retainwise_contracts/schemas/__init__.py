"""The JSON schema of every message's `data`. `make schemas` writes them; a test keeps them current."""

import json
from importlib.resources import files
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from retainwise_contracts.codec import MESSAGES, schema_name


class _TolerantSchema(GenerateJsonSchema):
    """Allows additional properties: a reader ignores what a later minor version adds."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        described = super().model_schema(schema)
        described.pop("additionalProperties", None)
        return described


def generate_schema(message_type: str) -> str:
    """Return the JSON schema of one message type's `data`, generated from its class."""
    schema = MESSAGES[message_type].model_json_schema(mode="serialization", schema_generator=_TolerantSchema)
    schema = {"$id": schema_name(message_type), **schema}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def load_schema(message_type: str) -> str:
    """Return the JSON schema of one message type's `data`, as released.

    Raises:
        FileNotFoundError: there is no such message type.
    """
    return files(__name__).joinpath(schema_name(message_type)).read_text("utf-8")
