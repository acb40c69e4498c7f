"""`python -m retainwise_contracts.schemas` regenerates the schema files."""

from pathlib import Path

from retainwise_contracts.codec import MESSAGES, schema_name
from retainwise_contracts.schemas import generate_schema

for message_type in MESSAGES:
    Path(__file__).with_name(schema_name(message_type)).write_text(generate_schema(message_type), "utf-8")
