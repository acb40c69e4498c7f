"""What the schema keeps anybody from forging: another tenant's rows, finished predictions, requests."""

import asyncpg
import pytest

from tests.integration.schema.conftest import COMPLETED, RUNNING


async def test_prediction_of_another_tenants_upload_is_refused(insert_upload, insert_prediction):
    upload_id = await insert_upload("acme")
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await insert_prediction("globex", upload_id)
    assert refused.value.constraint_name == "upload_of_the_same_tenant"


async def test_message_of_another_tenants_prediction_is_refused(
    insert_upload, insert_prediction, insert_message
):
    prediction_id = await insert_prediction("acme", await insert_upload("acme"))
    for user, destination in (("producer", "predictions"), ("worker", "events")):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await insert_message(user, destination, "globex", prediction_id)
        assert refused.value.constraint_name == "prediction_of_the_same_tenant"


@pytest.mark.parametrize("user", ["owner", "worker"])
@pytest.mark.parametrize(
    "change",
    [
        "summary = '{\"mean_probability\": 0}'",
        'result = \'{"bucket": "mine"}\'',
        "status = 'FAILED', failure = '{\"code\": \"x\"}'",
        "fence = 2",
        "attempt = 9",
        "crashes = 9",
        "lease_owner = 'me', lease_until = now()",
        "finished_at = null, status = 'RUNNING', summary = null, result = null",
        "rows_scored = 0, rows_rejected = 3",
        "progress_rows = 4",
    ],
)
async def test_finished_prediction_cannot_be_rewritten(
    connections, insert_upload, insert_prediction, user, change
):
    await insert_prediction("acme", await insert_upload("acme"))
    await connections["worker"].execute(f"update predictions set {RUNNING}")
    await connections["worker"].execute(f"update predictions set {COMPLETED}")
    with pytest.raises(asyncpg.CheckViolationError):
        await connections[user].execute(f"update predictions set {change}")
    assert await connections["owner"].fetchval("select status from predictions") == "COMPLETED"


async def test_relay_may_note_the_message_of_a_finished_prediction(
    connections, insert_upload, insert_prediction
):
    await insert_prediction("acme", await insert_upload("acme"))
    await connections["worker"].execute(f"update predictions set {RUNNING}")
    await connections["worker"].execute(f"update predictions set {COMPLETED}")
    await connections["producer"].execute(
        "update predictions set sqs_message_id = '1', sqs_queued_at = now()"
    )
    assert await connections["owner"].fetchval("select sqs_message_id from predictions") == "1"


async def test_customer_may_label_a_finished_prediction(connections, insert_prediction, serve):
    await insert_prediction("acme")
    await connections["worker"].execute(f"update predictions set {RUNNING}")
    await connections["worker"].execute(f"update predictions set {COMPLETED}")
    requests = await serve("acme")
    before = await requests.fetchval("select revision from predictions")
    await requests.execute("""update predictions set label = 'June', metadata = '{"team": "north"}'""")
    assert tuple(await requests.fetchrow("select label, revision from predictions")) == ("June", before + 1)
    with pytest.raises(asyncpg.CheckViolationError):
        await requests.execute("update predictions set status = 'CANCELLED'")


async def test_worker_adds_events_and_no_requests(
    connections, insert_upload, insert_prediction, insert_message
):
    prediction_id = await insert_prediction("acme", await insert_upload("acme"))
    await insert_message("worker", "events", "acme", prediction_id)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await insert_message("worker", "predictions", "acme", prediction_id)
    assert await connections["owner"].fetchval("select array_agg(destination) from outbox") == ["events"]


async def test_worker_has_a_request_sent_again_and_no_event(
    connections, insert_upload, insert_prediction, insert_message
):
    prediction_id = await insert_prediction("acme", await insert_upload("acme"))
    await insert_message("producer", "predictions", "acme", prediction_id)
    await insert_message("worker", "events", "acme", prediction_id)
    await connections["producer"].execute("update outbox set sent_at = now()")
    await connections["worker"].execute("update outbox set sent_at = null")
    again = await connections["owner"].fetch("select destination from outbox where sent_at is null")
    assert [row["destination"] for row in again] == ["predictions"]


async def test_producer_sees_all_messages(connections, insert_upload, insert_prediction, insert_message):
    prediction_id = await insert_prediction("acme", await insert_upload("acme"))
    await insert_message("producer", "predictions", "acme", prediction_id)
    await insert_message("worker", "events", "acme", prediction_id)
    assert await connections["producer"].fetchval("select count(*) from outbox") == 2
