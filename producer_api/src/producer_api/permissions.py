"""`check --permissions`: each call that the API will make, harmlessly, and some it must not make.

On AWS only an answer of IAM counts: a call that is refused for what it says was allowed.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from producer_api.errors import StartRefused
from producer_api.resources import CHECK_TIMEOUT_SECONDS, is_access_denied
from producer_api.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """One call on one resource, and whether the API's role should be allowed to make it."""

    action: str
    resource: str
    call: Callable[[], Awaitable[object]]
    allowed: bool = True


async def prove_permissions(settings: Settings) -> None:
    """Make every attempt.

    Raises:
        StartRefused: a permission is missing, or is there and should not be; the text names all of them.
    """
    config = AioConfig(signature_version="s3v4", connect_timeout=5, read_timeout=CHECK_TIMEOUT_SECONDS)
    session = get_session()
    async with AsyncExitStack() as opened:
        clients = {
            service: await opened.enter_async_context(
                session.create_client(service, region_name=settings.aws_region, config=config)
            )
            for service in ("s3", "sqs", "sns")
        }
        wrong = [problem for attempt in _attempts(settings, **clients) if (problem := await _try(attempt))]
    if wrong:
        raise StartRefused("; ".join(wrong))


def _attempts(settings: Settings, s3: Any, sqs: Any, sns: Any) -> tuple[Attempt, ...]:  # noqa: ANN401 their clients
    bucket, queue, topic = (
        settings.bucket_name,
        settings.predictions_queue_url,
        settings.prediction_events_topic_arn,
    )
    # The sweep of uploads without a row removes this one too, if the check ends before its own deletion.
    key = f"uploads/checks/{uuid4()}.csv"
    uploads, results = f"{bucket}/uploads/*", f"{bucket}/results/*"
    here = {"Bucket": bucket, "Key": key}
    return (
        Attempt("s3:PutObject", uploads, lambda: s3.put_object(**here, Body=b"check")),
        Attempt("s3:DeleteObject", uploads, lambda: s3.delete_object(**here)),
        Attempt(
            "s3:AbortMultipartUpload", uploads, lambda: s3.abort_multipart_upload(**here, UploadId="none")
        ),
        Attempt("s3:GetObject", results, lambda: s3.get_object(Bucket=bucket, Key="results/checks/none")),
        Attempt("s3:ListBucketMultipartUploads", bucket, lambda: s3.list_multipart_uploads(Bucket=bucket)),
        # A batch without entries is refused, but only to those who may send.
        Attempt("sqs:SendMessage", queue, lambda: sqs.send_message_batch(QueueUrl=queue, Entries=[])),
        Attempt(
            "sns:Publish", topic, lambda: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[])
        ),
        Attempt(
            "sqs:ReceiveMessage",
            queue,
            lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0, VisibilityTimeout=0),
            allowed=False,
        ),
        Attempt(
            "s3:PutObject",
            results,
            lambda: s3.put_object(Bucket=bucket, Key="results/checks/none", Body=b"check"),
            allowed=False,
        ),
    )


async def _try(attempt: Attempt) -> str | None:
    """Return what is wrong with the permission, or None."""
    try:
        await attempt.call()
        allowed = True
    except ClientError as error:
        allowed = not is_access_denied(error.response["Error"]["Code"])
    except (BotoCoreError, OSError) as error:
        return f"{attempt.action} on {attempt.resource} could not be tried: {error}"
    if allowed == attempt.allowed:
        return None
    complaint = "is missing" if attempt.allowed else "is granted and must not be"
    return f"the permission {attempt.action} on {attempt.resource} {complaint}"
