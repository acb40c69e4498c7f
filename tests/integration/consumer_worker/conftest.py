"""A worker on real parts, without the API: files and requests are put where the API puts them."""

import asyncio
import csv
import hashlib
import io
import json
import os
import random
import sys
import threading
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from consumer_worker.resources import open_resources
from consumer_worker.scoring import ScoringRequest, score_file
from consumer_worker.settings import Settings
from consumer_worker.worker import build_consumer, build_handler, build_reconciler
from ml_models.runtime import load_model
from retainwise_contracts.codec import MessageSource, encode, wrap
from retainwise_contracts.prediction_finished import PredictionCompletedV1, ResultLocation
from retainwise_contracts.prediction_requested import (
    ModelReference,
    PredictionRequestedV1,
    ScoringOptions,
    UploadReference,
)
from retainwise_contracts.status import PredictionStatus
from tests.conftest import FAULT_PLANTED, FAULT_SURVIVED, ROOT
from tests.integration.consumer_worker import failing_worker, held_worker
from tests.integration.consumer_worker.faulty_proxy import serve_proxy

FINISH_TIMEOUT_SECONDS = 60
COLUMNS = (
    "customerID",
    "tenure",
    "Contract",
    "InternetService",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
)


def customers(rows, seed=1):
    """A CSV of invented customers, as bytes."""
    chance = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in range(rows):
        tenure, charge = chance.randint(0, 72), round(chance.uniform(18, 118), 2)
        writer.writerow(
            (
                f"C-{number:07d}",
                tenure,
                chance.choice(("Month-to-month", "One year", "Two year")),
                chance.choice(("DSL", "Fiber optic", "No")),
                chance.choice(("Electronic check", "Mailed check", "Credit card (automatic)")),
                charge,
                round(tenure * charge, 2),
            )
        )
    return text.getvalue().encode()


FAULTY_RUN = customers(300)
"""What is scored while faults are planted."""


@dataclass
class Backend:
    """Takes the API's place: it accepts files, and reads the state of their predictions."""

    owner: asyncpg.Connection
    sqs: Any
    s3: Any
    aws: Any

    def reconnect(self, owner):
        """Go on with another connection, after the server was restarted."""
        self.owner.terminate()
        self.owner = owner

    async def accept(
        self,
        content,
        *,
        tenant_id="acme",
        model="telco-churn@1.0.0",
        deadline=None,
        send=1,
        mapping=None,
        options=None,
    ):
        """Store a file and its rows as the API does, and send the request `send` times."""
        mapping, options = mapping or {}, options or ScoringOptions()
        prediction_id, upload_id = uuid.uuid4(), uuid.uuid4()
        key = f"uploads/{tenant_id}/{upload_id}.csv"
        await self.s3.put_object(Bucket=self.aws.bucket, Key=key, Body=content)
        name, _, version = model.partition("@")
        digest = hashlib.sha256(content).hexdigest()
        async with self.owner.transaction():
            await self.owner.execute(
                "insert into uploads (upload_id, tenant_id, bucket, object_key, size_bytes, sha256)"
                " values ($1, $2, $3, $4, $5, $6)",
                *(upload_id, tenant_id, self.aws.bucket, key, len(content), digest),
            )
            requested_at = await self.owner.fetchval(
                "insert into predictions"
                " (prediction_id, tenant_id, upload_id, model_name, model_version, deadline,"
                " mapping, options)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8) returning requested_at",
                *(prediction_id, tenant_id, upload_id, name, version, deadline),
                *(json.dumps(mapping), options.model_dump_json()),
            )
            message = wrap(
                PredictionRequestedV1(
                    prediction_id=prediction_id,
                    tenant_id=tenant_id,
                    upload=UploadReference(
                        bucket=self.aws.bucket,
                        key=key,
                        version_id=None,
                        size_bytes=len(content),
                        sha256=digest,
                    ),
                    model=ModelReference(name=name, version=version),
                    mapping=mapping,
                    options=options,
                    requested_at=requested_at,
                    deadline=deadline,
                ),
                source=MessageSource.PRODUCER_API,
            )
            await self.owner.execute(
                "insert into outbox"
                " (destination, message_id, message_type, prediction_id, tenant_id, body, sent_at)"
                " values ('predictions', $1, $2, $3, $4, $5, now())",
                *(message.id, message.type, prediction_id, tenant_id, encode(message)),
            )
            await self.owner.execute(
                "update predictions set sqs_message_id = $2, sqs_queued_at = now() where prediction_id = $1",
                *(prediction_id, str(message.id)),
            )
        for _ in range(send):
            await self.send(encode(message))
        return prediction_id

    async def send(self, body):
        """Send a message to the queue of requests."""
        await self.sqs.send_message(QueueUrl=self.aws.queue_url, MessageBody=body)

    async def cancel(self, prediction_id):
        """Cancel a prediction."""
        await self.owner.execute(
            "update predictions set status = 'CANCELLED', finished_at = now(), lease_token = null,"
            " lease_owner = null, lease_until = null, retry_reason = null, retry_at = null"
            " where prediction_id = $1 and finished_at is null",
            prediction_id,
        )

    async def history(self, prediction_id):
        """The types of the events in a prediction's history, in order."""
        rows = await self.owner.fetch(
            "select type from prediction_events where prediction_id = $1 order by sequence", prediction_id
        )
        return [row["type"] for row in rows]

    async def row(self, prediction_id):
        """The row of a prediction."""
        return await self.owner.fetchrow("select * from predictions where prediction_id = $1", prediction_id)

    async def wait_for(self, prediction_id, *statuses, timeout=FINISH_TIMEOUT_SECONDS):
        """Wait until a prediction has one of the statuses, any final one if none is named."""
        async with asyncio.timeout(timeout):
            while True:
                row = await self.row(prediction_id)
                status = PredictionStatus(row["status"])
                if status in statuses or (not statuses and status.is_final):
                    return row
                await asyncio.sleep(0.02)

    async def events(self, prediction_id):
        """The types of the events written for a prediction."""
        rows = await self.owner.fetch(
            "select message_type from outbox where destination = 'events' and prediction_id = $1",
            prediction_id,
        )
        return [row["message_type"] for row in rows]

    async def objects(self, prefix="results/"):
        """The keys in the bucket below a prefix."""
        listed = await self.s3.list_objects_v2(Bucket=self.aws.bucket, Prefix=prefix)
        return sorted(item["Key"] for item in listed.get("Contents", ()))

    async def read(self, key):
        """The bytes of an object."""
        response = await self.s3.get_object(Bucket=self.aws.bucket, Key=key)
        async with response["Body"] as body:
            return await body.read()

    async def messages(self, queue_url):
        """Counts of a queue's messages: waiting, and in flight."""
        got = await self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        attributes = got["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    async def wait_for_messages(self, queue_url, waiting, in_flight, timeout=20):
        """Wait until a queue holds so many messages."""
        async with asyncio.timeout(timeout):
            while await self.messages(queue_url) != (waiting, in_flight):
                await asyncio.sleep(0.05)


@pytest.fixture
async def backend(database, aws, aws_session):
    """Accepts files in the API's place and reads the state of their predictions."""
    owner = await asyncpg.connect(database.owner)
    async with (
        aws_session.create_client("sqs", region_name=aws.region) as sqs,
        aws_session.create_client("s3", region_name=aws.region) as s3,
    ):
        backend = Backend(owner, sqs, s3, aws)
        yield backend
        await backend.owner.close()


@pytest.fixture
def worker_env(database, aws, unused_port, tmp_path):
    """The environment of one worker; a short visibility, so that a lost worker is noticed soon."""
    return {
        **aws.env,
        "DATABASE_URL": database.worker,
        "PREDICTIONS_QUEUE_URL": aws.queue_url,
        "PREDICTIONS_DLQ_URL": aws.dlq_url,
        "BUCKET_NAME": aws.bucket,
        "VISIBILITY_TIMEOUT_SECONDS": "2",
        "SCRATCH_DIRECTORY": str(tmp_path),
        "HEALTH_HOST": "127.0.0.1",
        "SHUTDOWN_GRACE_SECONDS": "8",
        "RECONCILE_SECONDS": "0.5",
    }


@pytest.fixture
def worker_settings(worker_env):
    """Settings of a worker in this process; its keywords override."""

    def build(**overrides):
        values = {
            name.lower(): value for name, value in worker_env.items() if name.lower() in Settings.model_fields
        }
        return Settings(**(values | overrides))

    return build


@pytest.fixture
def run_worker_here(worker_settings):
    """A worker in this process while the block runs: its consumer and its resources."""

    @asynccontextmanager
    async def run(**overrides):
        settings = worker_settings(**overrides)
        async with open_resources(settings) as resources:
            handler = build_handler(resources, settings)
            consumer = build_consumer(handler, resources, settings, registry=CollectorRegistry())
            running = asyncio.create_task(consumer.run())
            watching = asyncio.create_task(handler.watch_cancellations())
            try:
                yield consumer, resources
            finally:
                watching.cancel()
                consumer.stop_now()
                await running

    return run


@pytest.fixture
def run_reconciler_here(worker_settings):
    """Make one sweep of the reconciler, in this process."""

    async def sweep():
        settings = worker_settings()
        async with open_resources(settings) as resources:
            await build_reconciler(resources, settings, registry=CollectorRegistry()).sweep()

    return sweep


@pytest.fixture
async def proxy(aws, unused_port):
    """Stands between the workers it is given to and the emulator, and plants faults."""
    async with serve_proxy(aws.endpoint_url, unused_port()) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def quiet_digests(tmp_path_factory):
    """The content of `FAULTY_RUN`'s result when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "upload").write_bytes(FAULTY_RUN)
    report = score_file(
        folder / "upload",
        folder,
        load_model("telco-churn@1.0.0"),
        ScoringRequest(uuid.uuid4(), hashlib.sha256(FAULTY_RUN).hexdigest()),
        cancelled=threading.Event(),
    )
    return digests(report.files)


def digests(files):
    """Digests of result files, without the manifest, which names its prediction."""
    return {file.name: file.sha256 for file in files if file.name != "manifest.json"}


@pytest.fixture
def require_survived(backend, quiet_digests, record_property):
    """A function that checks that predictions of `FAULTY_RUN` ended once, with a quiet run's bytes."""
    record_property(*FAULT_PLANTED)

    async def check(*prediction_ids):
        for prediction_id in prediction_ids:
            row = await backend.wait_for(prediction_id)
            assert row["status"] == "COMPLETED"
            assert digests(ResultLocation.model_validate_json(row["result"]).files) == quiet_digests
        await backend.wait_for_messages(backend.aws.queue_url, 0, 0, timeout=60)
        assert await backend.messages(backend.aws.dlq_url) == (0, 0)
        for prediction_id in prediction_ids:
            assert await backend.events(prediction_id) == [PredictionCompletedV1.TYPE]
        record_property(*FAULT_SURVIVED)

    return check


@pytest.fixture
async def start_worker(worker_env, unused_port, tmp_path, scoring_mark):
    """Start workers as processes of their own, as an operator does; killed at the end if they still run.

    With `hold_seconds` a worker waits so long in mid-score, see `held_worker`; with `failing` its reconciler
    fails then, see `failing_worker`.
    """
    started: list[asyncio.subprocess.Process] = []

    async def start(hold_seconds=None, *, failing=False, **env):
        patched = failing_worker if failing else held_worker
        module = "consumer_worker" if hold_seconds is None else patched.__name__
        held = {"HOLD_SECONDS": str(hold_seconds), "SCORING_MARK": str(scoring_mark)}
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            env=os.environ | worker_env | held | {"HEALTH_PORT": str(unused_port())} | env,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        log.close()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def scoring_mark(tmp_path):
    """The file that a held worker makes when it is in mid-score."""
    return tmp_path / "scoring"


@pytest.fixture
def scoring_begun(scoring_mark):
    """Wait until a held worker is in mid-score."""

    async def wait():
        async with asyncio.timeout(FINISH_TIMEOUT_SECONDS):
            while not scoring_mark.exists():
                await asyncio.sleep(0.02)

    return wait
