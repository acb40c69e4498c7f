"""Generates TypeScript types from JSON Schemas: the part of JSON Schema that the contracts use."""

import json
from collections.abc import Mapping
from typing import Any

from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.schemas.json_schema import KNOWN_VALUES
from retainwise_contracts.schemas.openapi import generate_openapi

_PRIMITIVES: Mapping[str, str] = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}

_ENVELOPE = """/** The CloudEvents 1.0 envelope. `Type` is the message's type, `Data` what it says. */
export interface Envelope<Type extends string, Data> {
  specversion: "1.0";
  id: string;
  source: string;
  type: Type;
  subject: string;
  time: string;
  datacontenttype: "application/json";
  dataschema: string;
  tenantid: string;
  traceparent: string | null;
  data: Data;
}
"""


def generate_typescript(version: str) -> str:
    """Return the declarations of all shared models, the envelope and the union of all messages."""
    schemas = generate_openapi(version)["components"]["schemas"]
    declarations = [_declare(name, schemas[name]) for name in sorted(schemas)]
    union = "".join(f'\n  | Envelope<"{name}", {model.__name__}>' for name, model in MESSAGES.items())
    return "\n".join(
        (
            f"// RetainWise contracts {version}. Written by `make schemas`.\n",
            *declarations,
            _ENVELOPE,
            f"/** A message, by its type. */\nexport type Message ={union};\n",
        )
    )


def _declare(name: str, schema: dict[str, Any]) -> str:
    comment = _comment(schema, "")
    if "properties" not in schema:
        return f"{comment}export type {name} = {_type(schema)};\n"
    return f"{comment}export interface {name} {_object(schema)}\n"


def _object(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    lines = [
        f"{_comment(field, '  ')}  {name}{'' if name in required else '?'}: {_type(field)};\n"
        for name, field in schema["properties"].items()
    ]
    return f"{{\n{''.join(lines)}}}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if KNOWN_VALUES in schema:
        # `string & {}` keeps an editor's suggestions, which `string` alone would swallow.
        return " | ".join([*(json.dumps(value) for value in schema[KNOWN_VALUES]), "(string & {})"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        item = _type(schema["items"])
        return f"readonly ({item})[]" if "|" in item else f"readonly {item}[]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"Readonly<Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>>"
    return _PRIMITIVES.get(schema.get("type", ""), "unknown")


def _comment(schema: dict[str, Any], indent: str) -> str:
    text = schema.get("description", "").partition("\n\n")[0].replace("\n", " ")
    unit = schema.get("unit")
    words = " ".join(
        sentence if sentence.endswith((".", ":", "?")) else f"{sentence}."
        for sentence in (text, f"Unit: {unit}" if unit else "")
        if sentence
    )
    return f"{indent}/** {words.replace('*/', '* /')} */\n" if words else ""
