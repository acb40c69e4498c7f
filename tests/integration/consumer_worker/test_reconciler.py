"""What no message and no worker will end comes back or ends; what is only late or parked is left alone."""

import uuid
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from consumer_worker.resources import open_resources
from consumer_worker.worker import build_reconciler
from tests.integration.consumer_worker.conftest import customers

FILE = customers(3)
MINUTES_AGO = "now() - interval '10 minutes'"


@pytest.fixture
def sweep(worker_settings):
    """Make one sweep with a lease of a minute: what was touched two minutes ago may be lost."""

    async def run(**options):
        settings = worker_settings(visibility_timeout_seconds=60)
        async with open_resources(settings) as resources:
            reconciler = build_reconciler(resources, settings, registry=CollectorRegistry(), **options)
            await reconciler.sweep()

    return run


@pytest.fixture
def busy_queue(backend):
    """A queue that is never empty while the block runs."""

    @asynccontextmanager
    async def fill():
        await backend.send("another tenant's message")
        yield

    return fill


@pytest.fixture
def accept_ago(backend):
    """Accept a prediction whose message was sent so many minutes ago, and is lost."""

    async def accept(minutes, *, tenant_id="acme", sent_times=1):
        prediction_id = await backend.accept(FILE, tenant_id=tenant_id, send=0)
        await backend.owner.execute(
            "update predictions set requested_at = now() - make_interval(mins => $2),"
            " sqs_queued_at = now() - make_interval(mins => $2) where prediction_id = $1",
            *(prediction_id, minutes),
        )
        await backend.owner.execute(
            "update outbox set attempts = $3, sent_at = now() - make_interval(mins => $2)"
            " where prediction_id = $1",
            *(prediction_id, minutes, sent_times),
        )
        return prediction_id

    return accept


@pytest.fixture
def claim(backend):
    """Have a prediction claimed since minutes ago; with a live lease, or completed."""

    async def start(prediction_id, *, minutes=5, running=False):
        await backend.owner.execute(
            "update predictions set status = 'RUNNING', fence = 1, attempt = 1,"
            " started_at = now() - make_interval(mins => $2),"
            " lease_owner = 'w', lease_until = now() + interval '1 minute' where prediction_id = $1",
            *(prediction_id, minutes),
        )
        if not running:
            await backend.owner.execute(
                "update predictions set status = 'FAILED', finished_at = now(), lease_owner = null,"
                ' lease_until = null, failure = \'{"code": "no_rows"}\' where prediction_id = $1',
                prediction_id,
            )

    return start


@pytest.fixture
def read_unsent(backend):
    async def read():
        rows = await backend.owner.fetch("select prediction_id from outbox where sent_at is null")
        return {row["prediction_id"] for row in rows}

    return read


async def test_message_is_sent_again_when_the_tenants_later_one_was_claimed(
    backend, sweep, busy_queue, accept_ago, claim, read_unsent
):
    lost, later, behind = await accept_ago(20), await accept_ago(15), await accept_ago(10)
    await claim(later)
    async with busy_queue():
        await sweep()
    assert await read_unsent() == {lost}
    assert behind not in await read_unsent()


async def test_message_is_sent_again_when_another_tenant_has_overtaken_an_idle_one(
    backend, sweep, busy_queue, accept_ago, claim, read_unsent
):
    lost = await accept_ago(20, tenant_id="quiet")
    busy = await accept_ago(20, tenant_id="busy")
    await claim(await accept_ago(15, tenant_id="busy"), running=True, minutes=1)
    await claim(await accept_ago(15, tenant_id="other"))
    async with busy_queue():
        await sweep()
    assert await read_unsent() == {lost}
    assert busy not in await read_unsent()


async def test_waits_between_sends_double(sweep, busy_queue, accept_ago, claim, read_unsent):
    await accept_ago(7, sent_times=3)  # 2 · 2² = 8 minutes
    due = await accept_ago(9, sent_times=3)
    await claim(await accept_ago(6))
    async with busy_queue():
        await sweep()
    assert await read_unsent() == {due}


async def test_nothing_counts_as_lost_during_an_outage(sweep, accept_ago, read_unsent):
    lost = await accept_ago(20)
    await sweep(is_paused=lambda: True)
    assert await read_unsent() == set()
    await sweep()
    assert await read_unsent() == {lost}


@pytest.mark.parametrize(
    "change",
    [
        "parked_at = now()",
        "status = 'RUNNING', fence = 1, started_at = now(), retry_at = now() + interval '1 minute'",
        "status = 'RUNNING', fence = 1, started_at = now(), lease_owner = 'w', lease_until = now()",
    ],
)
async def test_parked_retried_and_held_predictions_are_not_sent_again(
    backend, sweep, accept_ago, read_unsent, change
):
    await accept_ago(20)
    await backend.owner.execute(f"update predictions set {change}")
    await sweep()
    assert await read_unsent() == set()


async def test_message_of_a_newer_release_is_parked_once(backend, run_worker_here, sweep, read_unsent):
    prediction_id = await backend.accept(FILE, send=0)
    body = await backend.owner.fetchval("select body from outbox")
    async with run_worker_here():
        await backend.send(body.replace("requested.v1", "requested.v9"))
        await backend.wait_for_messages(backend.aws.dlq_url, 1, 0)
        row = await backend.row(prediction_id)
        assert (row["status"], row["attempt"]) == ("QUEUED", 0)
        assert row["parked_at"] is not None
        await backend.owner.execute(
            f"update predictions set requested_at = {MINUTES_AGO}, sqs_queued_at = {MINUTES_AGO}"
        )
        await backend.owner.execute(f"update outbox set sent_at = {MINUTES_AGO}")
        await sweep()
        assert await read_unsent() == set()
        await backend.send(body)  # an operator redrives it to a release that can read it
        row = await backend.wait_for(prediction_id)
    assert (row["status"], row["parked_at"]) == ("COMPLETED", None)


async def test_message_of_a_newer_release_in_the_dead_letter_queue_is_not_lost(
    backend, sweep, accept_ago, read_unsent
):
    prediction_id = await accept_ago(1)
    body = await backend.owner.fetchval("select body from outbox")
    await backend.sqs.send_message(
        QueueUrl=backend.aws.dlq_url, MessageBody=body.replace("requested.v1", "requested.v9")
    )
    await sweep()
    assert (await backend.row(prediction_id))["parked_at"] is not None
    await backend.wait_for_messages(backend.aws.dlq_url, 0, 1)


async def test_forged_message_in_the_dead_letter_queue_ends_and_sends_nothing(
    backend, sweep, accept_ago, read_unsent
):
    prediction_id = await accept_ago(1)
    await backend.owner.execute(
        "update predictions set status = 'RUNNING', fence = 9, attempt = 9, started_at = now()"
    )
    before = await backend.row(prediction_id)
    body = await backend.owner.fetchval("select body from outbox")
    for forged in (
        body.replace('"acme"', '"globex"'),
        body.replace("uploads/acme", "uploads/\\u0000"),
        body.replace(str(prediction_id), str(uuid.uuid4())),
        body.replace('"mapping":{}', '"mapping":{"tenure":"x"}'),
        body.replace('"reasons":3', '"reasons":5'),
        body.replace("requested.v1", "requested.v9").replace('"id":"', '"id":"00000000-', 1),
    ):
        assert forged != body
        await backend.sqs.send_message(QueueUrl=backend.aws.dlq_url, MessageBody=forged)
    await sweep()
    assert await backend.row(prediction_id) == before
    assert await read_unsent() == set()
    await backend.wait_for_messages(backend.aws.dlq_url, 0, 6)
