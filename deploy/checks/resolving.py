"""Runs Terraform's own checks, then those of the wiring, for each environment."""

from deploy.checks.deployment import PROGRAMS, Deployment
from deploy.checks.report import Report
from deploy.checks.terraform import Terraform, TerraformFailed
from deploy.checks.wiring import CHECKS

ENVIRONMENTS = ("dev", "prod")


def check_wiring(report: Report) -> None:
    """Check format, schema, tests and wiring of deploy/terraform."""
    terraform = Terraform(report.terraform, report.work / "terraform")
    terraform.copy(report.root / "deploy" / "terraform")
    try:
        terraform.init()
        terraform.check_format()
        terraform.validate()
        terraform.test(ENVIRONMENTS[-1])
        report.line("terraform: formatted, valid, tests passed")
        for environment in ENVIRONMENTS:
            deployment = Deployment(terraform.resolve(environment), folder=terraform.folder, root=report.root)
            _check(environment, deployment, report)
    except TerraformFailed as error:
        report.problem(str(error))


def _check(environment: str, deployment: Deployment, report: Report) -> None:
    before = len(report.problems)
    for name, check in CHECKS.items():
        for problem in check(deployment):
            report.problem(f"{environment}: {name}: {problem}")
    agreed = sum(len(task.environment) + len(task.secrets) for task in deployment.tasks.values())
    if len(report.problems) == before:
        programs, checks = len(PROGRAMS), len(CHECKS)
        report.line(f"{environment}: wiring agreed {agreed} settings of {programs} programs, {checks} checks")
        report.count(settings_agreed=agreed, alarms=len(deployment.alarm_table["alarms"]))
