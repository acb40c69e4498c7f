"""`check --permissions`: each call that the worker will make, harmlessly, and some it must not make.

On AWS only an answer of IAM counts: a call that is refused for what it says was allowed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from consumer_worker.errors import StartRefused
from consumer_worker.resources import CHECK_TIMEOUT_SECONDS, is_access_denied
from consumer_worker.settings import Settings

NO_RECEIPT = [{"Id": "0", "ReceiptHandle": "none"}]


@dataclass(frozen=True)
class Attempt:
    """One call on one resource, and whether the worker's role should be allowed to make it."""

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
    async with (
        session.create_client("s3", region_name=settings.aws_region, config=config) as s3,
        session.create_client("sqs", region_name=settings.aws_region, config=config) as sqs,
    ):
        attempts = (*_attempts_on_files(settings, s3), *_attempts_on_queues(settings, sqs))
        wrong = [problem for attempt in attempts if (problem := await _try(attempt))]
    if wrong:
        raise StartRefused("; ".join(wrong))


def _attempts_on_files(settings: Settings, s3: Any) -> tuple[Attempt, ...]:  # noqa: ANN401 its client
    bucket = settings.bucket_name
    uploads, results = f"{bucket}/uploads/*", f"{bucket}/results/*"
    upload = {"Bucket": bucket, "Key": "uploads/checks/none.csv"}
    result = {"Bucket": bucket, "Key": f"results/checks/{uuid4()}"}
    return (
        Attempt("s3:GetObject", uploads, lambda: s3.get_object(**upload)),
        Attempt("s3:GetObjectVersion", uploads, lambda: s3.get_object(**upload, VersionId="none")),
        Attempt("s3:PutObject", results, lambda: s3.put_object(**result, Body=b"check")),
        Attempt("s3:DeleteObject", results, lambda: s3.delete_object(**result)),
        Attempt(
            "s3:AbortMultipartUpload", results, lambda: s3.abort_multipart_upload(**result, UploadId="none")
        ),
        Attempt("s3:PutObject", uploads, lambda: s3.put_object(**upload, Body=b"check"), allowed=False),
    )


def _attempts_on_queues(settings: Settings, sqs: Any) -> tuple[Attempt, ...]:  # noqa: ANN401 its client
    queue, parked = settings.predictions_queue_url, settings.predictions_dlq_url
    hidden = [entry | {"VisibilityTimeout": 0} for entry in NO_RECEIPT]
    look = {"WaitTimeSeconds": 0, "VisibilityTimeout": 0, "MaxNumberOfMessages": 1}
    return (
        Attempt(
            "sqs:DeleteMessage", queue, lambda: sqs.delete_message_batch(QueueUrl=queue, Entries=NO_RECEIPT)
        ),
        Attempt(
            "sqs:ChangeMessageVisibility",
            queue,
            lambda: sqs.change_message_visibility_batch(QueueUrl=queue, Entries=hidden),
        ),
        Attempt("sqs:ReceiveMessage", queue, lambda: sqs.receive_message(QueueUrl=queue, **look)),
        # A batch without entries is refused, but only to those who may send.
        Attempt("sqs:SendMessage", parked, lambda: sqs.send_message_batch(QueueUrl=parked, Entries=[])),
        Attempt("sqs:ReceiveMessage", parked, lambda: sqs.receive_message(QueueUrl=parked, **look)),
        Attempt(
            "sqs:DeleteMessage", parked, lambda: sqs.delete_message_batch(QueueUrl=parked, Entries=NO_RECEIPT)
        ),
        Attempt(
            "sqs:SendMessage",
            queue,
            lambda: sqs.send_message_batch(QueueUrl=queue, Entries=[]),
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
