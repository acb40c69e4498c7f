"""Encodes and decodes messages. Writers are strict; readers ignore fields they do not know."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from retainwise_contracts.envelope import Envelope
from retainwise_contracts.errors import MalformedMessage, NotWritable, UnsupportedVersion
from retainwise_contracts.model import Contract, OpenEnum
from retainwise_contracts.prediction_finished import (
    PredictionCancelledV1,
    PredictionCompletedV1,
    PredictionFailedV1,
)
from retainwise_contracts.prediction_requested import PredictionRequestedV1

Message = PredictionRequestedV1 | PredictionCompletedV1 | PredictionFailedV1 | PredictionCancelledV1

MESSAGES: Mapping[str, type[Message]] = MappingProxyType(
    {
        message.TYPE: message
        for message in (
            PredictionRequestedV1,
            PredictionCompletedV1,
            PredictionFailedV1,
            PredictionCancelledV1,
        )
    }
)
"""Every message this version of the contracts can read and write, by its type."""

_VERSION = re.compile(r"\.v[1-9][0-9]*$")
_NAMES = frozenset(_VERSION.sub("", message_type) for message_type in MESSAGES)


class MessageSource(StrEnum):
    """The service that wrote a message: the CloudEvents attribute `source`."""

    PRODUCER_API = "/retainwise/producer-api"
    CONSUMER_WORKER = "/retainwise/consumer-worker"


def schema_name(message_type: str) -> str:
    """Return the file name of a message type's JSON schema in `retainwise_contracts.schemas`."""
    return f"{message_type}.json"


_ESCAPED = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
"""SQS and SNS refuse these characters. JSON already escapes the others that they refuse."""


def wrap(
    data: Message,
    *,
    source: MessageSource,
    traceparent: str | None = None,
) -> Envelope[Message]:
    """Put a message into an envelope with a new id and the current time."""
    return Envelope[Message](
        id=uuid4(),
        source=source,
        type=data.TYPE,
        subject=str(data.prediction_id),
        time=datetime.now(UTC),
        dataschema=schema_name(data.TYPE),
        tenantid=data.tenant_id,
        traceparent=traceparent,
        data=data,
    )


def encode(envelope: Envelope[Message]) -> str:
    """Write a message as JSON, with every field.

    Raises:
        NotWritable: a field holds UNKNOWN, or the envelope's type is not the type of its data.
    """
    if envelope.type != envelope.data.TYPE:
        raise NotWritable(f"the envelope's type is {envelope.type}, its data is {envelope.data.TYPE}")
    for path, value in _leaves(envelope, "message"):
        if isinstance(value, OpenEnum) and value.name == "UNKNOWN":
            raise NotWritable(f"{path} is UNKNOWN, which only a reader may hold")
    return envelope.model_dump_json().translate(_ESCAPED)


def decode(body: str | bytes) -> Envelope[Message]:
    """Read a message.

    Raises:
        UnsupportedVersion: the type is known, but not in this major version.
        MalformedMessage: the message is invalid; the text names fields, never their values.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the body is not JSON") from error
    message_type = content.get("type") if isinstance(content, dict) else None
    if not isinstance(message_type, str):
        raise MalformedMessage("the body is not a CloudEvents object with a type")
    message = MESSAGES.get(message_type)
    if message is None:
        if _VERSION.sub("", message_type) in _NAMES and _VERSION.search(message_type):
            raise UnsupportedVersion(message_type)
        raise MalformedMessage("the type is not a known message type")
    try:
        envelope = Envelope[message].model_validate_json(body, extra="ignore")  # type: ignore[valid-type]
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise MalformedMessage(problems) from error
    return Envelope[Message].model_construct(**dict(envelope))


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Contract):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}[{key}]")
    else:
        yield path, value
