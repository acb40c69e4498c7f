"""No package imports a serialization format that can run code when it is loaded."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "producer_api", "consumer_worker", "ml_models", "deploy")
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def imported(source: str) -> Iterator[str]:
    """The top-level modules that a source file imports, by statement or by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"__import__", "import_module"}:
                yield str(node.args[0].value).partition(".")[0]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_no_source_imports_an_unsafe_format():
    assert len(sources()) > 20
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in sources()
        if (wrong := UNSAFE_MODULES.intersection(imported(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import json, joblib as j",
        "def f():\n    from joblib import load",
        "import importlib\nimportlib.import_module('pickle')",
        "__import__('dill.source')",
    ],
)
def test_unsafe_import_is_found(source):
    assert UNSAFE_MODULES.intersection(imported(source))
