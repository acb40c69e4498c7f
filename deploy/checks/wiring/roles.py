"""What each role may do, against what its program calls."""

import json
import re
from collections.abc import Iterator, Mapping

from deploy.checks.calls import AWAITED, read_calls
from deploy.checks.deployment import PROGRAMS, Deployment, grants, secret_of
from deploy.checks.wiring.registry import check

RESOURCES: Mapping[str, str] = {
    "s3:AbortMultipartUpload": "object",
    "s3:DeleteObject": "object",
    "s3:GetObject": "object",
    "s3:GetObjectVersion": "object",
    "s3:ListBucket": "bucket",
    "s3:ListBucketMultipartUploads": "bucket",
    "s3:ListMultipartUploadParts": "object",
    "s3:PutObject": "object",
    "secretsmanager:GetSecretValue": "secret",
    "secretsmanager:PutSecretValue": "secret",
    "sns:GetTopicAttributes": "topic",
    "sns:Publish": "topic",
    "sqs:ChangeMessageVisibility": "queue",
    "sqs:DeleteMessage": "queue",
    "sqs:GetQueueAttributes": "queue",
    "sqs:ReceiveMessage": "queue",
    "sqs:SendMessage": "queue",
}
"""The actions that a program may be granted, and what each is an action on. `*Batch` is no action of IAM."""


@check
def execution_role_reads_its_secrets(deployment: Deployment) -> Iterator[str]:
    """Each execution role may read the secrets of its definition, and no others."""
    for program, task in deployment.tasks.items():
        needed = {secret_of(reference) for reference in task.secrets.values()}
        readable = {
            resource
            for action, resource in grants(task.policies["execution"])
            if action == "secretsmanager:GetSecretValue"
        }
        for arn in sorted(needed - readable):
            yield f"{program}: its execution role may not read {arn}: no task could start"
        for arn in sorted(readable - needed):
            yield f"{program}: its execution role may read {arn}, which its task does not use"


@check
def roles_are_in_their_places(deployment: Deployment) -> Iterator[str]:
    """The program works in its task role; ECS starts it in the execution role."""
    for program, task in deployment.tasks.items():
        for role, key in (("task", "task_role_arn"), ("execution", "execution_role_arn")):
            if task.definition[key] != task.role_arns[role]:
                yield f"{program}: {key} is {task.definition[key]}, not {task.role_arns[role]}"


@check
def policies_are_the_programs_own(deployment: Deployment) -> Iterator[str]:
    """Each task role has the policy of its own program, with the names filled in."""
    for program, task in deployment.tasks.items():
        given, own = grants(task.policies["task"]), grants(deployment.policy(program))
        for action, resource in sorted(given ^ own):
            what = "has" if (action, resource) in given else "lacks"
            yield f"{program}: its role {what} {action} on {resource}, unlike policies/{program}.json"


@check
def granted_actions_exist(deployment: Deployment) -> Iterator[str]:
    """Each granted action is one of IAM's, on a resource that it can be granted on; none is a wildcard."""
    for program in PROGRAMS:
        for action, resource in sorted(grants(deployment.policy(program))):
            if "*" in action or resource == "*":
                yield f"policies/{program}.json: {action} on {resource} is a wildcard"
            elif action.endswith("Batch"):
                yield f"policies/{program}.json: {action} is no action: grant {action.removesuffix('Batch')}"
            elif action not in RESOURCES:
                yield f"policies/{program}.json: {action} is not among the actions that programs may have"
            elif RESOURCES[action] != (kind := _kind(resource)):
                yield (
                    f"policies/{program}.json: {action} is an action on a {RESOURCES[action]}, "
                    f"and {resource} is a {kind}: it would allow nothing"
                )


@check
def every_call_is_granted_and_every_grant_called(deployment: Deployment) -> Iterator[str]:
    """The services' policies grant the calls recorded in a run of the whole system, and no others."""
    for program, calls in read_calls().items():
        granted = grants(deployment.policy(program))
        made = {(call.action, call.on(deployment.arns)) for call in calls}
        awaited = {(call.action, call.on(deployment.arns)) for call in AWAITED.get(program, {})}
        for action, resource in sorted(made - granted):
            yield f"{program} calls {action} on {resource} and policies/{program}.json does not grant it"
        for action, resource in sorted(granted - made - awaited):
            yield f"policies/{program}.json grants {action} on {resource}, which {program} never calls"
        for action, resource in sorted(made & awaited):
            yield f"{program} calls {action} on {resource} by now: remove it from AWAITED (checks/calls.py)"


@check
def deployer_is_pinned(deployment: Deployment) -> Iterator[str]:
    """Only the deployment environment of one repository can take the deployer's role."""
    (statement,) = json.loads(deployment["aws_iam_role.deployer"]["assume_role_policy"])["Statement"]
    condition = statement["Condition"]
    subject = condition.get("StringEquals", {}).get("token.actions.githubusercontent.com:sub", "")
    if condition.keys() != {"StringEquals"} or not re.fullmatch(
        r"repo:[\w.-]+/[\w.-]+:environment:\w+", subject
    ):
        yield f"the deployer's role can be taken by {subject or 'anyone'}"


def _kind(arn: str) -> str:
    service, path = arn.split(":")[2], arn.split(":", 5)[5]
    return {
        "s3": "object" if "/" in path else "bucket",
        "sqs": "queue",
        "sns": "topic",
        "secretsmanager": "secret",
    }.get(service, service)
