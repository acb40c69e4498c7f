"""Each file of the corpus is inspected as the worker reads it."""

import asyncio
import tempfile
from pathlib import Path

from ml_models.runtime import load_model
from tests.api.stack import ApiStack
from tests.files.corpus import corpus
from tests.files.inspection import find_differences
from tests.files.product import MODEL


async def run(_: ApiStack) -> dict[str, int]:
    """Compare all files."""
    differences = await asyncio.to_thread(_find_all)
    if differences:
        raise AssertionError(f"{len(differences)} inspections differ, such as {differences[:3]}")
    return {"files_inspected": len(corpus())}


def _find_all() -> list[str]:
    model = load_model(MODEL)
    differences = []
    for case in corpus():
        with tempfile.TemporaryDirectory() as folder:
            found = find_differences(case, model, Path(folder))
            differences += [f"{case.kind}, {case.name}: {difference}" for difference in found]
    return differences
