"""Terraform's own answers about a copy of deploy/terraform: is it valid, what does it resolve to."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 300.0
WIRING = "tests/wiring.tftest.hcl"
"""The test that prints everything with its values resolved."""


class TerraformFailed(Exception):
    """Terraform cannot be run, or refuses the configuration; the text is its own."""


@dataclass(frozen=True)
class Resource:
    """One resource as Terraform would create it. Values that only AWS knows are missing."""

    address: str
    type: str
    values: Mapping[str, Any]


class Terraform:
    """The program `command`, run in `folder`, a copy of deploy/terraform of its own.

    `command` may have arguments before Terraform's own; the default of `make check-deploy` has none.
    """

    def __init__(self, command: str, folder: Path) -> None:
        self._argv = shlex.split(command)
        self.folder = folder

    def copy(self, source: Path) -> None:
        """Replace the copy by what is in `source`; what `init` fetched stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            if old.name in {".terraform", ".terraform.lock.hcl"}:
                continue
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
        shutil.copytree(source, self.folder, dirs_exist_ok=True)  # links to ../policies become files

    def init(self) -> None:
        """Fetch the provider. Raises TerraformFailed."""
        self._run("init", "-backend=false", "-input=false")

    def check_format(self) -> None:
        """Check that every file is as `terraform fmt` writes it. Raises TerraformFailed."""
        self._run("fmt", "-check", "-recursive")

    def validate(self) -> None:
        """Check the configuration against the provider's schema. Raises TerraformFailed."""
        self._run("validate")

    def test(self, environment: str) -> None:
        """Run the tests with the values of one environment. Raises TerraformFailed."""
        self._run("test", f"-var-file=env/{environment}.tfvars")

    def resolve(self, environment: str) -> list[Resource]:
        """Return all resources with the values of one environment. Raises TerraformFailed."""
        lines = self._run(
            "test", "-json", "-verbose", f"-filter={WIRING}", f"-var-file=env/{environment}.tfvars"
        )
        for line in lines.splitlines():
            if plan := json.loads(line).get("test_plan"):
                return [
                    Resource(change["address"], change["type"], change["change"]["after"])
                    for change in plan["resource_changes"]
                ]
        raise TerraformFailed(f"{WIRING} printed no plan")

    def _run(self, *arguments: str) -> str:
        argv = [*self._argv, *arguments]
        if "-json" not in argv and arguments[0] != "fmt":
            argv.append("-no-color")
        try:
            done = subprocess.run(
                argv, cwd=self.folder, check=False, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
            )
        except FileNotFoundError:
            raise TerraformFailed(
                f"{self._argv[0]} was not found: install Terraform 1.11 or newer, or name it with TERRAFORM=…"
            ) from None
        if done.returncode != 0:
            raise TerraformFailed(f"terraform {arguments[0]}: {_errors(done.stdout) or done.stderr.strip()}")
        return done.stdout


def _errors(output: str) -> str:
    """Return the errors of a run: of its JSON lines, or all of it."""
    try:
        lines = [json.loads(line) for line in output.splitlines() if line.strip()]
    except ValueError:
        return output.strip()
    found = [line["diagnostic"] for line in lines if line.get("type") == "diagnostic"]
    return "; ".join(f"{each['summary']}: {each.get('detail', '')}" for each in found)
