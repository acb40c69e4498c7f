"""The schema rejects wrong states and unlisted rights, whoever writes."""

import uuid

import asyncpg
import pytest

from retainwise_contracts.status import ALLOWED_TRANSITIONS, PredictionStatus
from tests.integration.schema.conftest import COMPLETED, RUNNING

KNOWN = [status for status in PredictionStatus if status is not PredictionStatus.UNKNOWN]


@pytest.fixture
async def prediction_id(insert_prediction):
    return await insert_prediction()


async def test_trigger_allows_the_moves_of_the_contract_and_no_other(owner):
    # A copy without the check constraints, so that only the trigger decides.
    await owner.execute("create temp table moves (like predictions including defaults)")
    await owner.execute(
        "create trigger guard before update on moves for each row execute function require_allowed_move()"
    )
    for before in KNOWN:
        for after in KNOWN:
            await owner.execute("truncate moves")
            await owner.execute(
                "insert into moves (prediction_id, tenant_id, upload_id, model_name, model_version, status,"
                " requested_at, fence, attempt) values ($1, 'acme', $1, 'm', '1', $2, now(), 1, 1)",
                uuid.uuid4(),
                before,
            )
            if before == after or after in ALLOWED_TRANSITIONS[before]:
                await owner.execute("update moves set status = $1", after)
            else:
                with pytest.raises(asyncpg.CheckViolationError, match=f"from {before} to {after}"):
                    await owner.execute("update moves set status = $1", after)


@pytest.mark.parametrize(
    ("first", "then", "broken"),
    [
        (RUNNING, COMPLETED.replace(", result = '{}'", ""), "completed_has_its_result"),
        (RUNNING, COMPLETED.replace(", summary = '{}'", ""), "completed_has_its_result"),
        (RUNNING, COMPLETED.replace(", finished_at = now()", ""), "final_has_its_time"),
        (RUNNING, COMPLETED.partition(", rows")[0], "completed_has_its_result"),
        (RUNNING, COMPLETED.replace("= 3", "= 4"), "rows_add_up"),
        (RUNNING, COMPLETED + ", lease_owner = 'w', lease_until = now()", "final_holds_no_lease"),
        (RUNNING, "fence = 0", "fence_rises"),
        (RUNNING, "lease_until = now()", "a_lease_has_an_owner"),
        (RUNNING, 'failure = \'{"code": "empty_file"}\'', "failed_has_its_code"),
        (RUNNING, "sqs_message_id = '1'", "a_message_has_its_time"),
        ("status = 'RUNNING', fence = 1", None, "running_has_started"),
        ("status = 'RUNNING', started_at = now()", None, "running_has_started"),
        ("fence = 1", None, "queued_is_untouched"),
        ("status = 'FAILED', finished_at = now()", None, "failed_has_its_code"),
        ("status = 'FAILED', finished_at = now(), failure = '{}'", None, "failed_has_its_code"),
        ("status = 'FAILED', failure = '{\"code\": \"empty_file\"}'", None, "final_has_its_time"),
    ],
)
async def test_wrong_state_is_rejected(owner, prediction_id, first, then, broken):
    wrong = first if then is None else then
    if then is not None:
        await owner.execute(f"update predictions set {first}")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(f"update predictions set {wrong}")
    assert refused.value.constraint_name == broken


async def test_right_states_are_accepted(owner, prediction_id):
    await owner.execute(f"update predictions set {RUNNING}, lease_owner = 'w', lease_until = now()")
    await owner.execute(f"update predictions set {COMPLETED}, lease_owner = null, lease_until = null")
    row = await owner.fetchrow("select status, rows_total from predictions")
    assert tuple(row) == ("COMPLETED", 3)


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("producer", "update predictions set status = 'FAILED'"),
        ("producer", "delete from predictions"),
        ("producer", "update uploads set tenant_id = 'other'"),
        ("producer", "update predictions set label = 'mine'"),
        ("producer", "select from prediction_events"),
        ("producer", "select from mappings"),
        ("producer", "select body from idempotency_keys"),
        ("producer", "create table mine (x int)"),
        ("worker", "select * from uploads"),
        ("worker", "insert into predictions (prediction_id) values (gen_random_uuid())"),
        ("worker", "update predictions set tenant_id = 'other'"),
        ("worker", "update predictions set sqs_message_id = '1'"),
        ("worker", "select body from outbox"),
        ("worker", "delete from outbox"),
        ("worker", "update predictions set label = 'mine'"),
        ("worker", "update predictions set progress_at = now()"),
        ("worker", "insert into prediction_events (sequence) values (1)"),
        ("worker", "select receipt from receipts"),
        ("requests", "update predictions set fence = 9"),
        ("requests", "update predictions set result = '{}'"),
        ("requests", "update predictions set revision = 9"),
        ("requests", "update predictions set tenant_id = 'other'"),
        ("requests", "update uploads set tenant_id = 'other'"),
        ("requests", "update uploads set object_key = 'other'"),
        ("requests", "insert into prediction_events (sequence) values (1)"),
        ("requests", "delete from prediction_events"),
        ("requests", "select body from outbox"),
        ("requests", "delete from outbox"),
        ("requests", "delete from receipts"),
        ("requests", "update mappings set tenant_id = 'other'"),
        ("requests", "create table mine (x int)"),
    ],
)
async def test_role_is_denied_what_its_service_does_not_do(connections, user, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connections[user].execute(statement)


@pytest.mark.parametrize(
    ("columns", "broken"),
    [
        ("sha256 = null", "ready_has_its_digest"),
        ("size_bytes = null", "ready_has_its_digest"),
        ("state = 'AWAITING'", "awaiting_has_its_end"),
        ("state = 'DELETED'", "deleted_has_its_time"),
        ("deleted_at = now()", "deleted_has_its_time"),
        ("multipart_id = 'm'", "parts_have_a_size"),
        ("state = 'GONE'", "uploads_state_check"),
    ],
)
async def test_wrong_upload_is_rejected(owner, insert_upload, columns, broken):
    await insert_upload()
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(f"update uploads set {columns}")
    assert refused.value.constraint_name == broken


@pytest.mark.parametrize(
    "columns",
    [
        "label = repeat('a', 101)",
        "metadata = '[]'",
        "metadata = json_build_object('a', repeat('a', 16384))",
        "mapping = '1'",
        "options = 'null'",
    ],
)
async def test_wrong_words_of_a_customer_are_rejected(owner, prediction_id, columns):
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(f"update predictions set {columns}")
    await owner.execute("update predictions set label = repeat('a', 100), metadata = '{}', mapping = '{}'")
