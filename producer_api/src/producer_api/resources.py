"""What the API holds for its whole life, checked before the first request is taken.

One context for each resource, in the order of `CHECKED_AT_START`; each fills the app key that its users read.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from ml_models.card import installed_models, load_card
from ml_models.errors import ModelNotFound, ModelRefused
from producer_api.database import (
    DATABASE,
    REQUESTS_ROLE,
    SCHEMA_REVISION,
    Database,
    DatabaseUnavailable,
    open_pools,
)
from producer_api.errors import StartRefused
from producer_api.failures.store import FAILURE_STORE, FailureStore
from producer_api.health import PROBES, create_probes
from producer_api.http.auth import VERIFIER, TokenVerifier, open_issuer_session
from producer_api.http.idempotency import forget_answers
from producer_api.http.key_set import KeysUnavailable
from producer_api.mappings.store import MAPPINGS, MappingStore
from producer_api.models.catalog import MODELS, Models
from producer_api.objects import OBJECTS, REQUEST_TIMEOUT_SECONDS, Objects
from producer_api.outbox.relay import OUTBOX, OutboxRelay, OutboxTasks, QueueSender, TopicSender
from producer_api.outbox.store import OutboxStore
from producer_api.predictions.deletion import DELETIONS, Deletions
from producer_api.predictions.events import LISTENER, Listener
from producer_api.predictions.receipts import RECEIPTS, ReceiptStore
from producer_api.predictions.store import PREDICTIONS, PredictionStore
from producer_api.redaction import hide_credentials
from producer_api.rows.cache import MAX_DOWNLOADS, RESULT_CACHE, ResultCache, open_cache_folder
from producer_api.rows.readers import READER_THREADS, READERS, Readers
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS
from producer_api.uploads.receive import INSPECTOR_THREADS, INSPECTORS
from producer_api.uploads.store import UPLOADS, UploadStore
from producer_api.uploads.sweep import OrphanSweep
from retainwise_contracts.logs import StartupEvent

if TYPE_CHECKING:
    from types_aiobotocore_sns.client import SNSClient
    from types_aiobotocore_sqs.client import SQSClient

CHECK_TIMEOUT_SECONDS = 10.0
"""For each check at start: a service that cannot answer in this time is not one to start on."""

OTHER_STORAGE_CONNECTIONS = 2
"""Besides one for each upload and each download: the probe and the sweep of uploads."""

RELAY_CONNECTIONS = 2
"""A relay has one request in the air; the other is for one that was given up and is not closed yet."""

AWS = web.AppKey("aws", AioSession)
"""What the clients are made from: it reads the service models, and fetches credentials, once for all."""

QUEUE: "web.AppKey[SQSClient]" = web.AppKey("queue")
TOPIC: "web.AppKey[SNSClient]" = web.AppKey("topic")

ACCESS_DENIED_CODES = frozenset(
    {
        "403",  # of a HEAD, whose answer has no body
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",  # SNS
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes, without their prefix, of a permission or an access key that is missing."""

UNREADABLE_ADDRESS = "an address that cannot be read"

_HOSTS = re.compile(r"(\[[\w:.%-]+\]|/[\w./-]+|[\w.-]+)(:\d+)?", re.ASCII)
"""One host with its port, or a socket's folder; anything else may be a part of a password."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def load_models(app: web.Application) -> AsyncIterator[None]:
    """Read the card of every installed model. Raises StartRefused."""
    default = app[SETTINGS].default_model
    try:
        cards = {ref: await asyncio.to_thread(load_card, ref) for ref in installed_models()}
        models = Models(cards, default=default)
        models.card(default)
    except ModelNotFound as error:
        raise StartRefused(f"DEFAULT_MODEL: {error}") from error
    except ModelRefused as error:
        raise StartRefused(f"{error}. Reinstall the API") from error
    app[MODELS] = models
    for ref in cards:
        log.info(StartupEvent.MODEL_LOADED, model=ref)
    yield


async def open_database(app: web.Application) -> AsyncIterator[None]:
    """Open the connections and check the schema's revision. Raises StartRefused."""
    url = app[SETTINGS].database_url.get_secret_value()
    address = database_address(url)
    async with AsyncExitStack() as stack:
        try:
            database = Database(await stack.enter_async_context(open_pools(url)))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            raise StartRefused(describe_database_error(error, address)) from error
        try:
            revision = await database.read_schema_revision()
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
        app[DATABASE] = database
        app[UPLOADS] = UploadStore(database)
        app[PREDICTIONS] = PredictionStore(database)
        app[RECEIPTS] = ReceiptStore(database)
        app[FAILURE_STORE] = FailureStore(database)
        app[MAPPINGS] = MappingStore(database)
        yield


async def open_bucket(app: web.Application) -> AsyncIterator[None]:
    """Open the S3 client and check that the bucket is there. Raises StartRefused."""
    settings = app[SETTINGS]
    connections = settings.max_concurrent_uploads + MAX_DOWNLOADS + OTHER_STORAGE_CONNECTIONS
    config = _client_config(connections, read_timeout=REQUEST_TIMEOUT_SECONDS / 2).merge(
        AioConfig(signature_version="s3v4")  # presigned links come out in the old form without it
    )
    async with app[AWS].create_client("s3", region_name=settings.aws_region, config=config) as client:
        async with _checking(app, "s3:ListBucket", settings.bucket_name):
            await client.head_bucket(Bucket=settings.bucket_name)
        log.info(StartupEvent.S3_CLIENT_INITIALIZED, bucket=settings.bucket_name)
        app[OBJECTS] = Objects(client, settings.bucket_name)
        yield


async def open_result_cache(app: web.Application) -> AsyncIterator[None]:
    """Make the folder for result files that are read, and remove old ones from it. Raises StartRefused."""
    directory = app[SETTINGS].result_cache_directory
    async with AsyncExitStack() as stack:
        try:
            folder = await asyncio.to_thread(stack.enter_context, open_cache_folder(directory))
        except OSError as error:
            raise StartRefused(
                f"RESULT_CACHE_DIRECTORY: cannot write to {directory or 'the temporary folder'}: "
                f"{error.strerror}"
            ) from error
        cache = ResultCache(folder, app[OBJECTS], max_bytes=app[SETTINGS].result_cache_bytes)
        stack.push_async_callback(cache.close)
        app[RESULT_CACHE] = cache
        async with _running(cache.run(), "result_cache"):
            yield


async def open_queue(app: web.Application) -> AsyncIterator[None]:
    """Open the SQS client and check that the queue is there, unless sending is paused.

    Raises:
        StartRefused: it is not there, or access to it is denied.
    """
    settings = app[SETTINGS]
    config = _client_config(RELAY_CONNECTIONS, attempts=1)  # the relay itself tries again
    async with app[AWS].create_client("sqs", region_name=settings.aws_region, config=config) as client:
        if settings.enable_sqs:
            queue_url = hide_credentials(settings.predictions_queue_url)
            async with _checking(app, "sqs:GetQueueAttributes", queue_url):
                await client.get_queue_attributes(
                    QueueUrl=settings.predictions_queue_url, AttributeNames=["QueueArn"]
                )
            log.info(StartupEvent.SQS_CLIENT_INITIALIZED, queue_url=queue_url)
        app[QUEUE] = client
        yield


async def open_topic(app: web.Application) -> AsyncIterator[None]:
    """Open the SNS client and prove that the topic is there, unless publishing is paused.

    Raises:
        StartRefused: it is not there, or access to it is denied.
    """
    settings = app[SETTINGS]
    config = _client_config(RELAY_CONNECTIONS, attempts=1)
    async with app[AWS].create_client("sns", region_name=settings.aws_region, config=config) as client:
        if settings.enable_sqs:
            async with _checking(app, "sns:GetTopicAttributes", settings.prediction_events_topic_arn):
                await client.get_topic_attributes(TopicArn=settings.prediction_events_topic_arn)
            log.info(StartupEvent.SNS_CLIENT_INITIALIZED, topic_arn=settings.prediction_events_topic_arn)
        app[TOPIC] = client
        yield


async def open_verifier(app: web.Application) -> AsyncIterator[None]:
    """Fetch the token issuer's keys and keep them fresh. Raises StartRefused."""
    settings = app[SETTINGS]
    async with open_issuer_session() as session:
        verifier = TokenVerifier(
            session,
            jwks_url=settings.jwks_url,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )
        try:
            keys = await verifier.refresh_keys()
        except KeysUnavailable as error:
            where = hide_credentials(settings.jwks_url)
            raise StartRefused(f"JWKS_URL: no keys from {where}: {error}") from error
        log.info(StartupEvent.JWT_VERIFIER_INITIALIZED, issuer=settings.jwt_issuer, keys=keys)
        app[VERIFIER] = verifier
        async with _running(verifier.keep_keys_fresh(), "keep_keys_fresh"):
            yield


async def run_outbox(app: web.Application) -> AsyncIterator[None]:
    """Relay the outbox for as long as the API runs."""
    settings = app[SETTINGS]
    store = OutboxStore(app[DATABASE])
    senders = (
        QueueSender(app[QUEUE], settings.predictions_queue_url),
        TopicSender(app[TOPIC], settings.prediction_events_topic_arn),
    )
    relays = tuple(
        OutboxRelay(store, sender, app[METRICS], paused=not settings.enable_sqs) for sender in senders
    )
    outbox = OutboxTasks(store, relays, app[METRICS])
    if not settings.enable_sqs:
        log.warning("sending_paused", setting="ENABLE_SQS")
    app[OUTBOX] = outbox
    outbox.start()
    try:
        yield
    finally:
        await outbox.stop()


async def run_probes(app: web.Application) -> AsyncIterator[None]:
    """Probe what the API depends on for as long as it runs."""
    app[PROBES] = create_probes(app)
    async with _running(app[PROBES].run(), "probes"):
        yield


async def run_sweep(app: web.Application) -> AsyncIterator[None]:
    """Delete orphan uploads for as long as the API runs."""
    age_seconds = app[SETTINGS].orphan_age_seconds
    sweep = OrphanSweep(app[UPLOADS], app[OBJECTS], app[METRICS], age_seconds=age_seconds)
    async with _running(sweep.run(), "orphan_sweep"):
        yield


async def run_deletions(app: web.Application) -> AsyncIterator[None]:
    """Finish deletions that died half-way for as long as the API runs."""
    app[DELETIONS] = Deletions(app[RECEIPTS], app[OBJECTS])
    async with _running(app[DELETIONS].run(), "deletion_sweep"):
        yield


async def run_listener(app: web.Application) -> AsyncIterator[None]:
    """Listen for events for as long as the API runs."""
    app[LISTENER] = Listener(app[SETTINGS].database_url.get_secret_value())
    async with _running(app[LISTENER].run(), "listener"):
        yield


async def run_forgetting(app: web.Application) -> AsyncIterator[None]:
    """Delete outlived answers of idempotency keys for as long as the API runs."""
    async with _running(forget_answers(app[DATABASE]), "forget_answers"):
        yield


async def run_inspectors(app: web.Application) -> AsyncIterator[None]:
    """Keep the threads that inspect files."""
    with ThreadPoolExecutor(INSPECTOR_THREADS, thread_name_prefix="inspector") as inspectors:
        app[INSPECTORS] = inspectors
        yield


async def run_readers(app: web.Application) -> AsyncIterator[None]:
    """Keep the threads that read result files. They end first: the files are removed after them."""
    with ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader") as threads:
        app[READERS] = Readers(threads)
        yield


CHECKED_AT_START = (
    load_models,
    open_database,
    open_bucket,
    open_result_cache,
    open_queue,
    open_topic,
    open_verifier,
)
"""All that must work before the API starts. The outbox comes after them, since it acts on its own."""


RUNNING = (
    run_inspectors,
    run_readers,
    run_probes,
    run_outbox,
    run_sweep,
    run_deletions,
    run_listener,
    run_forgetting,
)
"""What works on its own once everything is checked."""


async def check_resources(settings: Settings) -> None:
    """Open and check all that the API needs, and close it again.

    Raises:
        StartRefused: something cannot be used.
    """
    app = web.Application()
    app[SETTINGS] = settings
    app[AWS] = get_session()
    app.cleanup_ctx.extend(CHECKED_AT_START)
    runner = web.AppRunner(app)
    try:
        await runner.setup()
    finally:
        await runner.cleanup()


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
    if isinstance(error, asyncpg.InvalidParameterValueError):
        return f"the database at {address} has no role {REQUESTS_ROLE}: run the migrations"
    if isinstance(error, ValueError):  # its text quotes the part of the URL that could not be read
        return "DATABASE_URL cannot be read: percent-encode its user and password, and use numbers as ports"
    if isinstance(error, asyncpg.PostgresError):
        return f"DATABASE_URL: the database at {address} refused the login: {_describe(error)}"
    return f"DATABASE_URL: the database at {address} cannot be reached: {_describe(error)}"


def is_access_denied(code: str) -> bool:
    """Return whether an AWS error code, prefixed or not, says that a permission or a valid key is missing."""
    return code.rpartition("#")[2].rpartition(".")[2] in ACCESS_DENIED_CODES


def _client_config(
    connections: int, *, read_timeout: float = CHECK_TIMEOUT_SECONDS, attempts: int = 3
) -> AioConfig:
    return AioConfig(
        connect_timeout=5,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
    )


@asynccontextmanager
async def _running(work: Coroutine[object, object, None], name: str) -> AsyncIterator[None]:
    """Run a task while the block runs."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def _checking(app: web.Application, action: str, resource: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            yield
    except ClientError as error:
        if is_access_denied(error.response["Error"]["Code"]):
            role = await _caller(app)
            raise StartRefused(
                f"access denied: {role} needs {action} on {resource} ({_describe(error)})"
            ) from error
        raise StartRefused(f"{action} on {resource} failed: {_describe(error)}") from error
    except (BotoCoreError, OSError) as error:
        raise StartRefused(f"{action} on {resource} failed: {_describe(error)}") from error


async def _caller(app: web.Application) -> str:
    """Return the role that AWS knows this process by, if AWS can be asked."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), app[AWS].create_client("sts") as sts:
            return str((await sts.get_caller_identity())["Arn"])
    except (ClientError, BotoCoreError, OSError):
        return "this process's role"


def _describe(error: BaseException) -> str:
    return hide_credentials(str(error)) or type(error).__name__
