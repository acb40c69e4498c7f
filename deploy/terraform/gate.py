"""Run the tasks that must succeed before the services change: the migration, then each service's `check`.

    python3 gate.py --cluster … --subnets a,b --public-ip ENABLED --run MIGRATION=GROUP --check SERVICE=GROUP

Each task is given as its definition and its security group. Needs the AWS command line and nothing else;
exits with 1, the reason and the last lines of the task's log where a task does not end with 0.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

TIMEOUT_SECONDS = 900
POLL_SECONDS = 5
LOG_LINES = 20
CHECK = ["check", "--permissions"]


class TaskFailed(Exception):
    """A task could not be started, or did not end with 0; the text says why."""


class Runner:
    """Starts tasks in one network and waits for each."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def run(self, definition: str, security_group: str, command: list[str]) -> None:
        """Run one task to its end, with the image's own command if none is given.

        Raises:
            TaskFailed: it did not end with 0.
        """
        options = self._options
        network = {
            "awsvpcConfiguration": {
                "subnets": options.subnets.split(","),
                "securityGroups": [security_group],
                "assignPublicIp": options.public_ip,
            }
        }
        overrides = {"containerOverrides": [{"name": "main", "command": command}] if command else []}
        started = self._aws(
            "ecs", "run-task", "--cluster", options.cluster, "--launch-type", "FARGATE",
            "--task-definition", definition, "--network-configuration", json.dumps(network),
            "--overrides", json.dumps(overrides), "--started-by", "gate",
        )  # fmt: skip
        if not started["tasks"]:
            raise TaskFailed(f"{definition} was not started: {started['failures']}")
        self._wait(definition, started["tasks"][0]["taskArn"])

    def _wait(self, definition: str, task: str) -> None:
        cluster = ("--cluster", self._options.cluster)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        found: dict[str, Any] = {}
        while found.get("lastStatus") != "STOPPED":
            if time.monotonic() > deadline:
                self._aws("ecs", "stop-task", *cluster, "--task", task)
                raise TaskFailed(f"{definition} did not end within {TIMEOUT_SECONDS} s")
            if found:
                time.sleep(POLL_SECONDS)
            found = self._aws("ecs", "describe-tasks", *cluster, "--tasks", task)["tasks"][0]
        (container,) = found["containers"]
        if container.get("exitCode") != 0:
            reason = container.get("reason") or found.get("stoppedReason", "")
            raise TaskFailed(
                f"{definition} ended with {container.get('exitCode', 'no exit code')}: {reason}\n"
                f"{self._last_lines(definition, task)}"
            )

    def _last_lines(self, definition: str, task: str) -> str:
        group = "/" + definition.rpartition("/")[2].partition(":")[0]
        stream = f"task/main/{task.rpartition('/')[2]}"
        try:
            got = self._aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream,
                            "--limit", str(LOG_LINES))  # fmt: skip
        except TaskFailed:  # it ended before it wrote a line
            return f"no log in {group}"
        return "\n".join(event["message"] for event in got["events"])

    def _aws(self, *arguments: str) -> Any:  # noqa: ANN401 JSON
        argv = ["aws", *arguments, "--region", self._options.region, "--output", "json"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise TaskFailed(f"{' '.join(argv[:3])}: {done.stderr.strip()}")
        return json.loads(done.stdout or "{}")


def main(arguments: list[str]) -> int:
    """Run the command and return the process's exit code."""
    parser = argparse.ArgumentParser(
        description="Run the tasks that must succeed before the services change."
    )
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--subnets", required=True, help="comma-separated")
    parser.add_argument("--public-ip", required=True, choices=["ENABLED", "DISABLED"])
    parser.add_argument(
        "--run", action="append", default=[], help="DEFINITION=GROUP, run with its own command"
    )
    parser.add_argument("--check", action="append", default=[], help="DEFINITION=GROUP, run with `check`")
    options = parser.parse_args(arguments)
    runner = Runner(options)
    tasks = [(task, list[str]()) for task in options.run] + [(task, CHECK) for task in options.check]
    try:
        for task, command in tasks:
            definition, _, security_group = task.partition("=")
            print(f"gate: {definition.rpartition('/')[2]} {' '.join(command)}".rstrip(), flush=True)
            runner.run(definition, security_group, command)
    except TaskFailed as error:
        print(f"gate: the services were not changed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
