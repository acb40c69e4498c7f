"""The queue, dead-letter queue, bucket and topic, with the names and settings production has."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from deploy.local.errors import LocalStackError

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import (
        CORSConfigurationTypeDef,
        LifecycleRuleTypeDef,
        VersioningConfigurationTypeDef,
    )
    from types_aiobotocore_sqs.client import SQSClient

REGION: Final = "eu-central-1"
CREDENTIALS: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""The emulator accepts any; real ones must never reach it."""

QUEUE_ATTRIBUTES: Mapping[str, str] = {
    "VisibilityTimeout": "45",
    "MessageRetentionPeriod": str(4 * 24 * 3600),
    "ReceiveMessageWaitTimeSeconds": "20",
}
MAX_RECEIVE_COUNT = 5
DEAD_LETTER_QUEUE_ATTRIBUTES: Mapping[str, str] = {"MessageRetentionPeriod": str(14 * 24 * 3600)}

CORS: "CORSConfigurationTypeDef" = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET", "HEAD", "POST", "PUT"],
            "AllowedOrigins": ["*"],  # links are presigned: whoever has one may use it from anywhere
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["Content-Disposition", "Content-Length", "ETag"],
            "MaxAgeSeconds": 3600,
        }
    ]
}
LIFECYCLE: "list[LifecycleRuleTypeDef]" = [
    {
        "ID": "uploads-expire",
        "Status": "Enabled",
        "Filter": {"Prefix": "uploads/"},
        "Expiration": {"Days": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    },
    {
        "ID": "results-expire",
        "Status": "Enabled",
        "Filter": {"Prefix": "results/"},
        "Expiration": {"Days": 365},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    },
]

VERSIONING: "VersioningConfigurationTypeDef" = {"Status": "Enabled"}
"""As in production, where each message names the version that was uploaded."""

REQUEST_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Names:
    """The names of the queues, bucket and topic."""

    queue: str = "retainwise-predictions"
    dead_letter_queue: str = "retainwise-predictions-dlq"
    bucket: str = "retainwise-files"
    topic: str = "retainwise-prediction-events"


@dataclass(frozen=True)
class Provisioned:
    """The addresses of the queues, bucket and topic. `queue_created`: the queue is new, and so empty."""

    queue_url: str
    dlq_url: str
    bucket: str
    topic_arn: str
    queue_created: bool


async def provision(endpoint_url: str, names: Names | None = None) -> Provisioned:
    """Create what is missing and update the settings of what exists.

    Raises:
        LocalStackError: the emulator returned an error or did not respond.
    """
    names = names or Names()
    session = _session()
    try:
        async with (
            asyncio.timeout(REQUEST_TIMEOUT_SECONDS),
            session.create_client("sqs", region_name=REGION, endpoint_url=endpoint_url) as sqs,
            session.create_client("s3", region_name=REGION, endpoint_url=endpoint_url) as s3,
            session.create_client("sns", region_name=REGION, endpoint_url=endpoint_url) as sns,
        ):
            dlq_url, _ = await _provide_queue(sqs, names.dead_letter_queue, DEAD_LETTER_QUEUE_ATTRIBUTES)
            dlq = await sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
            redrive = {
                "deadLetterTargetArn": dlq["Attributes"]["QueueArn"],
                "maxReceiveCount": MAX_RECEIVE_COUNT,
            }
            queue_url, created = await _provide_queue(
                sqs, names.queue, {**QUEUE_ATTRIBUTES, "RedrivePolicy": json.dumps(redrive)}
            )
            await _provide_bucket(s3, names.bucket)
            topic = await sns.create_topic(Name=names.topic)
    except (ClientError, BotoCoreError, OSError) as error:
        raise LocalStackError(f"the SQS/S3 emulator at {endpoint_url} cannot be set up: {error!r}") from error
    return Provisioned(queue_url, dlq_url, names.bucket, topic["TopicArn"], queue_created=created)


@cache
def _session() -> AioSession:
    """Return one session for all calls: reading the SDK's service descriptions takes a while."""
    session = get_session()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    return session


async def _provide_queue(sqs: "SQSClient", name: str, attributes: Mapping[str, str]) -> tuple[str, bool]:
    try:
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        created = await sqs.create_queue(QueueName=name, Attributes=dict(attributes))  # type: ignore[arg-type] # names as literals
        return created["QueueUrl"], True
    await sqs.set_queue_attributes(QueueUrl=url, Attributes=dict(attributes))  # type: ignore[arg-type] # names as literals
    return url, False


async def _provide_bucket(s3: "S3Client", name: str) -> None:
    try:
        await s3.head_bucket(Bucket=name)
    except ClientError:
        await s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    await s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=VERSIONING)
    await s3.put_bucket_cors(Bucket=name, CORSConfiguration=CORS)
    await s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": LIFECYCLE})
    await s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
