"""One release of the contracts as a process: writes messages, and says how it reads those of others.

Which release is decided by PYTHONPATH. In and out are JSON: `{"examples": …, "read": [bodies]}` becomes
`{"schemas": …, "written": [bodies], "read": [{"data": …, "latest": …} or {"error": …}]}`, where `latest` is
what handlers see: data of a superseded major, upcast.
"""

import json
import sys
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from pydantic import ValidationError

from retainwise_contracts.codec import MESSAGES, MessageSource, decode, decode_as_written, encode, wrap
from retainwise_contracts.errors import ContractError
from retainwise_contracts.schemas.json_schema import generate_schema
from tests.contracts.strategies import values_of


def write(message_type: str, examples: int) -> list[str]:
    """Messages that a strict writer of this release writes."""
    schema = generate_schema(message_type)
    written: list[str] = []

    @seed(1)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(values_of(schema, schema.get("$defs", {})))
    def collect(candidate: Any) -> None:
        try:
            data = MESSAGES[message_type].model_validate_json(json.dumps(candidate))
        except ValidationError:  # a rule that the schema does not show
            return
        written.append(encode(wrap(data, source=MessageSource.PRODUCER_API)))

    collect()
    return written


def read(body: str) -> dict[str, Any]:
    """What this release sees in a message."""
    try:
        return {
            "data": decode_as_written(body).data.model_dump(mode="json"),
            "latest": decode(body).data.model_dump(mode="json"),
        }
    except ContractError as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(
        {
            "schemas": {message_type: generate_schema(message_type) for message_type in MESSAGES},
            "written": [body for name in MESSAGES for body in write(name, asked["examples"])],
            "read": [read(body) for body in asked["read"]],
        },
        sys.stdout,
    )
