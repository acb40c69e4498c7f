"""Connections to a migrated database, as its owner and as each role, and rows to begin with."""

import json
import uuid

import asyncpg
import pytest

REQUESTS_ROLE = "?role=retainwise_requests"
"""How the API's pools for requests connect; asyncpg takes it for a setting of the session."""

RUNNING = "status = 'RUNNING', fence = fence + 1, attempt = attempt + 1, started_at = now()"
COMPLETED = (
    "status = 'COMPLETED', finished_at = now(), result = '{}', summary = '{}', "
    "rows_total = 3, rows_scored = 2, rows_rejected = 1"
)
CANCELLED = "status = 'CANCELLED', finished_at = now()"


@pytest.fixture
async def connections(database):
    """A connection as `owner`, `producer`, `worker` and `requests`; the last without a tenant."""
    urls = {
        "owner": database.owner,
        "producer": database.producer,
        "worker": database.worker,
        "requests": database.producer + REQUESTS_ROLE,
    }
    opened = {user: await asyncpg.connect(url) for user, url in urls.items()}
    yield opened
    for connection in opened.values():
        await connection.close()


@pytest.fixture
def owner(connections):
    return connections["owner"]


@pytest.fixture
def serve(connections):
    """Let the connection of requests serve this tenant from now on."""

    async def choose(tenant_id):
        connection = connections["requests"]
        await connection.execute("select set_config('retainwise.tenant_id', $1, false)", tenant_id)
        return connection

    return choose


@pytest.fixture
def insert_upload(owner):
    """Insert an upload of a tenant, READY unless its columns say otherwise."""

    async def insert(tenant_id="acme", connection=owner):
        upload_id = uuid.uuid4()
        await connection.execute(
            "insert into uploads (upload_id, tenant_id, bucket, object_key, size_bytes, sha256)"
            " values ($1, $2, 'files', $3, 3, repeat('a', 64))",
            *(upload_id, tenant_id, f"uploads/{tenant_id}/{upload_id}.csv"),
        )
        return upload_id

    return insert


@pytest.fixture
def insert_prediction(owner, insert_upload):
    """Insert a QUEUED prediction of an upload of a tenant, of a new one if none is named."""

    async def insert(tenant_id="acme", upload_id=None, connection=owner):
        prediction_id = uuid.uuid4()
        await connection.execute(
            "insert into predictions (prediction_id, tenant_id, upload_id, model_name, model_version)"
            " values ($1, $2, $3, 'telco-churn', '1.0.0')",
            *(prediction_id, tenant_id, upload_id or await insert_upload(tenant_id, connection)),
        )
        return prediction_id

    return insert


@pytest.fixture
def insert_message(connections):
    async def insert(user, destination, tenant_id, prediction_id):
        await connections[user].execute(
            "insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, body)"
            " values ($1, gen_random_uuid(), 't', $2, $3, '{}')",
            *(destination, prediction_id, tenant_id),
        )

    return insert


@pytest.fixture
def read_events(owner):
    """Read the events of a prediction: their types, each with its detail; their numbers have no gaps."""

    async def read(prediction_id):
        rows = await owner.fetch(
            "select sequence, type, at, detail from prediction_events where prediction_id = $1"
            " order by sequence",
            prediction_id,
        )
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
        assert sorted(row["at"] for row in rows) == [row["at"] for row in rows]
        return [(row["type"], json.loads(row["detail"])) for row in rows]

    return read
