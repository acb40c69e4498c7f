"""Builds the wheel and the sdist, and tries each as another team would: in an empty environment.

`python -m tests.contracts.distribution FOLDER` is `make build`.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Literal

from tests.contracts.kept import ROOT

PROJECT = ROOT / "contracts"
STEP_TIMEOUT_SECONDS = 180

_TRY = """
import json
from importlib.metadata import requires
import pydantic
from retainwise_contracts.codec import MESSAGES, decode, encode
from retainwise_contracts.examples import load_example
from retainwise_contracts.releases import load_corpus
from retainwise_contracts.schemas import load_schema

for name in MESSAGES:
    assert json.loads(encode(decode(load_example(name)))) == json.loads(load_example(name))
    assert json.loads(load_schema(name))
corpus = load_corpus()
assert corpus
for message in corpus:
    message.check()
print(pydantic.VERSION)
"""
"""What a fresh installation must do. It prints the version of pydantic."""


def build(folder: Path, *targets: Literal["wheel", "sdist"]) -> list[Path]:
    """Build the targets into `folder` and return the files."""
    options = [option for target in targets for option in ("--target", target)]
    run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.absolute()), *options], PROJECT
    )
    return sorted(folder.glob(f"retainwise_contracts-{read_version()}*"))


def read_version() -> str:
    """The version that pyproject.toml says."""
    return str(_read_project()["version"])


def oldest_pydantic() -> str:
    """The oldest version that pyproject.toml allows."""
    (requirement,) = _read_project()["dependencies"]
    found = re.fullmatch(r"pydantic>=([0-9.]+),<3", requirement)
    assert found, requirement
    return f"{found[1]}.0"


def create_environment(folder: Path, *requirements: str) -> Path:
    """Create an environment with nothing but the requirements; return its Python."""
    uv = str(Path(sys.executable).with_name("uv"))
    run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    python = folder / "bin" / "python"
    run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
    return python


def try_installed(python: Path) -> str:
    """Use the package in an environment; return the version of pydantic there."""
    return run([str(python), "-I", "-W", "error", "-c", _TRY]).strip()


_READER = """
from retainwise_contracts.codec import decode, encode
from retainwise_contracts.testing import message_attributes

def handle_events(queue):
    for message in queue.receive_message(MaxNumberOfMessages=10).get("Messages", []):
        assert decode(message["Body"]).data.risk_distribution.high == 7
        queue.delete_message(ReceiptHandle=message["ReceiptHandle"])

def test_corpus_can_be_read(retainwise_corpus_message):
    retainwise_corpus_message.check()

"""
"""The program that the README's test leaves out."""


def try_plugin(python: Path, folder: Path) -> str:
    """Run the README's test in an environment with pytest; return the last line it printed."""
    found = re.search(
        r"## Test\n.*?```python\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert found
    (folder / "test_subscriber.py").write_text(_READER + found[1])
    return run([str(python), "-m", "pytest", "-q", "-W", "error", "test_subscriber.py"], folder).splitlines()[
        -1
    ]


def run(argv: list[str], cwd: Path | None = None, **env: str) -> str:
    """Run a command to its end and return what it printed; raises AssertionError if it fails."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(argv[:4])} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def _read_project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def check_distribution(folder: Path) -> list[str]:
    """Build both, install each into an empty environment, with the oldest and the newest pydantic."""
    wheel, sdist = sorted(build(folder, "wheel", "sdist"), key=lambda file: file.suffix == ".gz")
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    tried = []
    with tempfile.TemporaryDirectory() as temporary:
        for file, name, pins in (
            (wheel, "oldest", [f"pydantic=={oldest_pydantic()}"]),
            (wheel, "newest", ["pydantic", "pytest"]),
            (sdist, "sdist", []),
        ):
            python = create_environment(Path(temporary) / name, str(file), *pins)
            tried.append(f"{file.name} with pydantic {try_installed(python)}")
            if "pytest" in pins:
                tried.append(try_plugin(python, Path(temporary)))
    return tried


if __name__ == "__main__":
    for line in check_distribution(Path(sys.argv[1])):
        print(line)
