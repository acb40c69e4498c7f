"""Plants each fault in a copy of the deployment and sees whether its check finds it."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.checks.deployment import Deployment
from deploy.checks.faults import FAULTS, TERRAFORM, Fault, FaultDoesNotApply
from deploy.checks.report import Report
from deploy.checks.terraform import Terraform, TerraformFailed
from deploy.checks.wiring import CHECKS

ENVIRONMENT = "prod"


def plant_faults(report: Report) -> None:
    """Plant all faults; each must be found by the check that it names."""
    # Not in parallel: the offline stand-in for the provider overwrites its file at each run.
    terraform = Terraform(report.terraform, report.work / "planted" / "terraform")
    terraform.copy(report.root / "deploy" / "terraform")
    try:
        terraform.init()
    except TerraformFailed as error:
        report.problem(str(error))
        return
    caught = 0
    for fault in FAULTS:
        problem = _plant(fault, terraform, report.root)
        if problem is None:
            caught += 1
            report.line(f"caught by {fault.caught_by}: {fault.name}")
        else:
            report.problem(f"not caught by {fault.caught_by}: {fault.name} ({problem})")
    report.line(f"caught {caught}/{len(FAULTS)}")
    report.count(faults_planted=len(FAULTS), faults_caught=caught)


def _plant(fault: Fault, terraform: Terraform, root: Path) -> str | None:
    copied_root = terraform.folder.parent
    terraform.copy(root / "deploy" / "terraform")
    workflows = Path(".github") / "workflows"
    shutil.copytree(root / workflows, copied_root / workflows, dirs_exist_ok=True)
    try:
        fault.plant(copied_root / workflows if fault.workflow else terraform.folder)
        deployment = Deployment(terraform.resolve(ENVIRONMENT), folder=terraform.folder, root=copied_root)
    except FaultDoesNotApply as error:
        return str(error)
    except TerraformFailed as error:
        return None if fault.caught_by == TERRAFORM else str(error)
    if fault.caught_by == TERRAFORM:
        return "Terraform takes it"
    return None if any(CHECKS[fault.caught_by](deployment)) else f"found by {_others(deployment) or 'none'}"


def _others(deployment: Deployment) -> Sequence[str]:
    def finding() -> Iterator[str]:
        for name, check in CHECKS.items():
            if any(check(deployment)):
                yield name

    return list(finding())
