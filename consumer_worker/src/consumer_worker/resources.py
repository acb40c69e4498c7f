"""What the worker holds for its whole life, proven to work before the first message is received."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from consumer_worker.errors import StartRefused
from consumer_worker.objects import STALLED_AFTER_SECONDS, Objects
from consumer_worker.scoring_pool import ScoringPool
from consumer_worker.scratch import open_scratch
from consumer_worker.settings import Settings
from consumer_worker.sqs.queue import SqsQueue, client_config
from consumer_worker.store import COMMAND_TIMEOUT_SECONDS, SCHEMA_REVISION, Store
from ml_models.card import installed_models
from ml_models.errors import ModelRefused
from ml_models.runtime import ChurnModel, load_model
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.logs import StartupEvent

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

CHECK_TIMEOUT_SECONDS = 10.0
"""For each proof at start: a service that cannot answer in this time is not one to start on."""

OTHER_SQS_CONNECTIONS = 4
"""For the reconciler and the readiness probe, beside the consumer's own."""

LEAST_RECEIVE_COUNT = 5
"""Lowest maxReceiveCount to run with: a drained or lost delivery counts as one, and is no attempt."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Resources:
    """Everything a handler and the consumer work with."""

    store: Store
    objects: Objects
    queue: SqsQueue
    dead_letter_queue: SqsQueue
    max_receive_count: int
    models: Mapping[str, ChurnModel]
    scoring_pool: ScoringPool
    scratch: Path


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open and prove the database, the queues, the bucket and the models; close them in reverse order.

    Raises:
        StartRefused: one of them cannot be used.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_open_store(settings))
        session = get_session()
        sqs = await stack.enter_async_context(
            session.create_client(
                "sqs",
                region_name=settings.aws_region,
                config=client_config(settings.consumer.max_connections + OTHER_SQS_CONNECTIONS),
            )
        )
        max_receive_count = await _prove_queues(sqs, settings)
        s3 = await stack.enter_async_context(
            session.create_client(
                "s3",
                region_name=settings.aws_region,
                config=AioConfig(
                    signature_version="s3v4",
                    connect_timeout=5,
                    read_timeout=STALLED_AFTER_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": 3},
                    max_pool_connections=settings.max_concurrent_messages + 1,  # one for the readiness probe
                ),
            )
        )
        objects = Objects(s3, settings.bucket_name)
        async with _proving("s3:ListBucket", settings.bucket_name):
            await objects.probe()
        log.info(StartupEvent.S3_CLIENT_INITIALIZED, bucket=settings.bucket_name)
        try:
            scratch = await asyncio.to_thread(stack.enter_context, open_scratch(settings.scratch_directory))
        except OSError as error:
            raise StartRefused(
                "SCRATCH_DIRECTORY: nothing can be written to "
                f"{settings.scratch_directory or 'the temporary folder'}: {error.strerror}"
            ) from error
        scoring_pool = ScoringPool(settings.scoring_threads)
        stack.callback(scoring_pool.close)
        yield Resources(
            store=store,
            objects=objects,
            queue=SqsQueue(
                sqs,
                settings.predictions_queue_url,
                dead_letter_url=settings.predictions_dlq_url,
                reason_attribute=MessageAttribute.DEAD_LETTER_REASON,
            ),
            dead_letter_queue=SqsQueue(sqs, settings.predictions_dlq_url),
            max_receive_count=max_receive_count,
            models=await _load_models(),
            scoring_pool=scoring_pool,
            scratch=scratch,
        )


@asynccontextmanager
async def _open_store(settings: Settings) -> AsyncIterator[Store]:
    url = urlsplit(settings.database_url.get_secret_value())
    where = f"{url.hostname}:{url.port or 5432}{url.path}"  # a password may stand in the query as well
    try:
        pool = await asyncpg.create_pool(
            settings.database_url.get_secret_value(),
            min_size=1,
            # A handler holds a connection for single statements only: a few serve many messages.
            max_size=min(10, settings.max_concurrent_messages + 1),
            timeout=COMMAND_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={"application_name": "retainwise-consumer-worker"},
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StartRefused(f"DATABASE_URL: the database at {where} lets no one in: {_told(error)}") from error
    try:
        store = Store(
            pool,
            lease_owner=f"{socket.gethostname()}:{os.getpid()}",
            lease_seconds=settings.visibility_timeout_seconds,
        )
        try:
            revision = await store.read_schema_revision()
        except asyncpg.PostgresError as error:
            raise StartRefused(
                f"the database at {where} has no readable schema: run the migrations ({_told(error)})"
            ) from error
        if revision < SCHEMA_REVISION:
            raise StartRefused(
                f"the database at {where} is at revision {revision}, this release needs "
                f"{SCHEMA_REVISION}: run the migrations"
            )
        log.info(StartupEvent.DATABASE_INITIALIZED, revision=revision)
        yield store
    finally:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _prove_queues(sqs: "SQSClient", settings: Settings) -> int:
    """Return how often the queue delivers a message before it parks it."""
    async with _proving("sqs:GetQueueAttributes", settings.predictions_queue_url):
        queue = await sqs.get_queue_attributes(
            QueueUrl=settings.predictions_queue_url, AttributeNames=["RedrivePolicy"]
        )
    async with _proving("sqs:GetQueueAttributes", settings.predictions_dlq_url):
        parked = await sqs.get_queue_attributes(
            QueueUrl=settings.predictions_dlq_url, AttributeNames=["QueueArn"]
        )
    policy = json.loads(queue.get("Attributes", {}).get("RedrivePolicy", "{}"))
    if policy.get("deadLetterTargetArn") != parked["Attributes"]["QueueArn"]:
        raise StartRefused(
            f"PREDICTIONS_DLQ_URL: the queue {settings.predictions_queue_url} does not redrive to "
            f"{settings.predictions_dlq_url}; set the queue's RedrivePolicy or the variable right"
        )
    max_receive_count = int(policy["maxReceiveCount"])
    if max_receive_count < LEAST_RECEIVE_COUNT:
        raise StartRefused(
            f"the queue {settings.predictions_queue_url} parks a message after {max_receive_count} receives; "
            f"set maxReceiveCount to {LEAST_RECEIVE_COUNT} at least"
        )
    log.info(
        StartupEvent.SQS_CLIENT_INITIALIZED,
        queue_url=settings.predictions_queue_url,
        max_receive_count=max_receive_count,
    )
    return max_receive_count


async def _load_models() -> Mapping[str, ChurnModel]:
    models = {}
    for ref in installed_models():
        try:
            models[ref] = await asyncio.to_thread(load_model, ref)
        except ModelRefused as error:
            raise StartRefused(f"{error}. Install the worker anew") from error
        log.info(StartupEvent.MODEL_LOADED, model=ref)
    if not models:
        raise StartRefused("no model is installed. Install the worker anew")
    return models


@asynccontextmanager
async def _proving(action: str, resource: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"AccessDenied", "AccessDeniedException", "403", "AWS.SimpleQueueService.AccessDenied"}:
            role = await _caller()
            raise StartRefused(f"access denied: {role} needs {action} on {resource}") from error
        raise StartRefused(f"{action} on {resource} failed: {_told(error)}") from error
    except (BotoCoreError, OSError) as error:  # a TimeoutError is an OSError
        raise StartRefused(f"{action} on {resource} failed: {_told(error)}") from error


async def _caller() -> str:
    """Return who AWS takes this process for, as far as it says."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), get_session().create_client("sts") as sts:
            return str((await sts.get_caller_identity())["Arn"])
    except (ClientError, BotoCoreError, OSError):
        return "this process's role"


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
