"""Who may do what on what: every program tries every action on every resource, and IAM decides."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from deploy.checks.enforced.emulator import (
    PROGRAMS,
    EnforcingEmulator,
    create_secrets,
    create_users,
    local_arns,
    open_operator_client,
)
from deploy.local.emulator import prepare_environment
from deploy.local.ports import Ports
from deploy.local.provision import REGION, Names, provision

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
CONFIG = AioConfig(signature_version="s3v4", retries={"total_max_attempts": 1})

Attempt = Callable[[Any, str], Awaitable[object]]
"""Makes a call, with a client of the action's service, on a resource."""


def _object(method: str, **parameters: object) -> Attempt:
    def attempt(s3: Any, resource: str) -> Awaitable[object]:  # noqa: ANN401 a client of any service
        bucket, _, key = resource.partition("/")
        made: Awaitable[object] = getattr(s3, method)(Bucket=bucket, Key=key, **parameters)
        return made

    return attempt


def _on(method: str, name: str, **parameters: object) -> Attempt:
    def attempt(client: Any, resource: str) -> Awaitable[object]:  # noqa: ANN401 a client of any service
        made: Awaitable[object] = getattr(client, method)(**{name: resource}, **parameters)
        return made

    return attempt


RECEIPT = {"ReceiptHandle": "none"}

ATTEMPTS: Mapping[str, Attempt] = {
    "s3:AbortMultipartUpload": _object("abort_multipart_upload", UploadId="none"),
    "s3:DeleteObject": _object("delete_object"),
    "s3:GetObject": _object("get_object"),
    "s3:GetObjectVersion": _object("get_object", VersionId="none"),
    "s3:ListBucket": _on("list_objects_v2", "Bucket"),
    "s3:ListBucketMultipartUploads": _on("list_multipart_uploads", "Bucket"),
    "s3:ListMultipartUploadParts": _object("list_parts", UploadId="none"),
    "s3:PutObject": _object("put_object", Body=b"x"),
    "secretsmanager:GetSecretValue": _on("get_secret_value", "SecretId"),
    "secretsmanager:PutSecretValue": _on("put_secret_value", "SecretId", SecretString="x"),
    "sns:GetTopicAttributes": _on("get_topic_attributes", "TopicArn"),
    "sns:Publish": _on("publish", "TopicArn", Message="x"),
    "sqs:ChangeMessageVisibility": _on(
        "change_message_visibility", "QueueUrl", VisibilityTimeout=0, **RECEIPT
    ),
    "sqs:DeleteMessage": _on("delete_message", "QueueUrl", **RECEIPT),
    "sqs:GetQueueAttributes": _on("get_queue_attributes", "QueueUrl", AttributeNames=["QueueArn"]),
    "sqs:ReceiveMessage": _on("receive_message", "QueueUrl", WaitTimeSeconds=0),
    "sqs:SendMessage": _on("send_message", "QueueUrl", MessageBody="x"),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One program, one action, one resource in the words of the policies."""

    program: str
    action: str
    resource: str


@dataclass(frozen=True)
class Target:
    """A resource by its name in the policies, and as a client names it."""

    name: str
    address: str


async def try_everything(folder: Path, environments: Path) -> dict[Cell, bool]:
    """Return for every program, action and resource whether IAM allows it. Raises LocalStackError."""
    environment = await prepare_environment(environments, folder / "install.log")
    emulator = EnforcingEmulator(
        folder / "emulator",
        Ports.free(0).emulator,
        environment=environment,
        log=folder / "emulator.log",
        decisions=folder / "matrix.jsonl",
        durable=False,
    )
    await emulator.start()
    try:
        targets, arns = await _create_targets(emulator.endpoint_url)
        credentials = await create_users(emulator.endpoint_url, arns)
        allowed: dict[Cell, bool] = {}
        for program in PROGRAMS:
            async with _open_clients(emulator.endpoint_url, credentials[program]) as clients:
                for action, attempt in ATTEMPTS.items():
                    service = action.partition(":")[0]
                    for target in targets[_kind(action)]:
                        cell = Cell(program, action, target.name)
                        allowed[cell] = await _is_allowed(attempt(clients[service], target.address))
        return allowed
    finally:
        await emulator.stop()


async def _create_targets(endpoint_url: str) -> tuple[dict[str, list[Target]], dict[str, str]]:
    """Create the resources of the services, and others beside them; return them by kind, and their ARNs."""
    names = Names()
    others = Names("other-queue", "other-queue-dlq", "other-files", "other-events")
    own, other = await provision(endpoint_url, names), await provision(endpoint_url, others)
    secrets = await create_secrets(endpoint_url)
    async with open_operator_client("secretsmanager", endpoint_url) as client:
        other_secret = (await client.create_secret(Name=f"other-{uuid.uuid4()}"))["ARN"]
    targets = {
        "queue": [
            Target("${queue_arn}", own.queue_url),
            Target("${dead_letter_queue_arn}", own.dlq_url),
            Target("another queue", other.queue_url),
        ],
        "topic": [Target("${topic_arn}", own.topic_arn), Target("another topic", other.topic_arn)],
        "bucket": [Target("${bucket_arn}", own.bucket), Target("another bucket", other.bucket)],
        "object": [
            Target("${bucket_arn}/uploads/*", f"{own.bucket}/uploads/acme/1.csv"),
            Target("${bucket_arn}/results/*", f"{own.bucket}/results/acme/1/scores.csv"),
            Target("another prefix", f"{own.bucket}/secrets/1"),
            Target("another bucket's uploads", f"{other.bucket}/uploads/acme/1.csv"),
        ],
        "secret": [
            Target("${producer_secret_arn}", secrets["producer"]),
            Target("${worker_secret_arn}", secrets["worker"]),
            Target("another secret", other_secret),
        ],
    }
    return targets, local_arns(names, secrets)


def _kind(action: str) -> str:
    service, _, name = action.partition(":")
    if service == "s3":
        return "bucket" if name.startswith("ListBucket") else "object"
    return {"sqs": "queue", "sns": "topic", "secretsmanager": "secret"}[service]


@asynccontextmanager
async def _open_clients(endpoint_url: str, keys: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    session = get_session()
    async with AsyncExitStack() as opened:
        yield {
            service: await opened.enter_async_context(
                session.create_client(
                    service,
                    region_name=REGION,
                    endpoint_url=endpoint_url,
                    aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                    config=CONFIG,
                )
            )
            for service in ("s3", "sqs", "sns", "secretsmanager")
        }


async def _is_allowed(attempt: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(30):
            await attempt
    except ClientError as error:  # what is wrong with the request itself is found after it was allowed
        return error.response["Error"]["Code"].rpartition("#")[2] not in DENIED
    return True
