import json
import math
import re

import pytest

from deploy.local.provision import DEAD_LETTER_QUEUE_ATTRIBUTES, MAX_RECEIVE_COUNT, QUEUE_ATTRIBUTES, Names
from retainwise_contracts.channels import DEAD_LETTER_QUEUE, PREDICTIONS_QUEUE
from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.model import OpenEnum
from retainwise_contracts.schemas import load_form
from retainwise_contracts.schemas.__main__ import generate_forms
from retainwise_contracts.schemas.json_schema import KNOWN_VALUES, generate_schema
from retainwise_contracts.status import PredictionStatus
from tests.contracts.distribution import read_version
from tests.contracts.forms import create_typescript_users
from tests.contracts.kept import ROOT

FORMS = generate_forms(read_version())


@pytest.mark.parametrize("name", FORMS)
def test_form_is_current(name):
    assert load_form(name) == FORMS[name], "run: make schemas"


def test_asyncapi_says_what_the_local_stack_provides():
    channels = json.loads(FORMS["asyncapi.json"])["channels"]
    queue = channels["predictions"]["bindings"]["sqs"]["queue"]
    dead_letters = channels["deadLetters"]["bindings"]["sqs"]["queue"]
    names = Names()

    assert {name: channel["address"] for name, channel in channels.items()} == {
        "predictions": names.queue,
        "deadLetters": names.dead_letter_queue,
        "predictionEvents": names.topic,
    }
    assert (queue["name"], dead_letters["name"]) == (names.queue, names.dead_letter_queue)
    assert str(queue["visibilityTimeout"]) == QUEUE_ATTRIBUTES["VisibilityTimeout"]
    assert str(queue["messageRetentionPeriod"]) == QUEUE_ATTRIBUTES["MessageRetentionPeriod"]
    assert queue["redrivePolicy"]["maxReceiveCount"] == MAX_RECEIVE_COUNT
    assert (
        str(dead_letters["messageRetentionPeriod"]) == DEAD_LETTER_QUEUE_ATTRIBUTES["MessageRetentionPeriod"]
    )


DEPLOYED = ROOT / "deploy" / "terraform" / "queues.tf"


@pytest.mark.skipif(not DEPLOYED.exists(), reason="there is no deployment yet")
def test_channels_say_what_the_deployment_provides():
    text = DEPLOYED.read_text("utf-8")

    def read(setting, start):
        found = re.search(rf"{setting}\s*=\s*([0-9* ]+)", text[text.index(start) :])
        assert found, setting
        return math.prod(map(int, found[1].split("*")))

    queue = '"aws_sqs_queue" "predictions"'
    assert read("message_retention_seconds", queue) == PREDICTIONS_QUEUE.retention_seconds
    assert read("maxReceiveCount", queue) == PREDICTIONS_QUEUE.max_receive_count
    dead_letters = '"aws_sqs_queue" "dead_letters"'
    assert read("message_retention_seconds", dead_letters) == DEAD_LETTER_QUEUE.retention_seconds


def test_schema_leaves_open_enums_open():
    status = generate_schema("retainwise.prediction.failed.v1")["$defs"][PredictionStatus.__name__]
    assert issubclass(PredictionStatus, OpenEnum)
    assert "enum" not in status
    assert "COMPLETED" in status[KNOWN_VALUES]
    assert "UNKNOWN" not in status[KNOWN_VALUES]


def test_typescript_tries_an_example_of_each_message():
    (program,) = create_typescript_users().values()
    assert all(f'"type": "{message_type}"' in program for message_type in MESSAGES)
