"""Every change that a customer should hear of leaves one event, whoever makes it, and at once."""

import asyncio
import uuid

import asyncpg
import pytest

from tests.integration.schema.conftest import CANCELLED, COMPLETED, RUNNING

LEASED = "lease_owner = 'w', lease_until = now() + interval '1 minute'"
RELEASED = "lease_owner = null, lease_until = null"
FAILED = "status = 'FAILED', finished_at = now(), failure = '{\"code\": \"no_rows\"}'"
EXPIRED = "status = 'EXPIRED', finished_at = now()"
LESS_THAN_A_SECOND_AGO = "progress_at = now() + interval '1 hour'"
A_SECOND_AGO = "progress_at = now() - interval '1 second'"


@pytest.fixture
async def prediction_id(insert_prediction):
    return await insert_prediction()


@pytest.fixture
def change(connections, prediction_id):
    """Change the prediction, as the worker unless another user is named."""

    async def execute(columns, user="worker"):
        await connections[user].execute(f"update predictions set {columns}")

    return execute


@pytest.fixture
async def heard(connections):
    """What is notified from now on."""
    notified: asyncio.Queue[str] = asyncio.Queue()
    await connections["producer"].add_listener(
        "prediction_events", lambda *received: notified.put_nowait(received[-1])
    )
    return notified


async def test_life_leaves_its_events(change, read_events, prediction_id):
    await change(f"{RUNNING}, {LEASED}")
    await change("lease_until = lease_until + interval '1 minute'")
    await change("progress_rows = 10, progress_total = 30")
    await change(f"{RELEASED}, retry_reason = 'took_too_long', retry_at = '2026-01-02 03:04:05+00'")
    await change(f"{RUNNING}, {LEASED}, retry_reason = null, retry_at = null")
    await change(f"{COMPLETED}, {RELEASED}")
    assert await read_events(prediction_id) == [
        ("queued", {}),
        ("running", {"attempt": 1}),
        ("progress", {"rows": 10, "total": 30}),
        ("retrying", {"reason": "took_too_long", "retry_at": "2026-01-02T03:04:05+00:00"}),
        ("running", {"attempt": 2}),
        ("completed", {"rows_total": 3, "rows_scored": 2, "rows_rejected": 1}),
    ]


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (FAILED, ("failed", {"code": "no_rows"})),
        (CANCELLED, ("cancelled", {})),
        (EXPIRED, ("expired", {})),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
async def test_other_ends_leave_an_event(change, read_events, prediction_id, end, event, begun):
    if begun:
        await change(f"{RUNNING}, {LEASED}")
    await change(f"{end}, {RELEASED}")
    assert (await read_events(prediction_id))[1 + begun :] == [event]


async def test_claim_after_a_crash_is_an_event_of_the_same_attempt(change, read_events, prediction_id):
    await change(f"{RUNNING}, {LEASED}")
    await change(f"fence = fence + 1, crashes = 1, {LEASED}")
    running = ("running", {"attempt": 1})
    assert await read_events(prediction_id) == [("queued", {}), running, running]


async def test_what_a_customer_does_not_see_leaves_no_event_and_no_revision(
    change, owner, read_events, prediction_id
):
    await change("sqs_message_id = '1', sqs_queued_at = now()", "producer")
    await change("parked_at = now()")
    await change(f"{RUNNING}, {LEASED}")
    await change("lease_token = gen_random_uuid(), lease_until = now()")
    assert [kind for kind, _ in await read_events(prediction_id)] == ["queued", "running"]
    assert await owner.fetchval("select revision from predictions") == 2


async def test_revision_rises_with_each_visible_change(change, owner):
    revisions = []
    for columns in (
        f"{RUNNING}, {LEASED}",
        "progress_rows = 1",
        "label = 'a'",
        "metadata = '{}'",
        f"{COMPLETED}, {RELEASED}",
        "label = 'b'",
        "label = 'b'",
    ):
        await change(columns, "owner")
        revisions.append(await owner.fetchval("select revision from predictions"))
    assert revisions == [2, 3, 4, 5, 6, 7, 7]


async def test_progress_is_kept_once_a_second_and_never_falls(change, owner, read_events, prediction_id):
    async def read_progress():
        return tuple(await owner.fetchrow("select progress_rows, progress_total from predictions"))

    await change(f"{RUNNING}, {LEASED}")
    await change("progress_rows = 10, progress_total = 100")
    await change(LESS_THAN_A_SECOND_AGO, "owner")
    await change("progress_rows = 11, progress_total = 101")
    assert await read_progress() == (10, 100)
    await change(A_SECOND_AGO, "owner")
    await change("progress_rows = 9, progress_total = 99")
    assert await read_progress() == (10, 100)
    await change("progress_rows = 12, progress_total = 102")
    assert await read_progress() == (12, 102)
    await change(f"fence = fence + 1, crashes = 1, {LEASED}")
    assert await read_progress() == (None, None)
    await change(A_SECOND_AGO, "owner")
    await change("progress_rows = 1, progress_total = 100")
    assert [
        detail.get("rows") for kind, detail in await read_events(prediction_id) if kind == "progress"
    ] == [
        10,
        12,
        1,
    ]


async def test_event_is_heard_when_its_change_is_committed(heard, owner, change, prediction_id):
    async with owner.transaction():
        await change(f"{RUNNING}, {LEASED}", "owner")
        assert heard.empty()
    assert await asyncio.wait_for(heard.get(), 10) == str(prediction_id)


async def test_change_that_is_rolled_back_leaves_no_event_and_no_gap(
    owner, change, read_events, prediction_id
):
    transaction = owner.transaction()
    await transaction.start()
    await change(f"{RUNNING}, {LEASED}", "owner")
    await transaction.rollback()
    await change(f"{RUNNING}, {LEASED}")
    assert await read_events(prediction_id) == [("queued", {}), ("running", {"attempt": 1})]


async def test_concurrent_changes_leave_events_without_gaps(database, read_events, prediction_id):
    async def claim_often():
        connection = await asyncpg.connect(database.worker)
        try:
            for _ in range(20):
                await connection.execute(f"update predictions set {RUNNING}")
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(claim_often())
    assert len(await read_events(prediction_id)) == 1 + 4 * 20


async def test_events_are_written_whatever_the_session_says(database, read_events, insert_prediction):
    """The trigger runs with its own search path: no table of a session takes the place of the real one."""
    connection = await asyncpg.connect(database.worker)
    try:
        prediction_id = await insert_prediction()
        await connection.execute("create temp table prediction_events (prediction_id uuid)")
        await connection.execute("set search_path = pg_temp, public")
        await connection.execute("set timezone = 'Asia/Tokyo'")
        await connection.execute(
            f"update predictions set {RUNNING}, retry_at = null where prediction_id = $1", prediction_id
        )
        await connection.execute(
            "update predictions set retry_reason = 'r', retry_at = '2026-01-02 03:04:05+00'"
            " where prediction_id = $1",
            prediction_id,
        )
        assert await connection.fetchval("select count(*) from pg_temp.prediction_events") == 0
    finally:
        await connection.close()
    assert await read_events(prediction_id) == [
        ("queued", {}),
        ("running", {"attempt": 1}),
        ("retrying", {"reason": "r", "retry_at": "2026-01-02T03:04:05+00:00"}),
    ]


async def test_events_go_with_their_prediction(owner, serve, change, prediction_id, insert_prediction):
    other = await insert_prediction()
    await owner.execute(f"update predictions set {CANCELLED} where prediction_id = $1", prediction_id)
    requests = await serve("acme")
    assert await requests.execute("delete from predictions") == "DELETE 1"
    left = await owner.fetch("select prediction_id from prediction_events")
    assert [row["prediction_id"] for row in left] == [other]


async def test_event_of_another_tenant_is_refused(owner, prediction_id):
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute(
            "insert into prediction_events values ('globex', $1, 2, 'running', now(), '{}')", prediction_id
        )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute(
            "insert into prediction_events values ('acme', $1, 1, 'running', now(), '{}')", uuid.uuid4()
        )
