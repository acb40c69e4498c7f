"""The message of a deleted prediction has nothing left to ask for: it is deleted as well, not parked."""

from tests.integration.consumer_worker.conftest import customers


async def delete(backend, prediction_id):
    """Delete a prediction as the API does."""
    await backend.cancel(prediction_id)
    async with backend.owner.transaction():
        await backend.owner.execute("delete from predictions where prediction_id = $1", prediction_id)
        await backend.owner.execute(
            "insert into receipts (prediction_id, tenant_id, receipt) values ($1, 'acme', '{}')",
            prediction_id,
        )


async def test_message_of_a_deleted_prediction_is_deleted(backend, run_worker_here):
    prediction_id = await backend.accept(customers(3))
    await delete(backend, prediction_id)
    async with run_worker_here():
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0)
    assert await backend.messages(backend.aws.dlq_url) == (0, 0)
    assert await backend.objects() == []


async def test_parked_message_of_a_deleted_prediction_is_deleted(backend, run_reconciler_here):
    prediction_id = await backend.accept(customers(3), send=0)
    body = await backend.owner.fetchval("select body from outbox")
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=body)
    await delete(backend, prediction_id)
    await run_reconciler_here()
    assert await backend.messages(backend.aws.dlq_url) == (0, 0)


async def test_forged_message_of_a_deleted_prediction_stays_parked(backend, run_reconciler_here):
    prediction_id = await backend.accept(customers(3), send=0)
    body = await backend.owner.fetchval("select body from outbox")
    forged = body.replace('"acme"', '"globex"')
    await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=forged)
    await delete(backend, prediction_id)
    await run_reconciler_here()
    await backend.wait_for_messages(backend.aws.dlq_url, 0, 1)
