"""What each program is told, against what it reads."""

import re
from collections.abc import Iterator

from pydantic import SecretStr, ValidationError

from deploy.checks.deployment import PROGRAMS, Deployment, secret_of
from deploy.checks.wiring.given import EXAMPLE_SECRET
from deploy.checks.wiring.registry import check


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
            if secret_of(reference) != own[program]:
                yield f"{program}: {name} comes from {secret_of(reference)}, not from {own[program]}"


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
