"""The rules of imports in the root pyproject.toml hold, and each of them can fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "retainwise_contracts": "contracts/src",
    "ml_models": "ml_models/src",
    "producer_api": "producer_api/src",
    "consumer_worker": "consumer_worker/src",
    "deploy": ".",
}


@pytest.fixture(scope="module")
def copied_sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    ignored = shutil.ignore_patterns("artifacts", "__pycache__", "*.lock")
    for package, source in PACKAGES.items():
        shutil.copytree(ROOT / source / package, folder / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder):
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_imports_run_one_way(copied_sources):
    linted = lint_imports(copied_sources)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("importer", "imported", "broken"),
    [
        ("producer_api", "consumer_worker.store", "the two services never import each other"),
        ("consumer_worker", "producer_api.store", "the two services never import each other"),
        ("ml_models", "retainwise_contracts.results", "imports run one way"),
        ("retainwise_contracts", "orjson", "contracts stand on pydantic alone"),
        ("producer_api", "ml_models.runtime", "the API maps columns and never scores"),
        ("producer_api", "onnxruntime", "the API maps columns and never scores"),
        ("consumer_worker", "ml_models.training", "the worker does not train"),
        ("consumer_worker", "deploy.local", "imports run one way"),
    ],
)
def test_a_forbidden_import_fails_the_lint(copied_sources, importer, imported, broken):
    planted = copied_sources / importer / "planted.py"
    planted.write_text(f"import {imported}\n")
    try:
        linted = lint_imports(copied_sources)
    finally:
        planted.unlink()
    assert linted.returncode == 1
    assert f"{broken}" in linted.stdout.partition("Broken contracts")[2]
