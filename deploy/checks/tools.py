"""Checkers that others wrote, in an environment of their own: their pins clash with ours."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.checks.report import Report
from deploy.environment import BOOTSTRAP_LOCK

LOCK = Path(__file__).with_name("tools.lock")
INSTALLER = Path(__file__).parents[1] / "environment.py"
TIMEOUT_SECONDS = 300


class Tools:
    """The programs of tools.lock, installed once for each version of it; `ready` says whether they are."""

    def __init__(self, report: Report) -> None:
        self._report = report
        pinned = BOOTSTRAP_LOCK.read_bytes() + LOCK.read_bytes()
        self.folder = report.work / "tools"
        self._stamp = self.folder / hashlib.sha256(pinned).hexdigest()
        self.ready = self._stamp.exists() or self._install()

    def _install(self) -> bool:
        self._report.line("installing the checkers (once)…")
        argv = [sys.executable, str(INSTALLER), str(self.folder), "--lock", str(LOCK)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            self._report.problem(f"the checkers of {LOCK.name} could not be installed: {done.stderr[-1000:]}")
            return False
        for old in self.folder.glob("?" * 64):
            old.unlink()
        self._stamp.touch()
        return True

    def run(
        self,
        what: str,
        program: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> bool:
        """Run a program, `given` a text, and report whether it is content; what it printed is the problem."""
        path = self.folder / "bin"
        done = subprocess.run(
            [str(path / program), *arguments],
            cwd=self._report.root,
            env={"PATH": f"{path}:/usr/bin:/bin", "HOME": str(self._report.work), **(env or {})},
            input=given,
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            self._report.problem(f"{what}: {done.stdout[-4000:]}{done.stderr[-2000:]}")
            return False
        self._report.line(f"{what}: clean")
        return True
