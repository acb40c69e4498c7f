"""The import contracts in the root pyproject.toml hold, and each of them can fail."""

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
ALONE = "the engine and the scoring import nothing else of the worker"


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


def lint_imports_with(folder, package, source):
    """Lint the copy with one more module in a package."""
    planted = folder.joinpath(*package.split("."), "planted.py")
    planted.write_text(source)
    try:
        return lint_imports(folder)
    finally:
        planted.unlink()


def test_imports_keep_their_contracts(copied_sources):
    linted = lint_imports(copied_sources)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("importer", "imported", "broken"),
    [
        ("producer_api", "consumer_worker.store", "the two services never import each other"),
        ("consumer_worker", "producer_api.database", "the two services never import each other"),
        ("ml_models", "retainwise_contracts.results", "imports run one way"),
        ("retainwise_contracts", "orjson", "contracts stand on pydantic alone"),
        ("producer_api", "ml_models.runtime", "the API maps columns and never scores"),
        ("producer_api", "onnxruntime", "the API maps columns and never scores"),
        ("producer_api.rows", "polars", "the API maps columns and never scores"),
        ("consumer_worker", "ml_models.training", "the worker does not train"),
        ("consumer_worker", "deploy.local", "imports run one way"),
        ("consumer_worker.sqs", "consumer_worker.store", ALONE),
        ("consumer_worker.sqs", "consumer_worker.scoring.source", ALONE),
        ("consumer_worker.sqs", "retainwise_contracts.envelope", "the engine is a library of its own"),
        ("consumer_worker.sqs", "ml_models.card", "the engine is a library of its own"),
        ("consumer_worker.scoring", "consumer_worker.objects", ALONE),
        ("consumer_worker.scoring", "consumer_worker.handler", ALONE),
        ("consumer_worker.scoring", "consumer_worker.sqs.backoff", ALONE),
        ("consumer_worker.scoring", "aiobotocore", "the scoring knows no queue, bucket or database"),
        ("consumer_worker.scoring", "asyncpg", "the scoring knows no queue, bucket or database"),
    ],
)
def test_forbidden_import_breaks_its_contract(copied_sources, importer, imported, broken):
    linted = lint_imports_with(copied_sources, importer, f"import {imported}\n")
    assert linted.returncode == 1
    assert broken in linted.stdout.partition("Broken contracts")[2]


def test_new_module_of_the_worker_must_be_added_to_the_contract(copied_sources):
    linted = lint_imports_with(copied_sources, "consumer_worker", "")
    assert linted.returncode == 1
    assert ALONE in linted.stdout.partition("Broken contracts")[2]
    assert "consumer_worker.planted" in linted.stdout
