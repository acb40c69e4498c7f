"""What may be installed: locked versions with hashes, wheels alone, allowed licences, no named registry."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from deploy.environment import BOOTSTRAP_LOCK
from deploy.licences import LICENCES, LOCKS, find_forbidden, find_licences, list_licences, read_locks

ROOT = Path(__file__).parents[2]
REGISTRY = re.compile(
    "|".join(("py" + "pi", "python" + "hosted", "index" + "-url", "find" + "-links")), re.IGNORECASE
)


def read_pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def installed(environment: Path) -> dict[str, str]:
    (folder,) = environment.glob("lib/python*/site-packages")
    return {found.name.lower(): found.version for found in distributions(path=[str(folder)])}


def install(lock: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an installation into this environment with a folder as registry; pip only says what it would do."""
    return subprocess.run(
        [sys.executable, "deploy/environment.py", sys.prefix, "--lock", lock],
        cwd=ROOT,
        env=os.environ | {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def create_wheel(folder: Path) -> Path:
    wheel = folder / "planted-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "planted-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n"
        )
        archive.writestr(
            "planted-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("planted-1.0.dist-info/RECORD", "")
    return wheel


def write_lock(folder: Path, *hashed: Path) -> Path:
    hashes = " ".join(f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in hashed)
    lock = folder / "planted.lock"
    lock.write_text(f"planted==1.0 {hashes}\n")
    return lock


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(name):
    requirements = re.sub(r"\\\n", " ", (ROOT / name).read_text(encoding="utf-8")).splitlines()
    requirements = [line for line in requirements if line.strip() and not line.lstrip().startswith("#")]

    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ *]+ ", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement), requirement


async def test_every_environment_has_the_pinned_installers(emulator_environment):
    pins = read_pins(BOOTSTRAP_LOCK)

    assert set(pins) == {"pip", "setuptools"}
    for environment in (Path(sys.prefix), emulator_environment):
        assert pins.items() <= installed(environment).items()


def test_installation_takes_a_wheel_with_the_locked_hash(tmp_path):
    done = install(write_lock(tmp_path, create_wheel(tmp_path)), tmp_path)

    assert done.returncode == 0, done.stderr


def test_installation_refuses_a_wheel_with_another_hash(tmp_path):
    lock = write_lock(tmp_path, create_wheel(tmp_path))
    lock.write_text(re.sub("sha256:.", "sha256:", lock.read_text()).rstrip() + "0\n")
    done = install(lock, tmp_path)

    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_installation_refuses_a_package_without_a_hash(tmp_path):
    create_wheel(tmp_path)
    done = install(write_lock(tmp_path), tmp_path)

    assert done.returncode == 1
    assert "Hashes are required" in done.stderr


def test_installation_never_runs_a_source_archive(tmp_path):
    archive = tmp_path / "planted-1.0.tar.gz"
    archive.write_bytes(b"")
    done = install(write_lock(tmp_path, archive), tmp_path)

    assert done.returncode == 1
    assert "No matching distribution found for planted==1.0" in done.stderr


def test_every_installation_goes_through_the_one_script():
    """Another `pip install` would have other rules."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    others = [
        path
        for folder in ("deploy", "contracts", "ml_models", "producer_api", "consumer_worker")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "environment.py"
        and re.search(r'"(?:pip|ensurepip|venv)"', path.read_text(encoding="utf-8"))
    ]

    assert not re.search(r"\b(?:pip install|pip sync|ensurepip|-m venv)\b", makefile)
    assert others == []


async def test_list_of_licences_is_current(emulator_environment):
    """`make licences` writes it."""
    found = find_licences([Path(sys.prefix), emulator_environment])

    assert LICENCES.read_text(encoding="utf-8") == list_licences(read_locks(), found)


def test_every_licence_is_allowed():
    assert find_forbidden(LICENCES.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("licence", ["", "GPL-3.0-only", "MIT AND AGPL-3.0-or-later", "MIT / Proprietary"])
def test_unknown_licence_is_reported(licence):
    listed = list_licences({"odd": ("run time", {"1.0"})}, {"odd": {licence}})

    assert find_forbidden(listed) == [f"odd: {licence or 'no licence is known'}"]


def test_no_file_names_a_package_registry():
    made_here = {
        ".git",
        ".venv",
        ".local",
        "node_modules",
        *(path.name for path in ROOT.glob(".*_cache")),
        "__pycache__",
    }
    files = [
        path
        for top in ROOT.iterdir()
        if top.name not in made_here
        for path in (top.rglob("*") if top.is_dir() else [top])
        if path.is_file() and not made_here.intersection(path.parts)
    ]
    naming = [path for path in files if REGISTRY.search(path.read_text(encoding="utf-8", errors="replace"))]

    assert len(files) > 100
    assert naming == []
