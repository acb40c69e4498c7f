import json
import re
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from retainwise_contracts.codec import MESSAGES, MessageSource, decode, encode, wrap
from retainwise_contracts.envelope import Envelope
from retainwise_contracts.errors import MalformedMessage, NotWritable, UnsupportedVersion
from retainwise_contracts.examples import load_example
from retainwise_contracts.failures import Failure, FailureCode, Fault
from retainwise_contracts.prediction_finished import PredictionFailedV1
from retainwise_contracts.prediction_requested import PredictionRequestedV1, ScoringOptions
from retainwise_contracts.schemas import generate_schema, load_schema
from retainwise_contracts.status import PredictionStatus

REQUESTED = PredictionRequestedV1.TYPE
FAILED = PredictionFailedV1.TYPE


def changed(message_type: str, **changes: object) -> str:
    """The example of a type with some members changed; `data__x` reaches into data."""
    message = json.loads(load_example(message_type))
    for name, value in changes.items():
        where, _, member = name.rpartition("__")
        (message[where] if where else message)[member] = value
    return json.dumps(message)


def test_encode_escapes_characters_that_sqs_refuses():
    text = "tenure\ufffe\uffff\x00\x1f\x7f"
    body = encode(decode(changed(REQUESTED, data__mapping={"tenure": text})))
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    allowed = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
    assert allowed.fullmatch(body)
    message = decode(body).data
    assert isinstance(message, PredictionRequestedV1)
    assert message.mapping == {"tenure": text}


@pytest.mark.parametrize("message_type", MESSAGES)
def test_example_of_each_type_survives_a_round_trip(message_type):
    example = load_example(message_type)
    message = decode(example)
    assert isinstance(message.data, MESSAGES[message_type])
    assert json.loads(encode(message)) == json.loads(example)


@pytest.mark.parametrize("message_type", MESSAGES)
def test_schema_file_is_current(message_type):
    assert load_schema(message_type) == generate_schema(message_type), "run: make schemas"


@pytest.mark.parametrize("message_type", MESSAGES)
def test_encode_writes_every_field(message_type):
    written = json.loads(encode(decode(load_example(message_type))))
    assert set(written["data"]) == set(MESSAGES[message_type].model_fields)
    assert set(written) == set(Envelope.model_fields)


def test_decode_ignores_unknown_fields():
    message = json.loads(changed(REQUESTED, added="x", data__added={"deep": 1}))
    message["data"]["upload"]["added"] = 1
    assert decode(json.dumps(message)) == decode(load_example(REQUESTED))


def test_request_of_an_older_writer_has_the_defaults_of_newer_options():
    message = json.loads(load_example(REQUESTED))
    message["data"]["options"] = {"reasons": 1, "confirmed": []}
    data = decode(json.dumps(message)).data
    assert isinstance(data, PredictionRequestedV1)
    assert data.options == ScoringOptions(reasons=1)


def test_writer_cannot_add_a_field():
    data = decode(load_example(REQUESTED)).data
    with pytest.raises(ValidationError, match="Extra inputs"):
        PredictionRequestedV1.model_validate({**data.model_dump(), "added": 1})


def test_unknown_enum_value_is_read_as_unknown_and_not_written():
    failure = {"code": "moon_phase", "fault": "moon", "retryable": False, "message": "."}
    message = decode(changed(FAILED, data__failure=failure, data__status="ABDUCTED"))
    assert isinstance(message.data, PredictionFailedV1)
    assert message.data.failure is not None
    assert message.data.failure.code is FailureCode.UNKNOWN
    assert message.data.failure.fault is Fault.UNKNOWN
    assert message.data.status is PredictionStatus.UNKNOWN
    with pytest.raises(NotWritable, match=r"message\.data\.status is UNKNOWN"):
        encode(message)


def test_decode_reports_an_unknown_major_version():
    with pytest.raises(UnsupportedVersion, match=r"requested\.v2"):
        decode(changed(REQUESTED, type="retainwise.prediction.requested.v2"))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"type": 7}',
        '{"type": "someone.elses.v1"}',
        '{"type": "retainwise.prediction.requested.v0"}',
        '{"type": "retainwise.prediction.requested"}',
        "[" * 100_000,
        b"\xff\xfe",
        changed(REQUESTED, data=None),
        changed(REQUESTED, id="7"),
        changed(REQUESTED, specversion="0.3"),
        changed(REQUESTED, data__tenant_id="../etc"),
        changed(REQUESTED, time="2026-11-02T09:30:00"),
        changed(REQUESTED, traceparent="00-xyz"),
    ],
)
def test_decode_refuses_malformed_messages(body):
    with pytest.raises(MalformedMessage):
        decode(body)


def test_error_names_the_field_and_not_its_value():
    message = json.loads(load_example(REQUESTED))
    message["data"]["upload"]["sha256"] = "secret-value"
    with pytest.raises(MalformedMessage, match=r"data\.upload\.sha256") as caught:
        decode(json.dumps(message))
    assert "secret-value" not in str(caught.value)


def test_times_are_read_and_written_in_utc():
    body = changed(REQUESTED, time="2026-11-02T11:30:00+02:00")
    assert decode(body).time == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert json.loads(encode(decode(body)))["time"] == "2026-11-02T09:30:00Z"


def test_wrap_fills_the_envelope_from_the_data():
    data = decode(load_example(REQUESTED)).data
    before = datetime.now(UTC)
    message = wrap(data, source=MessageSource.PRODUCER_API)
    assert (message.type, message.tenantid, message.subject) == (REQUESTED, "acme", str(data.prediction_id))
    assert message.dataschema == f"{REQUESTED}.json"
    assert before <= message.time <= datetime.now(UTC)
    assert message.id != wrap(data, source=MessageSource.PRODUCER_API).id


def test_encode_refuses_an_envelope_of_another_type():
    message = decode(load_example(REQUESTED)).model_copy(update={"type": FAILED})
    with pytest.raises(NotWritable, match="its data is"):
        encode(message)


def test_failure_carries_its_kind_and_detail():
    failure = Failure.of(FailureCode.REQUIRED_COLUMNS_MISSING, "Missing: tenure.")
    assert failure.fault is Fault.USER
    assert not failure.retryable
    assert failure.message.endswith("Missing: tenure.")
