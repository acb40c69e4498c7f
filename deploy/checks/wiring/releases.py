"""How a new release comes into being, and the old one ends."""

import re
from collections.abc import Iterator

from deploy.checks.deployment import REPOSITORIES, SERVICES, Deployment
from deploy.checks.wiring.given import producer_settings, worker_settings
from deploy.checks.wiring.registry import check
from producer_api.server import ABORT_SECONDS, ANSWER_SECONDS


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
    producer, worker = producer_settings(deployment), worker_settings(deployment)
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
def containers_are_confined(deployment: Deployment) -> Iterator[str]:
    """A program is not root and can write to the folders made for it only."""
    for program, task in deployment.tasks.items():
        if task.container.get("user", "root").partition(":")[0] in {"root", "0"}:
            yield f"{program} runs as root"
        if not task.container.get("readonlyRootFilesystem"):
            yield f"{program} can write to its image"
