"""A file goes in: stored as it came, one row, one message, and 202."""

import hashlib
from uuid import UUID

from retainwise_contracts.codec import decode
from retainwise_contracts.prediction_requested import PredictionRequestedV1


async def receive(sqs, queue_url):
    """Take the one message that should be on the queue."""
    answer = await sqs.receive_message(
        QueueUrl=queue_url,
        WaitTimeSeconds=5,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    (message,) = answer["Messages"]
    return message


async def test_a_file_is_stored_queued_and_answered(api, customers, aws, owner, s3, sqs):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with api.http.post(
        "/v1/predictions?reasons=5",
        data=customers,
        headers={"Content-Type": "text/csv", "traceparent": trace},
    ) as response:
        assert response.status == 202, await response.text()
        prediction = await response.json()
        assert response.headers["Location"] == prediction["links"]["self"]
        assert response.headers["Cache-Control"] == "no-store"
    assert prediction["status"] == "QUEUED"
    assert prediction["phase"] == "waiting"
    assert prediction["model"] == "telco-churn@1.0.0"
    assert prediction["requested_at"].endswith("Z")

    message = await receive(sqs, aws.queue_url)
    envelope = decode(message["Body"])
    assert envelope.traceparent == trace
    assert message["MessageAttributes"]["traceparent"]["StringValue"] == trace
    assert message["MessageAttributes"]["tenantid"]["StringValue"] == "acme"
    assert message["MessageAttributes"]["type"]["StringValue"] == "retainwise.prediction.requested.v1"
    assert message["Attributes"]["MessageGroupId"] == "acme"
    requested = envelope.data
    assert isinstance(requested, PredictionRequestedV1)
    assert requested.prediction_id == UUID(prediction["prediction_id"])
    assert requested.options.reasons == 5
    assert requested.upload.sha256 == hashlib.sha256(customers).hexdigest()
    stored = await s3.get_object(Bucket=requested.upload.bucket, Key=requested.upload.key)
    assert await stored["Body"].read() == customers
    assert requested.upload.key.startswith("uploads/acme/")

    row = await owner.fetchrow("select * from predictions")
    assert row["sqs_message_id"] == message["MessageId"]
    assert row["sqs_queued_at"] is not None
    assert await owner.fetchval("select sent_at is not null and attempts = 1 from outbox")
    status, again = await api.get(prediction["links"]["self"])
    assert status == 200
    assert again["queued_at"] is not None
