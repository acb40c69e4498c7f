"""`python -m deploy.local demo`: a file through every part, and what it prints if that fails."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from deploy.local.sample import SAMPLE
from tests.integration.local_stack.command import ROOT, find_living, start_command

NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Runs a command of root's as an ordinary user, without any of root's rights."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, emulator_environment):
    """A checkout in a path with spaces, an umlaut and `&`, with the emulator installed."""
    checkout = tmp_path_factory.mktemp("demo") / "Kündigungen & mehr"
    shutil.copytree(ROOT / "deploy", checkout / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    sample = checkout / SAMPLE.relative_to(ROOT)
    sample.parent.mkdir(parents=True)
    shutil.copy(SAMPLE, sample)
    (checkout / ".local" / "environments").mkdir(parents=True)
    (checkout / ".local" / "environments" / emulator_environment.name).symlink_to(emulator_environment)
    return checkout


@pytest.fixture
def state_folder(tmp_path, monkeypatch):
    """Where demos keep their temporary stacks."""
    folder = tmp_path / "Zwischen lager"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def ordinary_user() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    if subprocess.run([*NOT_ROOT, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("run by root, where no user namespaces are allowed")
    return NOT_ROOT


def test_ordinary_user_scores_a_file_in_an_odd_path(checkout, state_folder, tmp_path):
    shutil.copy(SAMPLE, checkout / "Kunden März.csv")
    with start_command(
        ["demo", "--file", "Kunden März.csv"], tmp_path / "output.txt", checkout, ordinary_user()
    ) as demo:
        assert demo.wait() == 0, demo.output

    lines = demo.output.splitlines()
    assert re.fullmatch(r"demo: COMPLETED rows=1000 rejected=0 seconds=\d+\.\d", lines[-1])
    assert [line.split()[0] for line in lines if " UTC " in line] == ["QUEUED", "RUNNING", "COMPLETED"]
    assert len(re.findall(r"^  \d{4}-[A-Z]{5} +[\d.]+%  (?:HIGH|MEDIUM) ", demo.output, re.MULTILINE)) == 5
    assert len(re.findall(r"^  .+ (?:raises|lowers) the risk$", demo.output, re.MULTILINE)) == 15
    assert re.findall(r"^  (\S+) +[\d,]+ bytes  \w", demo.output, re.MULTILINE) == [
        "scores.csv",
        "scores.parquet",
        "rejected.csv",
        "manifest.json",
    ]
    scores = (checkout / ".local" / "demo" / "scores.csv").read_text()
    assert len(scores.splitlines()) == 1 + 1000
    assert list(state_folder.iterdir()) == []


def test_demo_reports_the_reason_of_a_file_that_cannot_be_scored_and_keeps_nothing(
    checkout, state_folder, tmp_path
):
    (tmp_path / "orders.csv").write_text("order,sum\n1,2\n")
    with start_command(
        ["demo", "--file", str(tmp_path / "orders.csv")], tmp_path / "output.txt", checkout
    ) as demo:
        assert demo.wait() == 1

    last = demo.output.splitlines()[-1]
    assert last.startswith("demo: FAILED The file lacks")
    assert "tenure" in last
    assert "Logs:" not in demo.output
    assert list(state_folder.iterdir()) == []


def test_interrupted_demo_leaves_nothing_behind(checkout, state_folder, tmp_path):
    with start_command(["demo"], tmp_path / "output.txt", checkout) as demo:
        demo.wait_for("^emulator ")
        family = demo.family()
        assert demo.end(signal.SIGINT) == 1

    assert demo.output.splitlines()[-1] == "demo: FAILED interrupted"
    assert find_living(family) == []
    assert list(state_folder.iterdir()) == []
