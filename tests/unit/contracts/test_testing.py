import json

import pytest

from retainwise_contracts.codec import decode, encode
from retainwise_contracts.errors import MalformedMessage
from retainwise_contracts.prediction_finished import PredictionCompletedV1, PredictionFailedV1
from retainwise_contracts.testing import message_attributes

COMPLETED = PredictionCompletedV1.TYPE


def test_factory_changes_fields_of_an_example(retainwise_message):
    message = retainwise_message(PredictionCompletedV1, tenant_id="globex", rows__scored=5)
    assert (message.tenantid, message.data.rows.scored) == ("globex", 5)
    assert message.id != retainwise_message(COMPLETED).id


def test_factory_refuses_a_field_that_does_not_exist_and_a_value_that_is_not_allowed(retainwise_message):
    with pytest.raises(KeyError, match="rows__scord"):
        retainwise_message(COMPLETED, rows__scord=5)
    with pytest.raises(MalformedMessage, match=r"data\.rows\.scored"):
        retainwise_message(COMPLETED, rows__scored=-1)


def test_topic_delivers_what_a_queue_subscribes_to(retainwise_message, retainwise_queue, retainwise_topic):
    retainwise_topic.subscribe(retainwise_queue, COMPLETED)
    for message in (retainwise_message(COMPLETED), retainwise_message(PredictionFailedV1)):
        retainwise_topic.publish(Message=encode(message), MessageAttributes=message_attributes(message))
    (received,) = retainwise_queue.receive_message(MaxNumberOfMessages=10)["Messages"]
    assert decode(received["Body"]).type == COMPLETED
    assert received["MessageAttributes"]["type"]["StringValue"] == COMPLETED
    assert len(retainwise_topic.published) == 2
    with pytest.raises(AssertionError, match="1 are not settled"):
        retainwise_queue.check_settled()
    retainwise_queue.redeliver()
    (again,) = retainwise_queue.receive_message()["Messages"]
    retainwise_queue.delete_message(ReceiptHandle=again["ReceiptHandle"])
    retainwise_queue.check_settled()
    assert retainwise_queue.receive_message() == {}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content["data"].pop("rows"), "breaks the contract"),
        (lambda content: content["data"].update(extra=1), "lacks or adds fields: extra"),
        (lambda content: content.update(tenantid="other"), "attribute tenantid"),
        (lambda content: content.pop("traceparent"), "breaks the contract"),
    ],
)
def test_queue_refuses_what_a_strict_writer_does_not_write(
    retainwise_message, retainwise_queue, change, complaint
):
    message = retainwise_message(COMPLETED)
    content = json.loads(encode(message))
    change(content)
    with pytest.raises(AssertionError, match=complaint):
        retainwise_queue.send_message(
            MessageBody=json.dumps(content), MessageAttributes=message_attributes(message)
        )


def test_queue_refuses_an_unknown_value(retainwise_message, retainwise_queue):
    message = retainwise_message(PredictionFailedV1, status="FROM_A_LATER_RELEASE")
    with pytest.raises(AssertionError, match="UNKNOWN"):
        retainwise_queue.send_message(
            MessageBody=message.model_dump_json(), MessageAttributes=message_attributes(message)
        )


def test_reader_must_park_an_unsupported_major(retainwise_message, retainwise_queue):
    retainwise_queue.put(encode(retainwise_message(COMPLETED)).replace("completed.v1", "completed.v9"))
    (message,) = retainwise_queue.receive_message()["Messages"]
    retainwise_queue.park(message["ReceiptHandle"])
    retainwise_queue.check_settled()
    assert len(retainwise_queue.dead_letters) == 1

    retainwise_queue.put(message["Body"])
    (message,) = retainwise_queue.receive_message()["Messages"]
    with pytest.raises(AssertionError, match="was to be parked"):
        retainwise_queue.delete_message(ReceiptHandle=message["ReceiptHandle"])
