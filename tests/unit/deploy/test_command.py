"""What `python -m deploy.local …` prints for a wrong option or file, before anything is started."""

import os
import subprocess
import sys

import pytest
from cyclopts import ValidationError

from deploy.local.command import app
from tests.conftest import ROOT


def run_command(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *argv],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "option", ["--port-offset=70000", "--port-offset=-1", "--replicas=0", "--replicas=10"]
)
def test_number_out_of_range_is_refused_with_the_bound(option, tmp_path):
    with pytest.raises(ValidationError, match=r"Must be [<>]= \d+"):
        app(
            ["run", option, "--state", str(tmp_path / "state")],
            exit_on_error=False,
            print_error=False,
        )

    assert not (tmp_path / "state").exists()


def test_demo_of_a_missing_file_fails_in_one_line_on_an_ascii_terminal(tmp_path):
    failed = run_command("demo", "--file", str(tmp_path / "gekündigt.csv"), PYTHONIOENCODING="ascii")

    assert failed.returncode == 1
    assert failed.stderr == ""
    assert (
        failed.stdout.splitlines()[-1] == f"demo: FAILED {tmp_path}/gek?ndigt.csv: No such file or directory"
    )


def test_token_without_a_running_stack_says_how_to_start_one(tmp_path):
    refused = run_command("token", "--state", str(tmp_path))

    assert refused.returncode == 1
    assert refused.stderr == f"error: no local stack is running in {tmp_path}: start one with `make run`\n"
