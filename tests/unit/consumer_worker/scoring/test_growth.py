"""Everything that sees a cell takes time in proportion to its length, whatever is in the cell."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from consumer_worker.scoring.results import safe_frame, unescape
from consumer_worker.scoring.shift import tolerated_surplus
from consumer_worker.scoring.source import Source, open_source
from ml_models.intake.disclosure import mask, mask_if_personal, printable
from ml_models.intake.numbers import NotANumber, is_missing, parse_number
from ml_models.runtime import ChurnModel

SHORT = 4_000
"""Characters. Four times as many may take four times as long, and far less than the sixteen of a square."""

TIMES = 4
MAX_GROWTH = 10
NEGLIGIBLE_SECONDS = 0.02
"""What takes no longer than this at the greater size is not quadratic: then it would take seconds."""

PIECES = (
    " ", "1", "9,", "1.", "1,2", "1 ", "-", "+", "(", "$", "€", "USD", "kr.", "'", '"', '""', '" ', ",=",
    ";\0",
    ",\"", "\t=", "|'", "=", "@", "\n", "\r", "\u00a0", "e1", "1e", "%", ".", "x", "é",
    "\uff1d", "\U0010fffe",
)  # fmt: skip
FRAMES = (
    ("", ""),
    ("-1", "x"),
    ("-", "!"),
    ("$", "€"),
    ("(", ")"),
    ('"', ""),
    ('"', '"'),
    ("1,", "%"),
    ("=", "x"),
)


def _parse(text: str) -> None:
    for decimal in (".", ","):
        with suppress(NotANumber):
            parse_number(text, decimal)


CELL_READERS: dict[str, Callable[[str], object]] = {
    "parse_number": _parse,
    "is_missing": is_missing,
    "mask": mask,
    "mask_if_personal": lambda text: mask_if_personal(text, 40),
    "printable": lambda text: printable(text, 200),
    "escape": lambda text: safe_frame(pl.DataFrame({"cell": [text]}), ["cell"]),
    "unescape": lambda text: unescape(pl.Series([text])),
    "tolerated_surplus": lambda text: tolerated_surplus([[text, text, text, ""]] * 20, 3),
}


def _repeated(piece: str, frame: tuple[str, str], size: int) -> str:
    return frame[0] + piece * (size // len(piece)) + frame[1]


def _seconds(function: Callable[[str], object], text: str) -> float:
    """Return the processor time of the quickest of three calls."""
    best = float("inf")
    for _ in range(3):
        started = time.thread_time()
        function(text)
        best = min(best, time.thread_time() - started)
    return best


def _is_quadratic(function: Callable[[str], object], text_of: Callable[[int], str]) -> bool:
    longer = _seconds(function, text_of(SHORT * TIMES))
    if longer <= NEGLIGIBLE_SECONDS:
        return False
    # A second look, at sizes where the time for anything but the text no longer counts.
    return _seconds(function, text_of(SHORT * TIMES * TIMES)) > MAX_GROWTH * longer


@pytest.mark.parametrize("name", CELL_READERS)
def test_time_grows_no_faster_than_the_cell(name: str):
    quadratic = [
        (piece, frame)
        for piece in PIECES
        for frame in FRAMES
        if _is_quadratic(CELL_READERS[name], partial(_repeated, piece, frame))
    ]
    assert not quadratic


def test_categories_of_the_card_are_read_in_linear_time(model: ChurnModel):
    features = [feature for feature in model.card.features if feature.kind == "categorical"]
    for piece in PIECES:
        for feature in features:
            assert not _is_quadratic(feature.category, partial(_repeated, piece, ("-1", "x")))


@pytest.mark.parametrize("piece", ['"', '"x', '"\n', "\n", '""', ',"', '\n"', "x", ",", "\r", '" '])
def test_time_grows_no_faster_than_the_file(tmp_path: Path, piece: str):
    def read(text: str) -> None:
        path = tmp_path / "upload"
        path.write_text("id,name,tenure\n" + "1,Ann,1\n" * 5 + text + "\n", newline="")
        _read_all(open_source(path, max_bytes=1 << 30))

    assert not _is_quadratic(read, lambda size: piece * (10 * size // len(piece)))


def _read_all(source: Source) -> None:
    for _ in source.tables(8 << 20, max_rows=1 << 30, max_cells=1 << 40):
        pass
