import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumer_worker.scoring import ScoringLimits, ScoringReport, ScoringRequest, score_file
from ml_models.runtime import ChurnModel, load_model

ScoreBytes = Callable[..., tuple[ScoringReport, Path]]


@pytest.fixture(scope="session")
def model() -> ChurnModel:
    return load_model("telco-churn@1.0.0")


@pytest.fixture
def score(model: ChurnModel, tmp_path: Path) -> ScoreBytes:
    """Score a file's content; returns the report and the folder of the results."""
    runs = iter(range(1_000_000))

    def score_bytes(
        content: str | bytes,
        *,
        mapping: dict[str, str] | None = None,
        reasons: int = 3,
        confirmed: frozenset[str] = frozenset(),
        block_bytes: int = ScoringLimits().block_bytes,
        max_bytes: int = ScoringLimits().max_bytes,
        max_written_bytes: int = ScoringLimits().max_written_bytes,
        cancelled: threading.Event | None = None,
        **options: Any,
    ) -> tuple[ScoringReport, Path]:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        source = folder / "upload"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        request = ScoringRequest(uuid.UUID(int=7), "ab" * 32, mapping or {}, reasons, confirmed, **options)
        limits = ScoringLimits(
            max_bytes=max_bytes, block_bytes=block_bytes, max_written_bytes=max_written_bytes
        )
        report = score_file(
            source, folder, model, request, limits=limits, cancelled=cancelled or threading.Event()
        )
        return report, folder

    return score_bytes
