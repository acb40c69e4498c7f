"""Queues and files, against what the worker and the local stack count on."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from consumer_worker.reconciler import RETENTION_SECONDS
from consumer_worker.resources import MIN_RECEIVE_COUNT
from deploy.checks.deployment import Deployment
from deploy.checks.wiring.given import worker_settings
from deploy.checks.wiring.registry import check
from deploy.local import provision


@check
def queues_agree(deployment: Deployment) -> Iterator[str]:
    """The queues have the settings that the worker counts on, and the local stack has the same."""
    queue, parked = deployment["aws_sqs_queue.predictions"], deployment["aws_sqs_queue.dead_letters"]
    worker = worker_settings(deployment)
    redrive = json.loads(deployment["aws_sqs_queue_redrive_policy.predictions"]["redrive_policy"])
    allowed = json.loads(
        deployment["aws_sqs_queue_redrive_allow_policy.dead_letters"]["redrive_allow_policy"]
    )
    visibility, retention = queue["visibility_timeout_seconds"], queue["message_retention_seconds"]
    agreed = {
        "visibility (worker)": (visibility, worker.visibility_timeout_seconds),
        "retention (reconciler)": (retention, int(RETENTION_SECONDS)),
        "redrive target": (redrive["deadLetterTargetArn"], parked["arn"]),
        "redrive source": (allowed.get("sourceQueueArns"), [queue["arn"]]),
    }
    local, local_parked = provision.QUEUE_ATTRIBUTES, provision.DEAD_LETTER_QUEUE_ATTRIBUTES
    agreed |= {
        "visibility (local stack)": (visibility, int(local["VisibilityTimeout"])),
        "retention (local stack)": (retention, int(local["MessageRetentionPeriod"])),
        "long poll (local stack)": (
            queue["receive_wait_time_seconds"],
            int(local["ReceiveMessageWaitTimeSeconds"]),
        ),
        "retention of parked messages (local stack)": (
            parked["message_retention_seconds"],
            int(local_parked["MessageRetentionPeriod"]),
        ),
        "maxReceiveCount (local stack)": (redrive["maxReceiveCount"], provision.MAX_RECEIVE_COUNT),
    }
    for name, (given, expected) in agreed.items():
        if given != expected:
            yield f"{name}: {given} is not {expected}"
    if (count := redrive["maxReceiveCount"]) < MIN_RECEIVE_COUNT:
        yield f"maxReceiveCount {count}: the worker refuses to start below {MIN_RECEIVE_COUNT}"
    for address, values in deployment.all_of("aws_sqs_queue"):
        if not values["sqs_managed_sse_enabled"]:
            yield f"{address} is not encrypted"


@check
def files_outlive_their_messages(deployment: Deployment) -> Iterator[str]:
    """An upload is there for as long as a message can ask for it; old versions and parts are removed."""
    rules = _lifecycle(deployment)
    queued = sum(
        deployment[f"aws_sqs_queue.{name}"]["message_retention_seconds"]
        for name in ("predictions", "dead_letters")
    )
    if (days := rules["uploads/"]["expiration"][0]["days"]) * 86_400 <= queued:
        yield f"uploads expire after {days} days, while a message can be redriven after {queued // 86_400}"
    for prefix, rule in rules.items():
        if rule["noncurrent_version_expiration"][0]["noncurrent_days"] != 7:
            yield f"{prefix}: old versions are not removed after 7 days"


@check
def bucket_agrees_with_the_local_stack(deployment: Deployment) -> Iterator[str]:
    """Production's bucket and the local one expire, version and share files alike."""
    local = {rule["Filter"]["Prefix"]: rule for rule in provision.LIFECYCLE if "Expiration" in rule}
    rules = _lifecycle(deployment)
    for prefix in sorted(local.keys() | rules.keys()):
        days = rules[prefix]["expiration"][0]["days"] if prefix in rules else None
        local_days = local[prefix]["Expiration"].get("Days") if prefix in local else None
        if days != local_days:
            yield f"{prefix} expires after {days} days, and after {local_days} in the local stack"
    (cors,) = deployment["aws_s3_bucket_cors_configuration.files"]["cors_rule"]
    (local_cors,) = provision.CORS["CORSRules"]
    for name, there in (
        ("allowed_methods", local_cors["AllowedMethods"]),
        ("allowed_origins", local_cors["AllowedOrigins"]),
        ("allowed_headers", local_cors.get("AllowedHeaders", ())),
        ("expose_headers", local_cors.get("ExposeHeaders", ())),
    ):
        if set(cors[name] or ()) != set(there):
            yield f"CORS: {name} is {sorted(cors[name] or ())}, unlike the local stack's"
    (versioning,) = deployment["aws_s3_bucket_versioning.files"]["versioning_configuration"]
    if (versioning["status"], provision.VERSIONING["Status"]) != ("Enabled", "Enabled"):
        yield "versioning is not enabled in production and in the local stack"


def _lifecycle(deployment: Deployment) -> dict[str, Mapping[str, Any]]:
    rules = deployment["aws_s3_bucket_lifecycle_configuration.files"]["rule"]
    return {rule["filter"][0]["prefix"]: rule for rule in rules if rule["filter"][0]["prefix"]}
