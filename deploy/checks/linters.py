"""What others' checkers say of the Terraform, the policies, the workflows and compose.yaml."""

import json
import shutil

from deploy.checks.deployment import Deployment
from deploy.checks.report import Report
from deploy.checks.terraform import Terraform, TerraformFailed
from deploy.checks.tools import Tools

COMPOSE_CHECK = (
    "import compose_spec, sys; compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read()).validate()"
)


def lint(report: Report) -> None:
    """Run checkov, parliament, actionlint, zizmor and the schema of compose files."""
    tools = Tools(report)
    if not tools.ready:
        return
    checks = report.root / "deploy" / "checks"
    copied = report.work / "linted"
    shutil.rmtree(copied, ignore_errors=True)
    # Of what is committed alone, with the links to policies and alarms as files.
    ignored = shutil.ignore_patterns(".terraform*", "tests")
    shutil.copytree(report.root / "deploy" / "terraform", copied, ignore=ignored)
    tools.run(
        "checkov",
        "checkov",
        "--directory",
        str(copied),
        "--config-file",
        str(checks / "checkov.yaml"),
        "--var-file",
        str(copied / "env" / "prod.tfvars"),
        env={"LOG_LEVEL": "ERROR"},
    )
    _lint_policies(tools, report)
    workflows = sorted(str(path) for path in (report.root / ".github" / "workflows").glob("*.yml"))
    tools.run("actionlint", "actionlint", *workflows)
    tools.run("zizmor", "zizmor", "--offline", "--quiet", *workflows)
    tools.run("compose.yaml", "python", "-c", COMPOSE_CHECK, str(report.root / "compose.yaml"))


def _lint_policies(tools: Tools, report: Report) -> None:
    """Check the policies as Terraform resolves them."""
    terraform = Terraform(report.terraform, report.work / "terraform")
    terraform.copy(report.root / "deploy" / "terraform")
    try:
        terraform.init()
        deployment = Deployment(terraform.resolve("prod"), folder=terraform.folder, root=report.root)
    except TerraformFailed as error:
        report.problem(f"the policies cannot be resolved: {error}")
        return
    policies = {program: json.dumps(task.policies["task"]) for program, task in deployment.tasks.items()}
    policies["deployer"] = deployment["aws_iam_policy.deployer"]["policy"]
    quiet = {"PYTHONWARNINGS": "ignore"}  # about its own use of pkg_resources
    for program, policy in policies.items():
        exceptions = report.root / "deploy" / "checks" / f"parliament-{program}.yaml"
        config = ("--config", str(exceptions)) if exceptions.exists() else ()
        tools.run(f"parliament of {program}.json", "parliament", *config, given=policy, env=quiet)
