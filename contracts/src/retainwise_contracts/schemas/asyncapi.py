"""Generates the AsyncAPI 3 document: which messages travel through which queue or topic."""

import json
from collections.abc import Iterable
from typing import Any

from retainwise_contracts.channels import DEAD_LETTER_QUEUE, EVENTS, PREDICTIONS_QUEUE, REQUESTS
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.examples import load_example
from retainwise_contracts.schemas.json_schema import generate_envelope_schema, generate_schema

SQS_BINDING_VERSION = "0.2.0"
SNS_BINDING_VERSION = "0.1.0"


def generate_asyncapi(version: str) -> dict[str, Any]:
    """Return the AsyncAPI document. The addresses are the local stack's; a deployment has a prefix."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "RetainWise messages", "version": version, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {
            "predictions": _channel(
                "retainwise-predictions", "Files to score, from the API to the workers", REQUESTS, _queue()
            ),
            "deadLetters": _channel(
                "retainwise-predictions-dlq",
                "What no worker could read or settle; `deadletterreason` says why. Redrive after an update",
                REQUESTS,
                _dead_letter_queue(),
            ),
            "predictionEvents": _channel(
                "retainwise-prediction-events", "What became of a file, for other teams", EVENTS, _topic()
            ),
        },
        "operations": {
            "requestPrediction": _operation("send", "predictions"),
            "scoreFile": _operation("receive", "predictions"),
            "redrive": _operation("receive", "deadLetters"),
            "announceEnd": _operation("send", "predictionEvents"),
            "followPredictions": _operation("receive", "predictionEvents"),
        },
        "components": {
            "messages": {_key(message_type): _message(message_type) for message_type in (*REQUESTS, *EVENTS)}
        },
    }


def _channel(
    address: str, description: str, messages: Iterable[str], bindings: dict[str, Any]
) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {_key(name): {"$ref": f"#/components/messages/{_key(name)}"} for name in messages},
        "bindings": bindings,
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _queue() -> dict[str, Any]:
    return {
        "sqs": {
            "queue": {
                "name": "retainwise-predictions",
                "fifoQueue": False,
                "visibilityTimeout": PREDICTIONS_QUEUE.visibility_timeout_seconds,
                "messageRetentionPeriod": PREDICTIONS_QUEUE.retention_seconds,
                "redrivePolicy": {
                    "deadLetterQueue": {"name": "retainwise-predictions-dlq"},
                    "maxReceiveCount": PREDICTIONS_QUEUE.max_receive_count,
                },
            },
            "deadLetterQueue": _dead_letter_settings(),
            "bindingVersion": SQS_BINDING_VERSION,
        }
    }


def _dead_letter_queue() -> dict[str, Any]:
    return {"sqs": {"queue": _dead_letter_settings(), "bindingVersion": SQS_BINDING_VERSION}}


def _dead_letter_settings() -> dict[str, Any]:
    return {
        "name": "retainwise-predictions-dlq",
        "fifoQueue": False,
        "messageRetentionPeriod": DEAD_LETTER_QUEUE.retention_seconds,
    }


def _topic() -> dict[str, Any]:
    return {"sns": {"name": "retainwise-prediction-events", "bindingVersion": SNS_BINDING_VERSION}}


def _message(message_type: str) -> dict[str, Any]:
    envelope, data = generate_envelope_schema(), generate_schema(message_type)
    definitions = data.pop("$defs", {})
    for schema in (envelope, data):
        del schema["$schema"], schema["$id"]
    envelope["properties"]["type"] = {"const": message_type}
    envelope["properties"]["data"] = data
    place = f"#/components/messages/{_key(message_type)}/payload/definitions/"
    payload = json.loads(json.dumps(envelope | {"definitions": definitions}).replace("#/$defs/", place))
    return {
        "name": message_type,
        "title": data["title"],
        "summary": data["description"].partition("\n")[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                MessageAttribute.TYPE: {"const": message_type},
                MessageAttribute.TENANT_ID: envelope["properties"]["tenantid"],
                MessageAttribute.TRACEPARENT: {"type": "string"},
            },
            "required": [MessageAttribute.TYPE, MessageAttribute.TENANT_ID],
        },
        "payload": payload,
        "examples": [{"name": "example", "payload": json.loads(load_example(message_type))}],
    }


def _key(message_type: str) -> str:
    """Return a message's name in the document: `prediction_requested_v1`."""
    return message_type.removeprefix("retainwise.").replace(".", "_")
