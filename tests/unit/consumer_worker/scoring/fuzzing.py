"""Files broken at random, and the check that each of them still ends in a typed outcome."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from consumer_worker.scoring import ScoringFailed, ScoringLimits, ScoringRequest, score_file
from consumer_worker.scoring.parquet import SCORES_PARQUET
from ml_models.runtime import ChurnModel
from tests.unit.consumer_worker.scoring.corpus import ODD_FILES

SEEDS = tuple(odd.content for odd in ODD_FILES if 0 < len(odd.content) < 100_000)
TOKENS = (
    b'"', b'""', b"'", b",", b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\\", b" ", b"-",
    b"\x00", b"\xff", b"\xe4", b"\xef\xbb\xbf", "ü€".encode(), "日本".encode(),
    b"=1+1", b"1e999", b"nan", b"inf", b"-1", b"1.234,56", b"12 %", b"N/A", b"9" * 30,
    b"x" * 5000, b'"' + b"\n" * 300, b"tenure", b"customerID", b"rejected_row",
)  # fmt: skip


def break_file(seed: int) -> bytes:
    """Make a file from the corpus with one to eight faults; the same seed gives the same file."""
    draw = random.Random(seed)
    content = draw.choice(SEEDS)
    for _ in range(draw.randint(1, 8)):
        content = draw.choice(_FAULTS)(content, draw)
    return content


def _insert(content: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(content))
    return content[:at] + draw.choice(TOKENS) + content[at:]


def _flip(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return content
    at = draw.randrange(len(content))
    return content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    return content[:start] + content[start + draw.randint(0, 300) :]


def _truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randint(0, len(content))]


def _shuffle_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def _repeat_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[:1] + lines[1:] * draw.randint(2, 8))


def _replace(content: bytes, draw: random.Random) -> bytes:
    return content.replace(draw.choice(TOKENS), draw.choice(TOKENS), draw.choice((1, 5, -1)))


def _encode(content: bytes, draw: random.Random) -> bytes:
    return content.decode("latin-1").encode(draw.choice(("utf-8", "utf-16", "utf-16-be", "utf-8-sig")))


_FAULTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _insert, _insert, _insert, _flip, _flip, _cut, _truncate, _shuffle_lines, _repeat_lines, _replace, _encode
)  # fmt: skip


def score_broken_file(seed: int, model: ChurnModel) -> str:
    """Score the file of a seed, check what came out and return its outcome; anything untyped is raised."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "upload"
        content = break_file(seed)
        source.write_bytes(content)
        # Every other file in some twenty blocks, the rest in one.
        limits = ScoringLimits(block_bytes=max(500, len(content) // 20) if seed % 2 else 1 << 20)
        request = ScoringRequest(uuid.UUID(int=seed), "0" * 64)
        try:
            report = score_file(source, folder, model, request, limits=limits, cancelled=threading.Event())
        except ScoringFailed as failed:
            return failed.code.value
        scores = pl.read_parquet(folder / SCORES_PARQUET)
        assert report.rows.total == report.rows.scored + report.rows.rejected > 0
        assert scores.height == report.rows.scored
        assert scores["churn_probability"].is_between(0, 1).all()
        assert not scores["row_number"].has_nulls()
        return "scored"


def score_broken_files(
    count: int, model: ChurnModel, on_progress: Callable[[], None] = lambda: None
) -> Counter[str]:
    """Score this many broken files and count the outcomes."""
    outcomes: Counter[str] = Counter()
    for seed in range(count):
        try:
            outcomes[score_broken_file(seed, model)] += 1
        except Exception as error:
            raise AssertionError(f"the broken file of seed {seed} ended without a typed outcome") from error
        on_progress()
    return outcomes
