"""Faults that are planted in a copy of the deployment, one at a time; each has a check that must see it.

Most of them have broken a system before: a missing variable, the wrong role, an alarm that could not fire.
"""

from dataclasses import dataclass
from pathlib import Path

TERRAFORM = "terraform"
"""In place of a check: Terraform itself refuses the configuration."""


class FaultDoesNotApply(Exception):
    """The text to replace is not in the file exactly as the fault has it: bring the fault up to date."""


@dataclass(frozen=True)
class Fault:
    """A textual change of one file, below deploy/terraform or (`workflow`) below .github/workflows."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    workflow: bool = False

    def plant(self, folder: Path) -> None:
        """Make the change in a copy. Raises FaultDoesNotApply."""
        path = folder / self.file
        text = path.read_text("utf-8")
        if self.old not in text:
            raise FaultDoesNotApply(f"{self.name}: {self.file} has no {self.old!r}")
        path.write_text(text.replace(self.old, self.new, 1), "utf-8")


FAULTS = (
    Fault(
        "the queue's variable is dropped",
        "services.tf",
        "    PREDICTIONS_QUEUE_URL = aws_sqs_queue.predictions.url\n",
        "",
        "required_settings_are_given",
    ),
    Fault(
        "a variable's name is misspelt",
        "services.tf",
        "    BUCKET_NAME  ",
        "    BUCKET_NAMES ",
        "required_settings_are_given",
    ),
    Fault(
        "a variable that nobody reads",
        "services.tf",
        "    LOG_LEVEL  ",
        '    SQS_ENABLED = "true"\n    LOG_LEVEL  ',
        "given_settings_are_read",
    ),
    Fault(
        "an origin that the API refuses",
        "env/prod.tfvars",
        '"https://app.example.com"',
        '"https://app.example.com/"',
        "given_values_are_accepted",
    ),
    Fault(
        "the worker's dead-letter queue is the queue",
        "services.tf",
        "= aws_sqs_queue.dead_letters.url",
        "= aws_sqs_queue.predictions.url",
        "names_flow_from_resources",
    ),
    Fault(
        "both services use the dead-letter queue",
        "services.tf",
        "PREDICTIONS_QUEUE_URL = aws_sqs_queue.predictions.url",
        "PREDICTIONS_QUEUE_URL = aws_sqs_queue.dead_letters.url",
        "names_flow_from_resources",
    ),
    Fault(
        "the API has the worker's policy",
        "services.tf",
        "policies/producer.json",
        "policies/worker.json",
        "policies_are_the_programs_own",
    ),
    Fault(
        "the task runs in the execution role",
        "modules/task/main.tf",
        "task_role_arn            = aws_iam_role.task.arn",
        "task_role_arn            = aws_iam_role.execution.arn",
        "roles_are_in_their_places",
    ),
    Fault(
        "a password in the environment",
        "gate.tf",
        "    DATABASE_HOST       = aws_db_instance.main.address\n",
        '    DATABASE_HOST       = aws_db_instance.main.address\n    OWNER_PASSWORD = "swordfish"\n',
        "secrets_are_given_as_secrets",
    ),
    Fault(
        "the API's DATABASE_URL in the environment",
        "services.tf",
        "    HTTP_PORT  ",
        '    DATABASE_URL = "postgresql://producer_api:swordfish@database/retainwise"\n    HTTP_PORT  ',
        "secrets_are_given_as_secrets",
    ),
    Fault(
        "the worker logs in as the API",
        "services.tf",
        "secrets = { DATABASE_URL = aws_secretsmanager_secret.database_url[local.worker].arn }",
        "secrets = { DATABASE_URL = aws_secretsmanager_secret.database_url[local.producer].arn }",
        "secrets_are_given_as_secrets",
    ),
    Fault(
        "the execution role lacks the secret",
        "modules/task/main.tf",
        "Resource = local.secret_arns",
        "Resource = var.repository_arn",
        "execution_role_reads_its_secrets",
    ),
    Fault(
        "a *Batch action is granted",
        "policies/producer.json",
        "sqs:SendMessage",
        "sqs:SendMessageBatch",
        "granted_actions_exist",
    ),
    Fault(
        "ListBucket on objects",
        "policies/worker.json",
        '"Resource": "${bucket_arn}"',
        '"Resource": "${bucket_arn}/*"',
        "granted_actions_exist",
    ),
    Fault(
        "a wildcard",
        "policies/worker.json",
        '["s3:GetObject", "s3:GetObjectVersion"]',
        '"s3:*"',
        "granted_actions_exist",
    ),
    Fault(
        "no GetObjectVersion",
        "policies/worker.json",
        ', "s3:GetObjectVersion"',
        "",
        "every_call_is_granted_and_every_grant_called",
    ),
    Fault(
        "the prefixes are swapped",
        "policies/worker.json",
        "${bucket_arn}/results/*",
        "${bucket_arn}/uploads/*",
        "every_call_is_granted_and_every_grant_called",
    ),
    Fault(
        "a permission that is not used",
        "policies/worker.json",
        '"s3:PutObject"',
        '"s3:PutObject", "s3:GetObject"',
        "every_call_is_granted_and_every_grant_called",
    ),
    Fault(
        "images by tag",
        "registry.tf",
        "@${var.image_digests[name]}",
        ":latest",
        TERRAFORM,
    ),
    Fault(
        "tags that can be moved",
        "registry.tf",
        '"IMMUTABLE"',
        '"MUTABLE"',
        "images_are_pinned",
    ),
    Fault(
        "the worker runs the API's image",
        "services.tf",
        "local.images[local.worker]",
        "local.images[local.producer]",
        "images_are_pinned",
    ),
    Fault(
        "Terraform ignores the task definition",
        "modules/service/main.tf",
        "ignore_changes = [desired_count]",
        "ignore_changes = [desired_count, task_definition]",
        "terraform_alone_owns_task_definitions",
    ),
    Fault(
        "a workflow registers a task definition",
        "deploy.yml",
        "    steps:\n",
        "    steps:\n      - run: aws ecs register-task-definition --cli-input-json file://task.json\n",
        "terraform_alone_owns_task_definitions",
        workflow=True,
    ),
    Fault(
        "a rolled back deployment counts as a success",
        "modules/service/main.tf",
        "wait_for_steady_state = true",
        "wait_for_steady_state = false",
        "deployments_prove_themselves",
    ),
    Fault(
        "the services do not wait for the gate",
        "modules/service/main.tf",
        "  depends_on = [var.gate]\n",
        "",
        "deployments_prove_themselves",
    ),
    Fault(
        "the gate does not check the worker",
        "gate.tf",
        "    module.worker.task_definition_arn,\n",
        "",
        "deployments_prove_themselves",
    ),
    Fault(
        "the stop timeout is the grace",
        "services.tf",
        "stop_timeout_seconds = 120",
        "stop_timeout_seconds = 110",
        "tasks_have_time_to_stop",
    ),
    Fault(
        "the API's grace is the stop timeout's",
        "services.tf",
        '"95"',
        '"115"',
        "tasks_have_time_to_stop",
    ),
    Fault(
        "retention unlike the reconciler's",
        "queues.tf",
        "= 4 * 24 * 3600",
        "= 7 * 24 * 3600",
        "queues_agree",
    ),
    Fault(
        "parked after three receives",
        "queues.tf",
        "maxReceiveCount     = 5",
        "maxReceiveCount     = 3",
        "queues_agree",
    ),
    Fault(
        "the worker's visibility is not the queue's",
        "services.tf",
        "VISIBILITY_TIMEOUT_SECONDS = tostring(var.visibility_timeout_seconds)",
        'VISIBILITY_TIMEOUT_SECONDS = "300"',
        "queues_agree",
    ),
    Fault(
        "the queue redrives to itself",
        "queues.tf",
        "deadLetterTargetArn = aws_sqs_queue.dead_letters.arn",
        "deadLetterTargetArn = aws_sqs_queue.predictions.arn",
        "queues_agree",
    ),
    Fault(
        "uploads expire before the dead-letter queue",
        "bucket.tf",
        '"uploads" = 30',
        '"uploads" = 14',
        "files_outlive_their_messages",
    ),
    Fault(
        "versioning is off",
        "bucket.tf",
        'status = "Enabled"\n  }\n}\n\nresource "aws_s3_bucket_server',
        'status = "Suspended"\n  }\n}\n\nresource "aws_s3_bucket_server',
        "bucket_agrees_with_the_local_stack",
    ),
    Fault(
        "the load balancer asks for readiness",
        "load_balancer.tf",
        '"/livez"',
        '"/readyz"',
        "health_checks_ask_for_liveness",
    ),
    Fault(
        "the container check asks for readiness",
        "modules/task/main.tf",
        "/livez",
        "/readyz",
        "health_checks_ask_for_liveness",
    ),
    Fault(
        "the target group has another port",
        "load_balancer.tf",
        "  port                 = local.producer_port",
        "  port                 = 80",
        "ports_agree",
    ),
    Fault(
        "scratch under five times the largest upload",
        "services.tf",
        "ceil(5 *",
        "ceil(3 *",
        "scratch_has_room",
    ),
    Fault(
        "the scratch folder is read-only",
        "services.tf",
        ', scratch = "/scratch" }',
        " }",
        "scratch_has_room",
    ),
    Fault(
        "too little memory for the uploads",
        "env/prod.tfvars",
        "memory_mib = 2048",
        "memory_mib = 1024",
        "memory_has_room",
    ),
    Fault(
        "more connections than the database takes",
        "env/prod.tfvars",
        "max_tasks = 20",
        "max_tasks = 30",
        "connections_fit",
    ),
    Fault(
        "a program that is root",
        "modules/task/main.tf",
        '"10001:10001"',
        '"0:0"',
        "containers_are_confined",
    ),
    Fault(
        "an alarm on a dimension that nobody emits",
        "alarms.json",
        '"dimensions": { "Service": "consumer_worker", "Environment"',
        '"dimensions": { "ServiceName": "consumer_worker", "Environment"',
        "alarms_watch_what_is_emitted",
    ),
    Fault(
        "an alarm on a metric that nobody emits",
        "alarms.json",
        '"name": "OldestQueuedSeconds"',
        '"name": "OldestWaitingSeconds"',
        "alarms_watch_what_is_emitted",
    ),
    Fault(
        "scaling on a metric that nobody emits",
        "scaling.tf",
        '"BacklogSeconds"',
        '"BacklogMessages"',
        "alarms_watch_what_is_emitted",
    ),
    Fault(
        "an alarm without an action",
        "alarms.tf",
        "alarm_actions       = [aws_sns_topic.alerts.arn]",
        "alarm_actions       = []",
        "alarms_reach_someone",
    ),
    Fault(
        "nobody reads the alerts",
        "env/prod.tfvars",
        '["oncall@example.com"]',
        "[]",
        "alarms_reach_someone",
    ),
    Fault(
        "every branch can deploy",
        "deployer.tf",
        ":environment:${var.environment}",
        ":*",
        "deployer_is_pinned",
    ),
)
