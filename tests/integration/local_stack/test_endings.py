"""However a command is ended, it prints a line, never a traceback, and leaves no process and no folder."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.sample import SAMPLE
from tests.integration.local_stack.command import (
    ROOT,
    TIMEOUT_SECONDS,
    find_free_offset,
    find_living,
    start_command,
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where demos have their stacks."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def empty_checkout(tmp_path_factory):
    """A checkout without the emulator's environment."""
    checkout = tmp_path_factory.mktemp("empty") / "checkout"
    shutil.copytree(ROOT / "deploy", checkout / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    sample = checkout / SAMPLE.relative_to(ROOT)
    sample.parent.mkdir(parents=True)
    shutil.copy(SAMPLE, sample)
    return checkout


def wait_for_handler(pid: int, number: signal.Signals) -> None:
    """Wait until the process catches the signal itself."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught & 1 << (number - 1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_signal_during_the_imports_ends_with_a_line(temporary, tmp_path, emulator_environment):
    with start_command(["demo"], tmp_path / "printed.txt") as demo:
        wait_for_handler(demo.pid, signal.SIGHUP)  # which Python catches only for us
        assert demo.end(signal.SIGINT) == 1

    assert demo.output.splitlines()[-1] == "demo: FAILED interrupted"
    assert "Traceback" not in demo.output
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["Starting a temporary", "^postgres ", "^Scoring "])
def test_signal_ends_a_demo_at_any_moment(moment, number, temporary, tmp_path, emulator_environment):
    with start_command(["demo"], tmp_path / "printed.txt") as demo:
        demo.wait_for(moment)
        family = demo.family()
        psutil.Process(demo.pid).send_signal(number)
        demo.wait_for("^Stopping")
        assert demo.end(number) == 1  # a second one must not cut the stopping short

    assert demo.output.splitlines()[-1] == "demo: FAILED interrupted"
    assert "Traceback" not in demo.output
    assert find_living(family) == []
    assert list(temporary.iterdir()) == []


def test_signal_during_the_installation_leaves_no_pip(empty_checkout, temporary, tmp_path):
    with start_command(["demo"], tmp_path / "printed.txt", empty_checkout) as demo:
        demo.wait_for("^Installing")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(demo.family()) < 2:  # the installer and its step
            assert time.monotonic() < deadline
            time.sleep(0.01)
        family = demo.family()
        assert demo.end(signal.SIGINT) == 1

    assert demo.output.splitlines()[-1] == "demo: FAILED interrupted"
    assert "Traceback" not in demo.output
    assert find_living(family) == []
    assert list(temporary.iterdir()) == []


def test_demo_goes_on_when_nobody_reads_its_output(temporary, tmp_path, emulator_environment):
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.local", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.close()
        errors = demo.stderr.read()
        assert demo.wait(TIMEOUT_SECONDS) == 0

    assert errors == b""
    assert list(temporary.iterdir()) == []


def test_removed_state_folder_ends_the_stack_with_a_line(tmp_path, emulator_environment):
    state = tmp_path / "state"
    argv = ["run", "--replicas", "1", "--port-offset", str(find_free_offset()), "--state", str(state)]
    with start_command(argv, tmp_path / "printed.txt") as stack:
        stack.wait_for("Ctrl-C")
        family = stack.family()
        PostgresServer(state / "postgres", 0, log=tmp_path / "postgres.log").remove()
        shutil.rmtree(state)
        assert stack.wait() == 1

    assert f"the state folder {state} was removed" in stack.output.splitlines()[-1]
    assert "Traceback" not in stack.output
    assert find_living(family) == []
