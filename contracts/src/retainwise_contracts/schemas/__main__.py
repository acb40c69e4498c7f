"""`python -m retainwise_contracts.schemas` writes the published forms; `make schemas` calls it."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from retainwise_contracts.codec import MESSAGES, schema_name
from retainwise_contracts.schemas.asyncapi import generate_asyncapi
from retainwise_contracts.schemas.json_schema import generate_envelope_schema, generate_schema
from retainwise_contracts.schemas.openapi import generate_openapi
from retainwise_contracts.schemas.typescript import generate_typescript


def generate_forms(release: str) -> Mapping[str, str]:
    """Return the text of every published form, by its file name."""
    documents = {schema_name(message_type): generate_schema(message_type) for message_type in MESSAGES}
    documents |= {
        "envelope.json": generate_envelope_schema(),
        "asyncapi.json": generate_asyncapi(release),
        "openapi-components.json": generate_openapi(release),
    }
    texts = {
        name: json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }
    return {**texts, "retainwise-contracts.d.ts": generate_typescript(release)}


if __name__ == "__main__":
    for name, text in generate_forms(version("retainwise-contracts")).items():
        Path(__file__).with_name(name).write_text(text, "utf-8")
