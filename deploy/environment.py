"""Create a Python environment from lock files, the same way everywhere: `.venv` and the emulator's.

    python3 deploy/environment.py .venv --lock requirements.lock --editable ./contracts

pip and setuptools come first, at the versions of bootstrap.lock; everything is a wheel, so that no code of a
package runs while it is installed, and every file must have the hash that the lock names. A signal ends it
with one line and no process left; the next run continues. It runs on any Python 3.11 with nothing installed.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

BOOTSTRAP_LOCK = Path(__file__).with_name("bootstrap.lock")

_PIP_INSTALL = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
_LOCKED = ("--require-hashes", "--only-binary", ":all:")
_OURS = ("--no-index", "--no-deps")
_EDITABLE = (*_OURS, "--no-build-isolation")
"""Of our own packages; hatchling, which builds them, and all that they need are in the lock."""


class InstallFailed(Exception):
    """A step of the installation failed or was interrupted; the text says which."""


class Installation:
    """Runs the steps one after another; `interrupt` is a signal handler that ends the current one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = folder / "bin" / "python"
        self._process: subprocess.Popen[bytes] | None = None
        self._interrupted = False

    def interrupt(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """End the current step, and every process it started, at once."""
        self._interrupted = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def run(self, locks: Sequence[Path], packages: Sequence[str], wheels: Path | None = None) -> None:
        """Create the environment if it is missing or broken, and install what the locks and packages say.

        `packages` are folders of this checkout, `wheels` is a folder with what was built from them.

        Raises:
            InstallFailed: a step failed or was interrupted.
        """
        if not self._has_pip() and not self._interrupted:
            if self._folder.exists() and not (self._folder / "pyvenv.cfg").exists():
                raise InstallFailed(f"{self._folder} is no Python environment: remove it or choose another.")
            shutil.rmtree(self._folder, ignore_errors=True)
            self._step([sys.executable, "-m", "venv", str(self._folder)], "the environment")
        for lock in (BOOTSTRAP_LOCK, *locks):
            self._step([str(self._python), *_PIP_INSTALL, *_LOCKED, "--requirement", str(lock)], str(lock))
        if packages:
            editable = [argument for package in packages for argument in ("--editable", package)]
            self._step([str(self._python), *_PIP_INSTALL, *_EDITABLE, *editable], "our packages")
        if wheels:
            built = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
            self._step([str(self._python), *_PIP_INSTALL, *_OURS, *built], "our wheels")

    def _has_pip(self) -> bool:
        """Whether an installation can continue here: an interrupted one may leave pip half replaced."""
        if not self._python.exists():
            return False
        argv = [str(self._python), "-m", "pip", "--version"]
        done = subprocess.run(argv, check=False, capture_output=True, start_new_session=True)  # noqa: S603 our own
        return done.returncode == 0

    def _step(self, argv: list[str], name: str) -> None:
        if not self._interrupted:
            # In a session of its own: Ctrl-C reaches only us, and everything it started ends with it.
            self._process = subprocess.Popen(argv, start_new_session=True)  # noqa: S603 arguments of our own
            if self._interrupted:  # before its process id was known
                self.interrupt()
            code = self._process.wait()
            self._process = None
            if code != 0 and not self._interrupted:
                raise InstallFailed(f"Installing {name} in {self._folder} failed.")
        if self._interrupted:
            raise InstallFailed(f"Interrupted. {self._folder} is incomplete; the next run continues.")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the process's exit code."""
    parser = argparse.ArgumentParser(description="Create a Python environment from lock files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", type=Path, action="append", default=[], help="a requirements file")
    parser.add_argument("--editable", action="append", default=[], help="a package of this checkout")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels built from this checkout")
    options = parser.parse_args(arguments)
    installation = Installation(options.folder)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, installation.interrupt)
    try:
        installation.run(options.lock, options.editable, options.wheels)
    except (InstallFailed, OSError) as error:
        with suppress(OSError):  # the terminal may be closed
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
