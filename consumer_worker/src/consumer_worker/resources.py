"""What the worker holds for its whole life, proven to work before the first message is received.

One context per resource; `open_resources` opens them in the order of the page.
"""

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from consumer_worker.errors import DatabaseUnavailable, StartRefused
from consumer_worker.objects import STALLED_AFTER_SECONDS, Objects
from consumer_worker.scoring_pool import ScoringPool
from consumer_worker.scratch import open_scratch
from consumer_worker.settings import Settings
from consumer_worker.sqs.queue import ACCESS_DENIED_CODES, SqsQueue, client_config
from consumer_worker.store import (
    COMMAND_TIMEOUT_SECONDS,
    IDLE_TRANSACTION_SECONDS,
    SCHEMA_REVISION,
    Store,
)
from ml_models.card import installed_models
from ml_models.errors import ModelRefused
from ml_models.runtime import ChurnModel, load_model
from retainwise_contracts.envelope import MessageAttribute
from retainwise_contracts.logs import StartupEvent

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

CHECK_TIMEOUT_SECONDS = 10.0
"""For each check at start: a service that cannot answer in this time is not one to start on."""

OTHER_SQS_CONNECTIONS = 4
"""For the reconciler and the readiness probe, beside the consumer's own."""

MIN_RECEIVE_COUNT = 5
"""Lowest maxReceiveCount to run with: a drained or lost delivery counts as one, and is no attempt."""

UNREADABLE_ADDRESS = "an address that cannot be read"

_HOSTS = re.compile(r"(\[[\w:.%-]+\]|/[\w./-]+|[\w.-]+)(:\d+)?", re.ASCII)
"""One host with its port, or a socket's folder; anything else may be a part of a password."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Queues:
    """The queue of requests and the dead-letter queue that it redrives to."""

    requests: SqsQueue
    dead_letter: SqsQueue
    max_receive_count: int
    """How often the first delivers a message before SQS parks it in the second."""


@dataclass(frozen=True)
class Resources:
    """Everything the handler, the consumer and the reconciler work with."""

    models: Mapping[str, ChurnModel]
    store: Store
    queues: Queues
    objects: Objects
    scratch: Path
    scoring_pool: ScoringPool


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open and check all that the worker needs; close it in reverse order.

    Raises:
        StartRefused: something cannot be used.
    """
    session = get_session()  # it reads the service models, and fetches credentials, once for all
    async with (
        open_store(settings) as store,
        open_queues(session, settings) as queues,
        open_bucket(session, settings) as objects,
        open_scratch_folder(settings) as scratch,
    ):
        with open_scoring_pool(settings) as scoring_pool:
            yield Resources(
                models=await load_models(),
                store=store,
                queues=queues,
                objects=objects,
                scratch=scratch,
                scoring_pool=scoring_pool,
            )


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the database's pool and check the schema's revision. Raises StartRefused."""
    url = settings.database_url.get_secret_value()
    address = database_address(url)
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            # A handler holds a connection for single statements only: a few serve many messages.
            max_size=min(10, settings.max_concurrent_messages + 1),
            timeout=COMMAND_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={
                "application_name": "retainwise-consumer-worker",
                "idle_in_transaction_session_timeout": str(int(IDLE_TRANSACTION_SECONDS * 1_000)),
            },
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StartRefused(describe_database_error(error, address)) from error
    try:
        store = Store(pool, lease_owner=f"{socket.gethostname()}:{os.getpid()}")
        try:
            revision = await store.read_schema_revision()
        except (asyncpg.PostgresError, DatabaseUnavailable) as error:
            raise StartRefused(
                f"the database at {address} has no readable schema: run the migrations ({_describe(error)})"
            ) from error
        if revision < SCHEMA_REVISION:
            raise StartRefused(
                f"the database at {address} is at revision {revision}, this release needs "
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


@asynccontextmanager
async def open_queues(session: AioSession, settings: Settings) -> AsyncIterator[Queues]:
    """Open the SQS client and check that the queue redrives to the dead-letter queue. Raises StartRefused."""
    config = client_config(settings.consumer.max_connections + OTHER_SQS_CONNECTIONS)
    queue_url, dlq_url = settings.predictions_queue_url, settings.predictions_dlq_url
    async with session.create_client("sqs", region_name=settings.aws_region, config=config) as client:
        max_receive_count = await _read_max_receive_count(session, client, queue_url, dlq_url)
        log.info(
            StartupEvent.SQS_CLIENT_INITIALIZED, queue_url=queue_url, max_receive_count=max_receive_count
        )
        yield Queues(
            requests=SqsQueue(
                client,
                queue_url,
                dead_letter_url=dlq_url,
                reason_attribute=MessageAttribute.DEAD_LETTER_REASON,
            ),
            dead_letter=SqsQueue(client, dlq_url),
            max_receive_count=max_receive_count,
        )


async def _read_max_receive_count(
    session: AioSession, client: "SQSClient", queue_url: str, dlq_url: str
) -> int:
    async with _checking(session, "sqs:GetQueueAttributes", queue_url):
        queue = await client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
    async with _checking(session, "sqs:GetQueueAttributes", dlq_url):
        dead_letter = await client.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    policy = json.loads(queue.get("Attributes", {}).get("RedrivePolicy", "{}"))
    if policy.get("deadLetterTargetArn") != dead_letter["Attributes"]["QueueArn"]:
        raise StartRefused(
            f"PREDICTIONS_DLQ_URL: the queue {queue_url} does not redrive to {dlq_url}; "
            "correct the queue's RedrivePolicy or the variable"
        )
    max_receive_count = int(policy["maxReceiveCount"])
    if max_receive_count < MIN_RECEIVE_COUNT:
        raise StartRefused(
            f"the queue {queue_url} parks a message after {max_receive_count} receives; "
            f"set maxReceiveCount to at least {MIN_RECEIVE_COUNT}"
        )
    return max_receive_count


@asynccontextmanager
async def open_bucket(session: AioSession, settings: Settings) -> AsyncIterator[Objects]:
    """Open the S3 client and check that the bucket is there. Raises StartRefused."""
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=STALLED_AFTER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=settings.max_concurrent_messages + 1,  # one for the readiness probe
    )
    async with session.create_client("s3", region_name=settings.aws_region, config=config) as client:
        objects = Objects(client, settings.bucket_name)
        async with _checking(session, "s3:ListBucket", settings.bucket_name):
            await objects.probe()
        log.info(StartupEvent.S3_CLIENT_INITIALIZED, bucket=settings.bucket_name)
        yield objects


@asynccontextmanager
async def open_scratch_folder(settings: Settings) -> AsyncIterator[Path]:
    """Make the folder for the files being scored; it is removed at the end. Raises StartRefused."""
    with ExitStack() as stack:
        try:
            folder = await asyncio.to_thread(stack.enter_context, open_scratch(settings.scratch_directory))
        except OSError as error:
            raise StartRefused(
                f"SCRATCH_DIRECTORY: cannot write to {settings.scratch_directory or 'the temporary folder'}: "
                f"{error.strerror}"
            ) from error
        yield folder


@contextmanager
def open_scoring_pool(settings: Settings) -> Iterator[ScoringPool]:
    """Start the threads that score."""
    pool = ScoringPool(settings.scoring_threads)
    try:
        yield pool
    finally:
        pool.close()


async def load_models() -> Mapping[str, ChurnModel]:
    """Load every installed model. Raises StartRefused."""
    models = {}
    for ref in installed_models():
        try:
            models[ref] = await asyncio.to_thread(load_model, ref)
        except ModelRefused as error:
            raise StartRefused(f"{error}. Reinstall the worker") from error
        log.info(StartupEvent.MODEL_LOADED, model=ref)
    if not models:
        raise StartRefused("no model is installed. Reinstall the worker")
    return models


def database_address(url: str) -> str:
    """Return the hosts and the name of the database in `url`: all of it that may be shown.

    A password with a "/", "?" or "#" that is not percent-encoded ends the host too early: nothing is shown.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        return UNREADABLE_ADDRESS
    after_host = (
        parts.path
        + parts.fragment
        + "".join(value for name, value in query.items() if name not in {"user", "password"})
    )
    if "@" in after_host:
        return UNREADABLE_ADDRESS
    name = unquote(parts.path).lstrip("/") or query.get("dbname") or query.get("database", "")
    hosts = unquote(parts.netloc.rpartition("@")[2]) or query.get("host")
    if not hosts:
        return f"the default host/{name}"
    if not all(_HOSTS.fullmatch(host) for host in hosts.split(",")):
        return UNREADABLE_ADDRESS
    return f"{hosts}/{name}"


def describe_database_error(error: Exception, address: str) -> str:
    """Return why no connection to the database could be opened, without a word of its password."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"DATABASE_URL: the database at {address} cannot be used: {_describe(error)}"
    if isinstance(error, ValueError):  # its text quotes the part of the URL that could not be read
        return "DATABASE_URL cannot be read: percent-encode its user and password, and use numbers as ports"
    if isinstance(error, asyncpg.PostgresError):
        return f"DATABASE_URL: the database at {address} refused the login: {_describe(error)}"
    return f"DATABASE_URL: the database at {address} cannot be reached: {_describe(error)}"


def is_access_denied(code: str) -> bool:
    """Return whether an AWS error code, prefixed or not, says that a permission or a valid key is missing."""
    return code.rpartition("#")[2].rpartition(".")[2] in ACCESS_DENIED_CODES | {"403"}  # 403: of a HEAD


@asynccontextmanager
async def _checking(session: AioSession, action: str, resource: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            yield
    except ClientError as error:
        if is_access_denied(error.response["Error"]["Code"]):
            role = await _caller(session)
            raise StartRefused(
                f"access denied: {role} needs {action} on {resource} ({_describe(error)})"
            ) from error
        raise StartRefused(f"{action} on {resource} failed: {_describe(error)}") from error
    except (BotoCoreError, OSError) as error:  # a TimeoutError is an OSError
        raise StartRefused(f"{action} on {resource} failed: {_describe(error)}") from error


async def _caller(session: AioSession) -> str:
    """Return the role that AWS knows this process by, if AWS can be asked."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), session.create_client("sts") as sts:
            return str((await sts.get_caller_identity())["Arn"])
    except (ClientError, BotoCoreError, OSError):
        return "this process's role"


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
