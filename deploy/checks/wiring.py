"""The wiring as a graph: what each task is told, may do and needs, against what there is.

A check is a function that yields a sentence for each thing that is wrong; its docstring says what must hold.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from consumer_worker.reconciler import RETENTION_SECONDS
from consumer_worker.resources import MIN_RECEIVE_COUNT
from consumer_worker.settings import Settings as WorkerSettings
from deploy.checks.calls import AWAITED, read_calls
from deploy.checks.deployment import PROGRAMS, REPOSITORIES, SERVICES, Deployment, Task, as_list, grants
from deploy.local import provision
from producer_api.server import ABORT_SECONDS, ANSWER_SECONDS
from producer_api.settings import Settings as ProducerSettings
from producer_api.store import BACKGROUND_LIMITS, PROBE_LIMITS, READ_LIMITS, WRITE_LIMITS

Check = Callable[[Deployment], Iterator[str]]

CHECKS: dict[str, Check] = {}

EXAMPLE_SECRET = "postgresql://login:password@host:5432/retainwise"  # noqa: S105 of nobody
SCRATCH_SHARE = 5
"""Times the largest upload, for each message handled at once: the upload, its parts and the results."""

UPLOAD_MEMORY_MB = 35
BASE_MEMORY_MB = 500
"""Of the API: for each concurrent upload, and for all the rest."""

OTHER_CONNECTIONS = 20
"""To the database: operators, the migration, the checks of the gate, what RDS keeps for itself."""

WORKER_CONNECTIONS = 10
"""The most that a worker opens, however many messages it handles."""

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


def check(function: Check) -> Check:
    """Add a check to `CHECKS`."""
    CHECKS[function.__name__] = function
    return function


@check
def required_settings_are_given(deployment: Deployment) -> Iterator[str]:
    """Each setting that a program cannot start without is given to its task."""
    for program, task in deployment.tasks.items():
        for name, field in PROGRAMS[program].model_fields.items():
            if field.is_required() and name.upper() not in task.environment | task.secrets:
                yield f"{program} needs {name.upper()} and is not given it"


@check
def given_settings_are_read(deployment: Deployment) -> Iterator[str]:
    """Each variable given to a task is one that its program reads."""
    for program, task in deployment.tasks.items():
        known = {name.upper() for name in PROGRAMS[program].model_fields}
        for name in sorted((task.environment | task.secrets).keys() - known):
            yield f"{program} is given {name}, which it does not read"


@check
def given_values_are_accepted(deployment: Deployment) -> Iterator[str]:
    """Each program's settings accept the values, as they would at its start."""
    for program, task in deployment.tasks.items():
        given = task.environment | dict.fromkeys(task.secrets, EXAMPLE_SECRET)
        try:
            PROGRAMS[program].model_validate({name.lower(): value for name, value in given.items()})
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False, include_context=False):
                if problem["type"] != "missing":
                    yield f"{program}: {str(problem['loc'][0]).upper()}: {problem['msg']}"


@check
def names_flow_from_resources(deployment: Deployment) -> Iterator[str]:
    """Every address that a task is given is that of the resource it is meant to use."""
    shared = {
        "PREDICTIONS_QUEUE_URL": deployment["aws_sqs_queue.predictions"]["url"],
        "BUCKET_NAME": deployment["aws_s3_bucket.files"]["bucket"],
    }
    expected = {
        "producer": shared
        | {"PREDICTION_EVENTS_TOPIC_ARN": deployment["aws_sns_topic.prediction_events"]["arn"]},
        "worker": shared | {"PREDICTIONS_DLQ_URL": deployment["aws_sqs_queue.dead_letters"]["url"]},
        "migrate": {
            "DATABASE_HOST": deployment["aws_db_instance.main"]["address"],
            "PRODUCER_SECRET_ARN": deployment.arns["producer_secret_arn"],
            "WORKER_SECRET_ARN": deployment.arns["worker_secret_arn"],
        },
    }
    for program, values in expected.items():
        for name, value in values.items():
            given = deployment.tasks[program].environment.get(name)
            if given is not None and given != value:
                yield f"{program}: {name} is {given}, not {value}"


@check
def secrets_are_given_as_secrets(deployment: Deployment) -> Iterator[str]:
    """Each setting that is a secret comes from the program's own secret, and nothing else does."""
    own = {
        "producer": deployment.arns["producer_secret_arn"],
        "worker": deployment.arns["worker_secret_arn"],
        "migrate": deployment["aws_db_instance.main"]["master_user_secret"][0]["secret_arn"],
    }
    for program, task in deployment.tasks.items():
        for name, field in PROGRAMS[program].model_fields.items():
            if field.annotation is SecretStr and name.upper() in task.environment:
                yield f"{program}: {name.upper()} is a secret and stands in the task definition"
        for name, value in task.environment.items():
            if re.search(r"password|//[^/]*:[^/]*@", f"{name}={value}", re.IGNORECASE):
                yield f"{program}: {name} in the task definition looks like a password"
        for name, reference in task.secrets.items():
            if _secret(reference) != own[program]:
                yield f"{program}: {name} comes from {_secret(reference)}, not from {own[program]}"


@check
def execution_role_reads_its_secrets(deployment: Deployment) -> Iterator[str]:
    """Each execution role may read the secrets of its definition, and no others."""
    for program, task in deployment.tasks.items():
        needed = {_secret(reference) for reference in task.secrets.values()}
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
    """Each granted action is one that IAM knows, on a resource that it can be granted on; none is a wildcard."""
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
def images_are_pinned(deployment: Deployment) -> Iterator[str]:
    """Each task runs its own image, by digest, from a registry whose tags cannot be moved."""
    for program, task in deployment.tasks.items():
        repository = deployment[f'aws_ecr_repository.images["{REPOSITORIES[program]}"]']
        if not re.fullmatch(
            re.escape(repository["repository_url"]) + "@sha256:[0-9a-f]{64}", task.container["image"]
        ):
            yield f"{program}: its image {task.container['image']} is not its own by digest"
        if repository["image_tag_mutability"] != "IMMUTABLE":
            yield f"{program}: tags of {repository['name']} can be moved"


@check
def terraform_alone_owns_task_definitions(deployment: Deployment) -> Iterator[str]:
    """Terraform ignores changes of the number of tasks only, and no workflow changes tasks beside it."""
    module = deployment.read("modules/service/main.tf")
    (ignored,) = re.findall(r"ignore_changes\s*=\s*\[(.*?)\]", module, re.DOTALL)
    if {name.strip() for name in ignored.split(",") if name.strip()} != {"desired_count"}:
        yield f"the service ignores changes of {ignored.strip()}: only desired_count belongs to another"
    for workflow in sorted((deployment.root / ".github" / "workflows").glob("*.yml")):
        text = workflow.read_text("utf-8")
        for step in ("register-task-definition", "amazon-ecs-deploy", "amazon-ecs-render", "update-service"):
            if step in text:
                yield f"{workflow.name} uses {step}: Terraform alone owns task definitions"


@check
def deployments_prove_themselves(deployment: Deployment) -> Iterator[str]:
    """A deployment passes the gate, waits until it is steady, and is rolled back by errors and alarms."""
    gate = deployment["terraform_data.gate"]["triggers_replace"]
    for program, task in deployment.tasks.items():
        if task.definition["arn"] not in gate:
            yield f"the gate does not run for a new definition of {program}"
    module = deployment.read("modules/service/main.tf")
    if "depends_on = [var.gate]" not in module:
        yield "the services do not wait for the gate"
    if "condition     = self.task_definition == module.task.definition_arn" not in module:
        yield "a deployment that was rolled back would report success"
    for program in SERVICES:
        service = deployment.service(program)
        breaker, alarms = service["deployment_circuit_breaker"], service["alarms"]
        if not (
            service["wait_for_steady_state"] and breaker and breaker[0]["enable"] and breaker[0]["rollback"]
        ):
            yield f"{program}: a deployment that does not come up is not rolled back, or not waited for"
        if not (alarms and alarms[0]["enable"] and alarms[0]["rollback"] and alarms[0]["alarm_names"]):
            yield f"{program}: no alarm undoes a deployment"


@check
def tasks_have_time_to_stop(deployment: Deployment) -> Iterator[str]:
    """ECS kills a task only after its program had time to finish what is under way."""
    producer, worker = (_settings(deployment.tasks[name]) for name in SERVICES)
    assert isinstance(producer, ProducerSettings)  # noqa: S101 for the type checker
    assert isinstance(worker, WorkerSettings)  # noqa: S101
    needed = {
        "producer": producer.shutdown_delay_seconds
        + producer.shutdown_grace_seconds
        + ABORT_SECONDS
        + ANSWER_SECONDS,
        "worker": worker.shutdown_grace_seconds,
    }
    for program, seconds in needed.items():
        timeout = deployment.tasks[program].container["stopTimeout"]
        if timeout <= seconds:
            yield f"{program} may take {seconds:.0f} s to stop and is killed after {timeout} s"
        if timeout > 120:
            yield f"{program}: Fargate allows a stop timeout of 120 s, not of {timeout}"
    drained = deployment["aws_lb_target_group.producer"]["deregistration_delay"]
    if int(drained) < producer.shutdown_grace_seconds:
        yield f"the load balancer drops connections after {drained} s, before the API's grace ends"


@check
def queues_agree(deployment: Deployment) -> Iterator[str]:
    """The queues have the settings that the worker counts on, and the local stack has the same."""
    queue, parked = deployment["aws_sqs_queue.predictions"], deployment["aws_sqs_queue.dead_letters"]
    worker = _settings(deployment.tasks["worker"])
    assert isinstance(worker, WorkerSettings)  # noqa: S101
    redrive = json.loads(deployment["aws_sqs_queue_redrive_policy.predictions"]["redrive_policy"])
    allowed = json.loads(
        deployment["aws_sqs_queue_redrive_allow_policy.dead_letters"]["redrive_allow_policy"]
    )
    local, local_parked = provision.QUEUE_ATTRIBUTES, provision.DEAD_LETTER_QUEUE_ATTRIBUTES
    agreed = (
        ("visibility", queue["visibility_timeout_seconds"], worker.visibility_timeout_seconds, "the worker's"),
        ("visibility", queue["visibility_timeout_seconds"], int(local["VisibilityTimeout"]), "the local stack's"),
        ("retention", queue["message_retention_seconds"], int(RETENTION_SECONDS), "the reconciler's"),
        ("retention", queue["message_retention_seconds"], int(local["MessageRetentionPeriod"]), "the local stack's"),
        ("long poll", queue["receive_wait_time_seconds"], int(local["ReceiveMessageWaitTimeSeconds"]), "the local stack's"),
        ("DLQ retention", parked["message_retention_seconds"], int(local_parked["MessageRetentionPeriod"]), "the local stack's"),
        ("maxReceiveCount", redrive["maxReceiveCount"], provision.MAX_RECEIVE_COUNT, "the local stack's"),
        ("redrive target", redrive["deadLetterTargetArn"], parked["arn"], "the dead-letter queue"),
        ("redrive source", allowed.get("sourceQueueArns"), [queue["arn"]], "the queue"),
    )  # fmt: skip
    for name, given, expected, whose in agreed:
        if given != expected:
            yield f"{name}: {given} is not {whose} {expected}"
    if redrive["maxReceiveCount"] < MIN_RECEIVE_COUNT:
        yield f"maxReceiveCount {redrive['maxReceiveCount']}: the worker refuses to start below {MIN_RECEIVE_COUNT}"
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
        here = rules[prefix]["expiration"][0]["days"] if prefix in rules else None
        there = local[prefix]["Expiration"].get("Days") if prefix in local else None
        if here != there:
            yield f"{prefix} expires after {here} days, and after {there} in the local stack"
    (cors,) = deployment["aws_s3_bucket_cors_configuration.files"]["cors_rule"]
    (local_cors,) = provision.CORS["CORSRules"]
    for name, key in (("allowed_methods", "AllowedMethods"), ("allowed_origins", "AllowedOrigins"),
                      ("allowed_headers", "AllowedHeaders"), ("expose_headers", "ExposeHeaders")):  # fmt: skip
        if set(cors[name] or ()) != set(local_cors.get(key, ())):  # type: ignore[call-overload] # a name that varies
            yield f"CORS: {name} is {sorted(cors[name] or ())}, unlike the local stack's"
    (versioning,) = deployment["aws_s3_bucket_versioning.files"]["versioning_configuration"]
    if (versioning["status"], provision.VERSIONING["Status"]) != ("Enabled", "Enabled"):
        yield "versioning is not enabled in production and in the local stack"


@check
def health_checks_ask_for_liveness(deployment: Deployment) -> Iterator[str]:
    """Tasks are replaced when they hang, never when the database is in a failover."""
    path = deployment["aws_lb_target_group.producer"]["health_check"][0]["path"]
    if path != "/livez":
        yield f"the load balancer asks for {path}: a failover of the database would take the API down"
    for program in SERVICES:
        command = " ".join(deployment.tasks[program].container.get("healthCheck", {}).get("command", ()))
        if "/livez" not in command:
            yield f"{program}: its container check does not ask for /livez"


@check
def ports_agree(deployment: Deployment) -> Iterator[str]:
    """What is listened on is what is asked, and only the load balancer may reach the API."""
    producer, worker = deployment.tasks["producer"], deployment.tasks["worker"]
    port = int(producer.environment.get("HTTP_PORT", 0))
    for what, given in (
        ("the container", producer.container["portMappings"][0]["containerPort"]),
        ("the target group", deployment["aws_lb_target_group.producer"]["port"]),
        ("the service", next(iter(deployment.service("producer")["load_balancer"]))["container_port"]),
        ("the API's ingress", deployment["aws_vpc_security_group_ingress_rule.producer"]["from_port"]),
    ):
        if given != port:
            yield f"{what} has port {given}, and the API listens on {port}"
    health = worker.environment.get("HEALTH_PORT")
    if f":{health}/livez" not in " ".join(worker.container["healthCheck"]["command"]):
        yield f"the worker's container check does not ask port {health}"
    for address, rule in deployment.all_of("aws_vpc_security_group_ingress_rule"):
        if (
            rule.get("cidr_ipv4")
            and rule["security_group_id"] != deployment["aws_security_group.load_balancer"]["id"]
        ):
            yield f"{address} lets the internet in"


@check
def scratch_has_room(deployment: Deployment) -> Iterator[str]:
    """A worker's scratch folder holds five times the largest upload for each message it handles at once."""
    producer, task = deployment.tasks["producer"], deployment.tasks["worker"]
    largest = int(
        producer.environment.get("MAX_UPLOAD_BYTES", _default(ProducerSettings, "max_upload_bytes"))
    )
    messages = int(
        task.environment.get("MAX_CONCURRENT_MESSAGES", _default(WorkerSettings, "max_concurrent_messages"))
    )
    room = task.definition["ephemeral_storage"][0]["size_in_gib"] << 30
    if room < SCRATCH_SHARE * largest * messages:
        yield (
            f"the worker has {room >> 30} GiB of scratch; {messages} files of {largest / 2**30:.1f} GiB "
            f"may take {SCRATCH_SHARE * largest * messages / 2**30:.0f} GiB"
        )
    mounted = {point["containerPath"]: point for point in task.container["mountPoints"]}
    folder = task.environment.get("SCRATCH_DIRECTORY", "/tmp")  # noqa: S108 the system's default
    if folder not in mounted or mounted[folder]["readOnly"]:
        yield f"the worker's scratch folder {folder} cannot be written to"


@check
def memory_has_room(deployment: Deployment) -> Iterator[str]:
    """A task of the API has the memory that its concurrent uploads may take."""
    task = deployment.tasks["producer"]
    uploads = int(
        task.environment.get("MAX_CONCURRENT_UPLOADS", _default(ProducerSettings, "max_concurrent_uploads"))
    )
    needed, given = uploads * UPLOAD_MEMORY_MB + BASE_MEMORY_MB, int(task.definition["memory"])
    if given < needed:
        yield f"the API has {given} MiB of memory; {uploads} uploads may take {needed}"


@check
def connections_fit(deployment: Deployment) -> Iterator[str]:
    """The database has a connection for each that all tasks may open, during a deployment too."""
    each = {
        "producer": sum(
            limits.connections for limits in (READ_LIMITS, WRITE_LIMITS, BACKGROUND_LIMITS, PROBE_LIMITS)
        ),
        "worker": min(
            WORKER_CONNECTIONS, int(deployment.tasks["worker"].environment["MAX_CONCURRENT_MESSAGES"]) + 1
        ),
    }
    needed = OTHER_CONNECTIONS + sum(deployment.max_tasks(name) * count for name, count in each.items())
    limit = int(deployment.database_parameter("max_connections"))
    if needed > limit:
        yield f"all tasks together may open {needed} connections, and the database takes {limit}"


@check
def containers_are_confined(deployment: Deployment) -> Iterator[str]:
    """A program is not root and can write to the folders made for it only."""
    for program, task in deployment.tasks.items():
        if task.container.get("user", "root").partition(":")[0] in {"root", "0"}:
            yield f"{program} runs as root"
        if not task.container.get("readonlyRootFilesystem"):
            yield f"{program} can write to its image"


@check
def alarms_are_the_table(deployment: Deployment) -> Iterator[str]:
    """Each row of alarms.json is an alarm with its values, that can be met, and there is no other."""
    alarms = {
        address.split('"')[1]: values
        for address, values in deployment.all_of("aws_cloudwatch_metric_alarm")
        if address.startswith("aws_cloudwatch_metric_alarm.this[")
    }
    table = deployment.alarm_table["alarms"]
    for name in sorted(alarms.keys() ^ table.keys()):
        yield f"{name} is in one of alarms.json and Terraform only"
    for name in sorted(alarms.keys() & table.keys()):
        row, alarm = table[name], alarms[name]
        if row["datapoints"] > row["periods"]:
            yield f"{name}: {row['datapoints']} of {row['periods']} periods can never be"
        if (alarm["threshold"], alarm["treat_missing_data"]) != (row["threshold"], row["missing"]):
            yield f"{name}: Terraform's alarm differs from its row"


@check
def alarms_watch_what_is_emitted(deployment: Deployment) -> Iterator[str]:
    """Each metric of an alarm or a scaling policy is emitted, with just those dimensions."""
    emitted = {
        (entry["namespace"], metric, _dimensions(entry["dimensions"]))
        for entry in deployment.alarm_table["emitted"]
        for metric in entry["metrics"]
    }
    for where, namespace, name, dimensions in _watched(deployment):
        if (namespace, name, _dimensions(dimensions)) not in emitted:
            yield f"{where}: nobody emits {namespace} {name} with {dict(dimensions)}"
    for address, values in deployment.all_of("aws_cloudwatch_log_metric_filter"):
        (made,) = values["metric_transformation"]
        if not any((made["namespace"], made["name"]) == entry[:2] for entry in emitted):
            yield f"{address} writes {made['namespace']} {made['name']}, which alarms.json does not know"


@check
def alarms_reach_someone(deployment: Deployment) -> Iterator[str]:
    """Each alarm, event and budget goes to a topic that may be published to and that someone reads."""
    topic = deployment["aws_sns_topic.alerts"]["arn"]
    for address, values in deployment.all_of("aws_cloudwatch_metric_alarm"):
        actions = values["alarm_actions"] or ()
        scales = actions and all("scalingPolicy" in action for action in actions)
        if topic not in actions and not scales:
            yield f"{address} tells nobody"
    for address, values in deployment.all_of("aws_cloudwatch_event_target"):
        if values["arn"] != topic:
            yield f"{address} tells nobody"
    for notification in deployment["aws_budgets_budget.month"]["notification"]:
        if topic not in notification["subscriber_sns_topic_arns"]:
            yield "the budget tells nobody"
    (statement,) = json.loads(deployment["aws_sns_topic_policy.alerts"]["policy"])["Statement"]
    for sender in ("cloudwatch", "events", "budgets"):
        if f"{sender}.amazonaws.com" not in as_list(statement["Principal"]["Service"]):
            yield f"{sender} may not publish to the alerts' topic"
    if not any(values["topic_arn"] == topic for _, values in deployment.all_of("aws_sns_topic_subscription")):
        yield "nobody subscribes to the alerts' topic"


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


def _secret(reference: str) -> str:
    """Return the ARN of the secret, without the key in it that a reference may name."""
    return ":".join(reference.split(":")[:7])


def _kind(arn: str) -> str:
    service, path = arn.split(":")[2], arn.split(":", 5)[5]
    return {
        "s3": "object" if "/" in path else "bucket",
        "sqs": "queue",
        "sns": "topic",
        "secretsmanager": "secret",
    }.get(service, service)


def _settings(task: Task) -> ProducerSettings | WorkerSettings:
    """Return a service's settings as its task gives them; a bad one is another check's business."""
    given = task.environment | dict.fromkeys(task.secrets, EXAMPLE_SECRET)
    model = ProducerSettings if task.program == "producer" else WorkerSettings
    known = {name: given[name.upper()] for name in model.model_fields if name.upper() in given}
    defaults = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    try:
        return model.model_validate(known)
    except ValidationError:
        return model.model_construct(
            **(defaults | {name: _as_number(value) for name, value in known.items()})
        )


def _as_number(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value


def _default(model: type[ProducerSettings] | type[WorkerSettings], name: str) -> int:
    return int(model.model_fields[name].default)


def _lifecycle(deployment: Deployment) -> dict[str, Mapping[str, Any]]:
    rules = deployment["aws_s3_bucket_lifecycle_configuration.files"]["rule"]
    return {rule["filter"][0]["prefix"]: rule for rule in rules if rule["filter"][0]["prefix"]}


def _dimensions(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def _watched(deployment: Deployment) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
    """Yield where a metric is watched, its namespace, name and dimensions."""
    for address, alarm in deployment.all_of("aws_cloudwatch_metric_alarm"):
        for query in alarm["metric_query"]:
            for metric in query["metric"]:
                yield address, metric["namespace"], metric["metric_name"], metric["dimensions"]
    for address, policy in deployment.all_of("aws_appautoscaling_policy"):
        for tracking in policy["target_tracking_scaling_policy_configuration"]:
            for specification in tracking["customized_metric_specification"]:
                for query in specification["metrics"]:
                    for statistic in query["metric_stat"]:
                        for metric in statistic["metric"]:
                            named = {item["name"]: item["value"] for item in metric["dimensions"]}
                            yield address, metric["namespace"], metric["metric_name"], named
    body = json.loads(deployment["aws_cloudwatch_dashboard.main"]["dashboard_body"])
    for widget in body["widgets"]:
        for namespace, name, *dimensions in widget["properties"].get("metrics", ()):
            pairs = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            yield f"the dashboard's “{widget['properties']['title']}”", namespace, name, pairs
