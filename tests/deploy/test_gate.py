"""The gate runs the migration, then both checks, and ends the deployment where one of them fails."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

AWS = """#!{python}
import json, os, sys
from pathlib import Path
folder = Path(os.environ["AWS_FAKE"])
arguments = sys.argv[1:]
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
def of(name):
    return arguments[arguments.index(name) + 1]
answers = json.loads((folder / "answers.json").read_text())
if arguments[1] == "run-task":
    failures = answers.get("failures", [])
    family = of("--task-definition").rpartition("/")[2]
    tasks = [] if failures else [{{"taskArn": f"task/{{family}}"}}]
    print(json.dumps({{"tasks": tasks, "failures": failures}}))
elif arguments[1] == "describe-tasks":
    code = answers.get(of("--tasks").rpartition("/")[2], 0)
    container = {{"exitCode": code}} if code is not None else {{"reason": "CannotPullContainerError"}}
    print(json.dumps({{"tasks": [{{"lastStatus": "STOPPED", "containers": [container]}}]}}))
elif arguments[1] == "get-log-events":
    print(json.dumps({{"events": [{{"message": "DATABASE_URL is not set."}}]}}))
"""


@pytest.fixture
def run_gate(tmp_path):
    """A function that runs the gate with an AWS command line that answers as told."""
    program = tmp_path / "aws"
    program.write_text(AWS.format(python=sys.executable))
    program.chmod(0o755)

    def run(**answers):
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        (tmp_path / "calls.jsonl").unlink(missing_ok=True)
        done = subprocess.run(
            [
                sys.executable,
                ROOT / "deploy" / "terraform" / "gate.py",
                *("--cluster", "main", "--region", "eu-central-1"),
                *("--subnets", "subnet-1,subnet-2", "--public-ip", "ENABLED"),
                *("--run", "arn:aws:ecs:x:1:task-definition/migrate:7=sg-worker"),
                *("--check", "arn:aws:ecs:x:1:task-definition/producer:8=sg-producer"),
                *("--check", "arn:aws:ecs:x:1:task-definition/worker:9=sg-worker"),
            ],
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "AWS_FAKE": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
        started = [call for call in calls if call[:2] == ["ecs", "run-task"]]
        return done, started

    return run


def value_of(call, name):
    return call[call.index(name) + 1]


def test_migration_runs_first_then_each_check_in_its_own_network(run_gate):
    done, started = run_gate()
    assert done.returncode == 0, done.stderr
    tasks = [
        (
            value_of(call, "--task-definition").rpartition("/")[2],
            json.loads(value_of(call, "--overrides"))["containerOverrides"],
            json.loads(value_of(call, "--network-configuration"))["awsvpcConfiguration"]["securityGroups"],
        )
        for call in started
    ]
    check = [{"name": "main", "command": ["check", "--permissions"]}]
    assert tasks == [
        ("migrate:7", [], ["sg-worker"]),
        ("producer:8", check, ["sg-producer"]),
        ("worker:9", check, ["sg-worker"]),
    ]


def test_failed_check_ends_the_deployment_with_its_log(run_gate):
    done, started = run_gate(**{"producer:8": 2})
    assert done.returncode == 1
    assert "the services were not changed" in done.stderr
    assert "DATABASE_URL is not set." in done.stderr
    assert len(started) == 2  # the worker's check does not run


def test_failed_migration_ends_it_before_any_check(run_gate):
    done, started = run_gate(**{"migrate:7": 1})
    assert (done.returncode, len(started)) == (1, 1)


def test_task_that_never_began_is_a_failure_with_its_reason(run_gate):
    done, _ = run_gate(**{"worker:9": None})
    assert done.returncode == 1
    assert "CannotPullContainerError" in done.stderr


def test_task_that_cannot_be_placed_is_a_failure(run_gate):
    done, _ = run_gate(failures=[{"reason": "RESOURCE:MEMORY"}])
    assert done.returncode == 1
    assert "RESOURCE:MEMORY" in done.stderr
