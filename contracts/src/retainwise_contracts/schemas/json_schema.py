"""Generates the JSON Schemas of the messages, as a tolerant reader sees them."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from retainwise_contracts.codec import MESSAGES, schema_name
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.model import Contract, OpenEnum

KNOWN_VALUES = "x-known-values"
"""The members of an open enum. It is no `enum`, as validators would refuse the members of later releases."""


class TolerantSchema(GenerateJsonSchema):
    """Allows what a later minor version may add: more properties, and more members of open enums."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Leave additional properties open."""
        described = super().model_schema(schema)
        described.pop("additionalProperties", None)
        return described

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Describe an open enum as a string with its known values."""
        described = super().enum_schema(schema)
        if issubclass(schema["cls"], OpenEnum):
            unknown = schema["cls"]["UNKNOWN"]
            described.pop("enum")
            described[KNOWN_VALUES] = [member.value for member in schema["members"] if member is not unknown]
        return described


def generate_schema(message_type: str) -> dict[str, Any]:
    """Return the JSON Schema of one message type's `data`, generated from its class."""
    return {"$id": schema_name(message_type), **_describe(MESSAGES[message_type])}


def generate_envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema of the envelope; its `data` is any object."""
    schema = _describe(Envelope[Contract])
    del schema["$defs"]["Contract"]
    if not schema["$defs"]:
        del schema["$defs"]
    schema["properties"]["data"] = {"type": "object", "description": "By `type`: see the schema it names"}
    return {"$id": "envelope.json", **schema, "title": "Envelope"}


def _describe(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="serialization", schema_generator=TolerantSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
