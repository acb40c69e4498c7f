"""The published forms of the contracts, for other languages and tools. `make schemas` writes them.

| file | what |
|---|---|
| `<type>.json` | the JSON Schema (2020-12) of one message's `data` |
| `envelope.json` | the JSON Schema of the envelope around it |
| `asyncapi.json` | AsyncAPI 3: the queue, its dead-letter queue and the topic, with the messages in them |
| `openapi-components.json` | OpenAPI 3.1: the models that the HTTP API and the messages share |
| `retainwise-contracts.d.ts` | TypeScript types of all of them |
"""

from importlib.resources import files


def load_schema(message_type: str) -> str:
    """Return the JSON Schema of one message type's `data`, as released.

    Raises:
        FileNotFoundError: there is no such message type.
    """
    return load_form(f"{message_type}.json")


def load_form(name: str) -> str:
    """Return a published form by its file name.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return files(__name__).joinpath(name).read_text("utf-8")
