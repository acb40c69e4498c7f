"""A page of a tenant's list reads a page, and a watermark one row, however many predictions there are."""

import json

import pytest

from tests.integration.schema.conftest import COMPLETED

PREDICTIONS = 5_000
"""Of two tenants: so many that reading them all is not the cheapest plan."""

PAGE_ROWS = 20
ID = "'00000000-0000-0000-0000-000000000000'::uuid"
AFTER = f"(requested_at, prediction_id) < (now() - interval '1 day', {ID})"


@pytest.fixture
async def many_predictions(owner, insert_upload):
    """As many for `acme` as for `globex`: the newest 30 are FAILED, the next 30 RUNNING, others COMPLETED."""
    for tenant_id in ("acme", "globex"):
        await owner.execute(
            "insert into predictions"
            " (prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, label)"
            " select gen_random_uuid(), $1, $2, 'telco-churn', '1.0.0', now() - n * interval '1 minute',"
            " case when n < 300 then 'June' end from generate_series(1, $3) n",
            *(tenant_id, await insert_upload(tenant_id), PREDICTIONS // 2),
        )
    await owner.execute(
        "update predictions set status = 'RUNNING', fence = 1, started_at = requested_at,"
        " sqs_message_id = '1', sqs_queued_at = requested_at"
    )
    await owner.execute(f"update predictions set {COMPLETED} where requested_at < now() - interval '1 hour'")
    await owner.execute(
        "update predictions set status = 'FAILED', finished_at = now(), failure = '{\"code\": \"x\"}'"
        " where requested_at > now() - interval '30 minutes'"
    )
    await owner.execute("vacuum analyze predictions")


@pytest.fixture
def plan():
    """Run a query and return the steps of its plan, each as PostgreSQL describes it."""

    def flatten(step):
        return [step, *(inner for part in step.get("Plans", ()) for inner in flatten(part))]

    async def explain(connection, query):
        told = await connection.fetchval(f"explain (analyze, format json) {query}")
        return flatten(json.loads(told)[0]["Plan"])

    return explain


def rows_read(step):
    """The rows that a step has read, those it did not pass on included."""
    return step["Actual Rows"] + step.get("Rows Removed by Filter", 0)


async def test_page_of_a_list_reads_a_page(many_predictions, serve, plan):
    requests = await serve("acme")
    for condition in (
        "true",
        AFTER,
        "status = 'FAILED'",
        f"status = 'COMPLETED' and {AFTER}",
        "model_name = 'telco-churn' and model_version = '1.0.0'",
        "model_name = 'another'",
        "label = 'June'",
        "label = 'none'",
        f"retry_of = {ID}",
    ):
        steps = await plan(
            requests,
            f"select * from predictions where tenant_id = 'acme' and {condition}"
            f" order by requested_at desc, prediction_id desc limit {PAGE_ROWS}",
        )
        assert max(map(rows_read, steps)) <= PAGE_ROWS, (condition, steps)


async def test_failures_and_predictions_in_flight_are_read_alone(many_predictions, serve, plan):
    requests = await serve("acme")
    for query in (
        "select failure ->> 'code', count(*) from predictions where tenant_id = 'acme'"
        " and failure is not null and finished_at > now() - interval '1 day' group by 1",
        "select count(*) from predictions where tenant_id = 'acme' and finished_at is null",
    ):
        assert max(map(rows_read, await plan(requests, query))) <= 31, query


async def test_watermark_of_the_queue_reads_one_row(many_predictions, connections, plan):
    steps = await plan(
        connections["worker"],
        "select max(sqs_queued_at) from predictions where started_at < now() - interval '90 seconds'",
    )
    assert max(map(rows_read, steps)) <= 3, steps
