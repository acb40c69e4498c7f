"""What is deployed, put together from Terraform's resolved values and the files beside it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

from pydantic_settings import BaseSettings

from consumer_worker.settings import Settings as WorkerSettings
from deploy.checks.terraform import Resource
from deploy.migrations.settings import Settings as MigrateSettings
from producer_api.settings import Settings as ProducerSettings

PROGRAMS: Mapping[str, type[BaseSettings]] = {
    "producer": ProducerSettings,
    "worker": WorkerSettings,
    "migrate": MigrateSettings,
}
"""The programs that run as tasks, by their Terraform modules, and the settings each reads."""

SERVICES = ("producer", "worker")

REPOSITORIES = {"producer": "producer_api", "worker": "consumer_worker", "migrate": "migrate"}


@dataclass(frozen=True)
class Task:
    """A program as ECS runs it: its definition, and the policies of its two roles."""

    program: str
    definition: Mapping[str, Any]
    container: Mapping[str, Any]
    policies: Mapping[str, Mapping[str, Any]]
    """By the names of the roles, `task` and `execution`."""
    role_arns: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that stand in the definition."""
        return {item["name"]: item["value"] for item in self.container["environment"]}

    @property
    def secrets(self) -> dict[str, str]:
        """The variables that ECS reads from secrets, each with the secret's ARN and perhaps a key in it."""
        return {item["name"]: item["valueFrom"] for item in self.container["secrets"]}


class Deployment:
    """One environment, resolved. `folder` is the copy it was resolved from, `root` the checkout."""

    def __init__(self, resources: Sequence[Resource], *, folder: Path, root: Path) -> None:
        self._resources = {resource.address: resource for resource in resources}
        self.terraform = folder
        self.root = root

    def __getitem__(self, address: str) -> Mapping[str, Any]:
        """Return the values of one resource."""
        return self._resources[address].values

    def all_of(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the addresses and values of all resources of a type."""
        for address, resource in self._resources.items():
            if resource.type == kind:
                yield address, resource.values

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks by program."""
        return {program: self._task(program) for program in PROGRAMS}

    def _task(self, program: str) -> Task:
        module = f"module.{program}" + (".module.task" if program in SERVICES else "")
        definition = self[f"{module}.aws_ecs_task_definition.this"]
        (container,) = json.loads(definition["container_definitions"])
        return Task(
            program,
            definition,
            container,
            {
                role: json.loads(self[f"{module}.aws_iam_role_policy.{role}"]["policy"])
                for role in ("task", "execution")
            },
            {role: self[f"{module}.aws_iam_role.{role}"]["arn"] for role in ("task", "execution")},
        )

    def service(self, program: str) -> Mapping[str, Any]:
        """Return the ECS service of a program."""
        return self[f"module.{program}.aws_ecs_service.this"]

    def max_tasks(self, program: str) -> int:
        """Return how many tasks of a service may run at the same time, a deployment included."""
        scaled: int = self[f"aws_appautoscaling_target.{program}"]["max_capacity"]
        return scaled * int(self.service(program)["deployment_maximum_percent"]) // 100

    @cached_property
    def arns(self) -> dict[str, str]:
        """What Terraform puts into the policies' `${…}`."""
        return {
            "queue_arn": self["aws_sqs_queue.predictions"]["arn"],
            "dead_letter_queue_arn": self["aws_sqs_queue.dead_letters"]["arn"],
            "topic_arn": self["aws_sns_topic.prediction_events"]["arn"],
            "bucket_arn": self["aws_s3_bucket.files"]["arn"],
            "producer_secret_arn": self['aws_secretsmanager_secret.database_url["producer_api"]']["arn"],
            "worker_secret_arn": self['aws_secretsmanager_secret.database_url["consumer_worker"]']["arn"],
        }

    def policy(self, program: str) -> dict[str, Any]:
        """Return a program's policy, as its file gives it, with the names filled in."""
        text = self.read(f"policies/{program}.json")
        policy: dict[str, Any] = json.loads(Template(text).substitute(self.arns))
        return policy

    @cached_property
    def alarm_table(self) -> dict[str, Any]:
        """The table of alarms and metrics, with the names filled in."""
        names = {
            "environment": self["aws_appautoscaling_policy.worker_backlog"]["name"].split("-")[1],
            "cluster": self["aws_ecs_cluster.main"]["name"],
            "producer": self.service("producer")["name"],
            "worker": self.service("worker")["name"],
            "queue": self["aws_sqs_queue.predictions"]["name"],
            "dead_letter_queue": self["aws_sqs_queue.dead_letters"]["name"],
            "load_balancer": self["aws_lb.main"]["arn_suffix"],
            "target_group": self["aws_lb_target_group.producer"]["arn_suffix"],
            "database": self["aws_db_instance.main"]["identifier"],
            "max_connections": self.database_parameter("max_connections"),
            "max_workers": self["aws_appautoscaling_target.worker"]["max_capacity"],
        }
        table: dict[str, Any] = json.loads(Template(self.read("alarms.json")).substitute(names))
        return table

    def database_parameter(self, name: str) -> str:
        """Return the value of a parameter of the database."""
        parameters = self["aws_db_parameter_group.main"]["parameter"]
        return str(next(item["value"] for item in parameters if item["name"] == name))

    def read(self, name: str) -> str:
        """Return the text of a file of deploy/terraform."""
        return (self.terraform / name).read_text("utf-8")


def as_list(value: str | list[str]) -> list[str]:
    """Return what a policy gives as one or several."""
    return [value] if isinstance(value, str) else value


def grants(policy: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return each pair of action and resource that a policy allows."""
    return {
        (action, resource)
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


def secret_of(reference: str) -> str:
    """Return the ARN of a secret, without the key in it that a reference may name."""
    return ":".join(reference.split(":")[:7])
