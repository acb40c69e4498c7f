"""Debian's Chromium, as the tests run it; `python -m tests.browser.chromium` installs what is missing."""

import os
import shutil
import subprocess
import sys

PROGRAM = "chromium"

ARGUMENTS = (
    "--no-sandbox",  # root may run it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # It would look up its maker's hosts, and the tests count every request that leaves this machine.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class ChromiumMissing(Exception):
    """There is no Chromium and it cannot be installed; the text says what to do."""


def find_chromium() -> str:
    """Return the path of the program.

    Raises:
        ChromiumMissing: it is not installed.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise ChromiumMissing("Chromium is not installed: run `apt-get install chromium` as root")
    return path


def install() -> None:
    """Install Chromium from Debian's packages if it is missing.

    Raises:
        ChromiumMissing: this is no Debian, this user may not, or the packages cannot be fetched.
    """
    if shutil.which(PROGRAM):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ChromiumMissing(
            "The console's tests need Chromium, and only root on Debian can have it installed here. "
            "Install it as `chromium`, so that it is in the PATH, and run this again"
        )
    print("Installing Chromium (once)…", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", PROGRAM]):
        done = subprocess.run(
            ["apt-get", "--quiet", "--quiet", *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise ChromiumMissing(f"Chromium cannot be installed: `apt-get {' '.join(command)}` failed")


if __name__ == "__main__":
    try:
        install()
    except ChromiumMissing as error:
        sys.exit(f"error: {error}")
