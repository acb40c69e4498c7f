"""A request of a tenant sees and changes that tenant's rows only, whatever its query forgets."""

import uuid

import asyncpg
import pytest

from tests.integration.schema.conftest import CANCELLED, COMPLETED, RUNNING

TABLES = (
    "uploads",
    "predictions",
    "prediction_events",
    "outbox",
    "receipts",
    "idempotency_keys",
    "mappings",
)
"""Every table with rows of tenants."""

INSERTS = {
    "uploads": "(upload_id, tenant_id, bucket, object_key, size_bytes, sha256)"
    " values (gen_random_uuid(), $1, 'files', gen_random_uuid()::text, 3, repeat('a', 64))",
    "predictions": "(prediction_id, tenant_id, upload_id, model_name, model_version)"
    " select gen_random_uuid(), $1, upload_id, 'm', '1' from uploads where tenant_id = $1",
    "outbox": "(destination, message_id, message_type, prediction_id, tenant_id, body)"
    " select 'predictions', gen_random_uuid(), 't', prediction_id, $1, '{}'"
    " from predictions where tenant_id = $1",
    "receipts": "(prediction_id, tenant_id, receipt) values (gen_random_uuid(), $1, '{}')",
    "idempotency_keys": "(tenant_id, key, fingerprint) values ($1, gen_random_uuid()::text, 'f')",
    "mappings": "(tenant_id, name, model_name, headers, headers_sha256, mapping)"
    " values ($1, gen_random_uuid()::text, 'm', '{a}', repeat('a', 64), '{}')",
}
"""For each table that a request inserts into, one row of a tenant."""


@pytest.fixture
async def rows_of_two(owner):
    """A row of each table for `acme` and one for `globex`."""
    for tenant_id in ("acme", "globex"):
        for table, insert in INSERTS.items():
            await owner.execute(f"insert into {table} {insert}", tenant_id)


async def test_every_table_with_a_tenant_has_row_level_security(owner):
    guarded = await owner.fetch(
        "select relname from pg_class join pg_attribute on attrelid = pg_class.oid"
        " where attname = 'tenant_id' and relkind = 'r' and relrowsecurity"
    )
    assert {row["relname"] for row in guarded} == set(TABLES)


async def test_requests_are_no_owners_and_producer_inherits_nothing_of_them(connections):
    assert not await connections["owner"].fetchval(
        "select rolbypassrls or rolsuper from pg_roles where rolname = 'retainwise_requests'"
    )
    assert not await connections["producer"].fetchval(
        "select pg_has_role('retainwise_producer', 'retainwise_requests', 'usage')"
    )


@pytest.mark.parametrize("tenant_id", [None, "", "other", "acme' or true --", "%"])
async def test_query_without_the_right_tenant_sees_nothing(connections, serve, rows_of_two, tenant_id):
    requests = await serve(tenant_id) if tenant_id is not None else connections["requests"]
    for table in TABLES:
        assert await requests.fetchval(f"select count(tenant_id) from {table}") == 0, table
    for table in ("uploads", "predictions", "idempotency_keys", "mappings"):
        assert await requests.execute(f"delete from {table}") == "DELETE 0"
    assert await requests.execute("update predictions set label = 'mine'") == "UPDATE 0"
    assert await requests.execute("update uploads set completed_at = now()") == "UPDATE 0"
    assert await requests.execute("update mappings set mapping = '{}'") == "UPDATE 0"
    assert await requests.execute("update idempotency_keys set body = ''") == "UPDATE 0"


async def test_query_that_forgets_its_tenant_sees_its_own_rows(serve, rows_of_two):
    for tenant_id in ("acme", "globex"):
        requests = await serve(tenant_id)
        for table in TABLES:
            seen = await requests.fetch(f"select tenant_id from {table}")
            assert [row["tenant_id"] for row in seen] == [tenant_id], table


async def test_request_changes_its_own_rows_only(owner, serve, rows_of_two):
    requests = await serve("acme")
    for change in (
        "update predictions set label = 'mine'",
        f"update predictions set {CANCELLED}",
        "update uploads set completed_at = now()",
        "update mappings set revision = revision + 1",
        "update idempotency_keys set status = 202",
        "delete from predictions",
        "delete from uploads",
        "delete from mappings",
        "delete from idempotency_keys",
    ):
        assert (await requests.execute(change)).endswith(" 1"), change
    for table in TABLES:
        assert await owner.fetchval(f"select count(*) from {table} where tenant_id = 'globex'") == 1, table
    assert await owner.fetchval("select label is null and status = 'QUEUED' from predictions")


@pytest.mark.parametrize("tenant_id", [None, "globex"])
async def test_row_of_another_tenant_cannot_be_inserted(connections, serve, rows_of_two, tenant_id):
    requests = await serve(tenant_id) if tenant_id is not None else connections["requests"]
    forged = "(tenant_id, {}) values ('acme', {})"
    for table, insert in {
        **{table: INSERTS[table].replace("$1", "'acme'") for table in ("uploads", "receipts")},
        **{table: INSERTS[table].replace("$1", "'acme'") for table in ("idempotency_keys", "mappings")},
        # A select would find nothing to insert.
        "predictions": forged.format(
            "prediction_id, upload_id, model_name, model_version",
            "gen_random_uuid(), gen_random_uuid(), 'm', '1'",
        ),
        "outbox": forged.format(
            "destination, message_id, message_type, prediction_id, body",
            "'predictions', gen_random_uuid(), 't', gen_random_uuid(), '{}'",
        ),
    }.items():
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await requests.execute(f"insert into {table} {insert}")


async def test_request_does_all_that_the_endpoints_need(owner, serve, insert_upload, insert_prediction):
    requests = await serve("acme")
    prediction_id = await insert_prediction("acme", connection=requests)
    await requests.execute(f"insert into outbox {INSERTS['outbox']}", "acme")
    await owner.execute("update outbox set sent_at = now()")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await requests.execute("delete from uploads")
    assert await requests.execute("delete from predictions") == "DELETE 0"  # it is not finished
    await owner.execute(f"update predictions set {RUNNING}, lease_owner = 'w', lease_until = now()")
    await requests.execute(
        f"update predictions set {CANCELLED}, lease_token = null, lease_owner = null, lease_until = null"
    )
    await requests.execute(
        f"insert into outbox {INSERTS['outbox'].replace('predictions', 'events', 1)}", "acme"
    )
    assert await requests.execute("delete from predictions") == "DELETE 1"
    assert await requests.execute("delete from uploads") == "DELETE 1"
    await requests.execute(
        "insert into receipts (prediction_id, tenant_id, receipt) values ($1, 'acme', '{}')", prediction_id
    )
    left = {table: await owner.fetchval(f"select count(*) from {table}") for table in TABLES}
    assert left == dict.fromkeys(TABLES, 0) | {"receipts": 1}


async def test_request_cannot_finish_a_prediction_but_by_cancelling_it(owner, serve, insert_prediction):
    await insert_prediction("acme")
    requests = await serve("acme")
    for status in ("RUNNING", "COMPLETED", "FAILED"):
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.InsufficientPrivilegeError)):
            await requests.execute("update predictions set status = $1, finished_at = now()", status)
    await owner.execute(f"update predictions set {RUNNING}")
    await owner.execute(f"update predictions set {COMPLETED}")
    with pytest.raises(asyncpg.CheckViolationError):
        await requests.execute("update predictions set status = 'CANCELLED'")


async def test_producer_sweeps_all_tenants_and_no_file_in_use(connections, rows_of_two):
    producer, owner = connections["producer"], connections["owner"]
    await owner.execute(
        "insert into uploads (upload_id, tenant_id, bucket, object_key, state, expires_at)"
        " values ($1, 'acme', 'files', 'k', 'AWAITING', now())",
        uuid.uuid4(),
    )
    for change in (
        "update uploads set state = 'DELETED', deleted_at = now()",
        "delete from uploads",
    ):
        assert (await producer.execute(change)).endswith(" 1"), change
    assert await owner.fetchval("select count(*) from uploads where state = 'READY'") == 2
    assert await producer.execute("update receipts set sweep_at = null") == "UPDATE 2"
    assert await producer.execute("delete from idempotency_keys where created_at < now()") == "DELETE 2"
