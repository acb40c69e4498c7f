"""What was there before a revision is there after it, with its history."""

import asyncio
import json
import uuid

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from deploy.local.database import migrate
from tests.conftest import ROOT
from tests.integration.schema.conftest import COMPLETED, RUNNING


@pytest.fixture
async def at_0002(postgres_server):
    """The URL of a database of the release before."""
    name = f"before_{uuid.uuid4().hex}"
    server = await asyncpg.connect(postgres_server.dsn())
    await server.execute(f"create database {name}")
    url = postgres_server.dsn(database=name)
    config = Config(ROOT / "deploy" / "migrations" / "alembic.ini")
    config.attributes["database_url"] = url
    await asyncio.to_thread(command.upgrade, config, "0002")
    yield url
    await server.execute(f"drop database {name} with (force)")
    await server.close()


async def test_predictions_of_the_release_before_get_their_history(at_0002):
    connection = await asyncpg.connect(at_0002)
    waiting, finished, failed = (uuid.uuid4() for _ in range(3))
    upload_id = uuid.uuid4()
    await connection.execute(
        "insert into uploads (upload_id, tenant_id, bucket, object_key, size_bytes, sha256)"
        " values ($1, 'acme', 'files', 'k', 3, repeat('a', 64))",
        upload_id,
    )
    for prediction_id in (waiting, finished, failed):
        await connection.execute(
            "insert into predictions (prediction_id, tenant_id, upload_id, model_name, model_version)"
            " values ($1, 'acme', $2, 'telco-churn', '1.0.0')",
            *(prediction_id, upload_id),
        )
    await connection.execute(f"update predictions set {RUNNING} where prediction_id = $1", finished)
    await connection.execute(f"update predictions set {COMPLETED} where prediction_id = $1", finished)
    await connection.execute(
        "update predictions set status = 'FAILED', finished_at = now(),"
        ' failure = \'{"code": "no_rows"}\' where prediction_id = $1',
        failed,
    )
    await migrate(at_0002)
    rows = await connection.fetch(
        "select prediction_id, sequence, type, detail from prediction_events order by sequence"
    )
    history = {
        prediction_id: [
            (row["sequence"], row["type"], json.loads(row["detail"]))
            for row in rows
            if row["prediction_id"] == prediction_id
        ]
        for prediction_id in (waiting, finished, failed)
    }
    await connection.close()
    assert history == {
        waiting: [(1, "queued", {})],
        finished: [
            (1, "queued", {}),
            (2, "running", {"attempt": 1}),
            (3, "completed", {"rows_total": 3, "rows_scored": 2, "rows_rejected": 1}),
        ],
        failed: [(1, "queued", {}), (2, "failed", {"code": "no_rows"})],
    }
