"""Both orders of a deploy that brings a second major, with real workers of both releases on one queue.

The last release is its kept wheel under the worker of this checkout; the next one is `second_major`.
"""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiobotocore.session import get_session

from deploy.local.database import DATABASE, database_urls
from deploy.local.ports import HOST, Ports
from deploy.local.provision import CREDENTIALS, REGION, Names, provision
from deploy.local.services import Service
from retainwise_contracts.prediction_finished import PredictionCompletedV1
from retainwise_contracts.status import PredictionStatus
from tests.contracts.kept import list_kept, unpack
from tests.contracts.second_major import create_second_major
from tests.faults.stack import Backends
from tests.integration.consumer_worker.conftest import Backend, customers

BATCH = 8
"""Predictions per phase of a deploy."""

PHASE_SECONDS = 120.0
"""The limit for each wait; a phase takes a few seconds on a free machine."""

_ENCODE = """
import json, sys
from retainwise_contracts.codec import decode, encode
json.dump([encode(decode(body)) for body in json.load(sys.stdin)], sys.stdout)
"""


@dataclass
class Rolling:
    """A queue with its database, on which workers of two releases run."""

    backend: Backend
    environment: dict[str, str]
    releases: dict[str, Path]
    """The folder of each release, for PYTHONPATH: `old` and `new`."""
    folder: Path
    accepted: list[uuid.UUID] = field(default_factory=list)

    @asynccontextmanager
    async def worker(self, release: str) -> AsyncIterator[Path]:
        """Run a worker of a release, and let it finish what it holds at the end; provides its log."""
        ports = Ports.free(1)
        log = self.folder / f"{release}-{ports.workers[0]}.log"
        scratch = self.folder / f"scratch-{ports.workers[0]}"
        scratch.mkdir(mode=0o700)
        service = Service(
            f"{release} worker",
            "consumer_worker",
            ports.workers[0],
            env=self.environment
            | {
                "PYTHONPATH": str(self.releases[release]),
                "HEALTH_PORT": str(ports.workers[0]),
                "SCRATCH_DIRECTORY": str(scratch),
            },
            log=log,
        )
        await service.start()
        try:
            yield log
        finally:
            await service.child.stop()

    async def send(self, writer: str) -> list[uuid.UUID]:
        """Accept predictions and send their requests as a release writes them; an outbox keeps the same."""
        ids = [await self.backend.accept(customers(20, seed), send=0) for seed in range(BATCH)]
        self.accepted += ids
        rows = await self.backend.owner.fetch(
            "select outbox_id, body from outbox where destination = 'predictions'"
            " and prediction_id = any($1::uuid[])",
            ids,
        )
        bodies = await asyncio.to_thread(write_as, self.releases[writer], [row["body"] for row in rows])
        for row, body in zip(rows, bodies, strict=True):
            await self.backend.owner.execute(
                "update outbox set body = $2, message_type = $3 where outbox_id = $1",
                *(row["outbox_id"], body, json.loads(body)["type"]),
            )
            await self.backend.send(body)
        return ids

    async def wait_until_completed(self, ids: list[uuid.UUID]) -> None:
        """Wait until all have ended; each one must be COMPLETED."""
        for prediction_id in ids:
            row = await self.backend.wait_for(prediction_id, timeout=PHASE_SECONDS)
            if row["status"] != PredictionStatus.COMPLETED:
                raise AssertionError(f"{prediction_id} is {row['status']}: {row['failure']}")

    async def wait_until_parked(self, count: int) -> None:
        """Wait until so many messages are in the dead-letter queue."""
        await self.backend.wait_for_messages(self.backend.aws.dlq_url, count, 0, timeout=PHASE_SECONDS)

    async def wait_until_settled(self) -> None:
        """Wait until the workers have deleted what they are done with."""
        await self.backend.wait_for_messages(self.backend.aws.queue_url, 0, 0, timeout=PHASE_SECONDS)

    async def redrive(self) -> list[str]:
        """Move all dead letters back to the queue, as an operator does; returns why each was parked."""
        sqs, aws, reasons = self.backend.sqs, self.backend.aws, []
        while messages := (
            await sqs.receive_message(
                QueueUrl=aws.dlq_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
        ).get("Messages"):
            for message in messages:
                reasons.append(message["MessageAttributes"]["deadletterreason"]["StringValue"])
                await self.backend.send(message["Body"])
                await sqs.delete_message(QueueUrl=aws.dlq_url, ReceiptHandle=message["ReceiptHandle"])
        return reasons

    async def can_deploy(self, release: str) -> bool:
        """Whether a release says that it can read all that is in the queues; nothing may be consumed."""
        aws = self.backend.aws
        before = [await self.backend.messages(url) for url in (aws.queue_url, aws.dlq_url)]
        done = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-P", "-m", "retainwise_contracts.command", "can-i-deploy"),
                *("--queue-url", aws.queue_url, "--dead-letter-url", aws.dlq_url),
            ],
            env=self.environment | {"PYTHONPATH": str(self.releases[release])},
            capture_output=True,
            text=True,
            timeout=PHASE_SECONDS,
        )
        after = [await self.backend.messages(url) for url in (aws.queue_url, aws.dlq_url)]
        if done.returncode not in (0, 1) or before != after:
            raise AssertionError(f"can-i-deploy: {before} became {after}: {done.stdout}{done.stderr}")
        return done.returncode == 0

    async def count_lost(self) -> int:
        """How many predictions did not end in one result, announced once, or left a message behind."""
        await self.wait_until_settled()
        lost: int = sum(await self.backend.messages(self.backend.aws.dlq_url))
        for prediction_id in self.accepted:
            row = await self.backend.row(prediction_id)
            events = await self.backend.events(prediction_id)
            lost += (row["status"], events) != (PredictionStatus.COMPLETED, [PredictionCompletedV1.TYPE])
        return lost


def write_as(release: Path, bodies: list[str]) -> list[str]:
    """Have a release write messages: it reads them, which upcasts them, and writes the latest major."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ENCODE],
        env={"PYTHONPATH": str(release)},
        input=json.dumps(bodies),
        capture_output=True,
        text=True,
        timeout=PHASE_SECONDS,
        check=True,
    )
    written: list[str] = json.loads(done.stdout)
    return written


def count_claims(log: Path) -> int:
    """How many predictions the worker with this log has claimed."""
    return log.read_text("utf-8").count("prediction_claimed")


async def deploy_readers_first(rolling: Rolling) -> None:
    """The right order. No message is parked: the old major is upcast, the new one comes last."""
    async with rolling.worker("new") as new_log:
        async with rolling.worker("old") as old_log:
            both = [await rolling.send("old") for _ in range(2)]
            for ids in both:
                await rolling.wait_until_completed(ids)
            if not (count_claims(old_log) and count_claims(new_log)):
                raise AssertionError("one of two workers on the queue claimed nothing")
            # The old worker drains while messages of the old major are on their way.
            upcast = await rolling.send("old")
        await rolling.wait_until_completed(upcast)
        await rolling.wait_until_completed(await rolling.send("new"))  # EMIT_MAJOR=2 on the producer
    if sum(await rolling.backend.messages(rolling.backend.aws.dlq_url)):
        raise AssertionError("a message was parked, although readers were deployed first")


async def deploy_writer_first(rolling: Rolling) -> None:
    """The wrong order, or a reader rolled back: what it cannot read is parked, never failed, and redriven."""
    async with rolling.worker("old"):
        parked = await rolling.send("new")
        await rolling.wait_until_completed(await rolling.send("old"))
        await rolling.wait_until_parked(len(parked))
        await rolling.wait_until_settled()
        for prediction_id in parked:
            status = (await rolling.backend.row(prediction_id))["status"]
            if status != PredictionStatus.QUEUED:
                raise AssertionError(f"an unreadable message made its prediction {status}")
        if await rolling.can_deploy("old") or not await rolling.can_deploy("new"):
            raise AssertionError("can-i-deploy is wrong about the dead letters")
    reasons = await rolling.redrive()
    async with rolling.worker("new"):
        await rolling.wait_until_completed(parked)
    if any(not reason.startswith("UnsupportedVersion") for reason in reasons) or len(reasons) != len(parked):
        raise AssertionError(f"parked for another reason: {sorted(set(reasons))}")


async def run_rolling(backends: Backends) -> int:
    """Deploy in both orders; returns how many predictions were lost or doubled."""
    lost = 0
    for order in (deploy_readers_first, deploy_writer_first):
        async with open_rolling(order.__name__.replace("_", "-"), backends) as rolling:
            await order(rolling)
            lost += await rolling.count_lost()
            print(f"{order.__name__}: {len(rolling.accepted)} predictions")
    return lost


@asynccontextmanager
async def open_rolling(name: str, backends: Backends) -> AsyncIterator[Rolling]:
    """Provide a database, queues and a bucket, and both releases."""
    folder = backends.folder / name
    folder.mkdir(mode=0o755)
    server, endpoint = backends.postgres, backends.emulator.endpoint_url
    database = name.replace("-", "_")
    administrator = await asyncpg.connect(server.dsn())
    await administrator.execute(f"create database {database} template {DATABASE}")
    await administrator.close()
    urls = database_urls(server, database)
    made = await provision(
        endpoint,
        Names(queue=name, dead_letter_queue=f"{name}-dlq", bucket=f"{name}-files", topic=f"{name}-events"),
    )
    session = get_session()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    owner = await asyncpg.connect(urls.owner)
    try:
        async with (
            session.create_client("sqs", region_name=REGION, endpoint_url=endpoint) as sqs,
            session.create_client("s3", region_name=REGION, endpoint_url=endpoint) as s3,
        ):
            yield Rolling(
                Backend(owner, sqs, s3, made),
                environment={
                    **CREDENTIALS,
                    "AWS_ENDPOINT_URL": endpoint,
                    "AWS_REGION": REGION,
                    "AWS_DEFAULT_REGION": REGION,
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "DATABASE_URL": urls.worker,
                    "PREDICTIONS_QUEUE_URL": made.queue_url,
                    "PREDICTIONS_DLQ_URL": made.dlq_url,
                    "BUCKET_NAME": made.bucket,
                    "HEALTH_HOST": HOST,
                    "SHUTDOWN_GRACE_SECONDS": "8",
                    "RECONCILE_SECONDS": "3600",  # its reconciler would redrive by itself
                    "PYTHONUNBUFFERED": "1",
                    "PATH": os.environ["PATH"],
                },
                releases={
                    "old": unpack(list(list_kept().values())[-1], folder / "old"),
                    "new": create_second_major(folder / "new"),
                },
                folder=folder,
            )
    finally:
        await owner.close()
