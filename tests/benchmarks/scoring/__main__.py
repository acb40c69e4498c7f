"""Measure scoring a large file: `python -m tests.benchmarks.scoring`. The last line is JSON.

Every contender is a process of its own, so that its peak memory is its own, and they run one after the other.

ours    the whole pipeline in the worker's thread pool, all result files written, an event loop beside it
read    the limit: Polars reading the file, nothing else
model   the limit: ONNX Runtime scoring rows that are read already, one thread
peer    the usual way: pandas, one-hot columns, LightGBM, tree SHAP (its own implementation), on 20,000 rows

The customers are made from the training statistics of the model's card and resampled, in 21 columns; with
`--data` they are resampled from your own file instead.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from consumer_worker.scoring import ScoringRequest, results, score, score_file, source
from consumer_worker.scoring_pool import LARGE_FILE_BYTES, ScoringPool
from ml_models.card import CategoricalFeature, NumericFeature
from ml_models.runtime import ChurnModel, load_model

MODEL = "telco-churn@1.0.0"
ROWS = 1_000_000
PEER_ROWS = 20_000
DIFFERENT_CUSTOMERS = 7_043
MODEL_CHUNK_ROWS = 60_000
LOOP_TICK_SECONDS = 0.002

Figures = dict[str, Any]
console = Console(stderr=True)


def make_customers(model: ChurnModel, count: int, draw: np.random.Generator) -> pl.DataFrame:
    """Draw customers distributed as the card says, in the 21 columns of the training data."""
    columns: dict[str, Any] = {"customerID": [f"{n:04}-ABCDE" for n in range(count)]}
    for feature in model.card.features:
        columns[feature.name] = _draw(feature, count, draw)
    columns["gender"] = draw.choice(["Female", "Male"], count)
    columns["SeniorCitizen"] = draw.choice(["0", "1"], count)
    columns["Partner"] = draw.choice(["Yes", "No"], count)
    columns["Dependents"] = draw.choice(["Yes", "No"], count)
    columns["TotalCharges"] = np.round(columns["tenure"] * columns["MonthlyCharges"], 2)
    columns["Churn"] = draw.choice(["Yes", "No"], count)
    return pl.DataFrame(columns)


def _draw(feature: NumericFeature | CategoricalFeature, count: int, draw: np.random.Generator) -> Any:
    shares = np.asarray(feature.statistics.shares)
    bins = draw.choice(len(shares), count, p=shares / shares.sum())
    if isinstance(feature, CategoricalFeature):
        return np.asarray(feature.categories)[bins]
    edges = np.array([feature.statistics.min, *feature.statistics.edges, feature.statistics.max])
    decimals = 0 if feature.unit == "months" else 2
    return np.round(draw.uniform(edges[bins], edges[bins + 1]), decimals)


def write_file(path: Path, customers: pl.DataFrame, rows: int, draw: np.random.Generator) -> None:
    """Resample customers into a file, each row with an id of its own."""
    with path.open("wb") as file:
        for start in range(0, rows, MODEL_CHUNK_ROWS):
            count = min(MODEL_CHUNK_ROWS, rows - start)
            chunk = customers[draw.integers(0, customers.height, count)]
            ids = pl.int_range(start, start + count, eager=True).cast(pl.String).str.zfill(7)
            chunk = chunk.with_columns((ids + "-ABCDE").alias(customers.columns[0]))
            chunk.write_csv(file, include_header=start == 0)


def measure_ours(path: Path) -> Figures:
    """Score the file as the worker does, and measure how long the event loop is blocked."""
    model = load_model(MODEL)
    before = _peak_rss_mb()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, _stage_clock() as stages:
        request = ScoringRequest(uuid.UUID(int=1), "0" * 64)

        def run(cancelled: threading.Event) -> Any:
            return score_file(path, Path(folder), model, request, cancelled=cancelled)

        started, started_cpu = time.perf_counter(), time.process_time()
        report, stall = asyncio.run(_beside_a_loop(run))
        seconds = time.perf_counter() - started
        cpu_seconds = time.process_time() - started_cpu
        written = sum(file.size_bytes for file in report.files)
    return {
        "rows": report.rows.total,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rows_per_s": report.rows.total / seconds,
        "stage_seconds": {name: round(spent, 3) for name, spent in stages.items()},
        "loaded_rss_mb": before,
        "loop_stall_ms_max": stall * 1000,
        "written_mb": written / 1e6,
    }


async def _beside_a_loop(run: Callable[[threading.Event], Any]) -> tuple[Any, float]:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(LOOP_TICK_SECONDS)
            longest = max(longest, time.perf_counter() - asked - LOOP_TICK_SECONDS)

    pool = ScoringPool(2)
    ticking = asyncio.create_task(tick())
    try:
        report = await pool.run(run, size_bytes=LARGE_FILE_BYTES, is_large=True)
    finally:
        ticking.cancel()
        pool.close()
    return report, longest


@contextmanager
def _stage_clock() -> Iterator[Counter[str]]:
    """Time the stages; writing is in a thread beside the others."""
    spent: Counter[str] = Counter()

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[stage] += time.perf_counter() - started  # type: ignore[assignment]  # seconds

        return call

    places: tuple[tuple[str, Any, str], ...] = (
        ("open", score, "open_source"),
        ("read", source.Source, "_read"),
        ("map", score, "read_values"),
        ("reject", score, "find_rejections"),
        ("model", ChurnModel, "predict"),
        ("reasons", score, "find_reasons"),
        ("write", results.ResultWriter, "_write_scores"),
        ("finish", results.ResultWriter, "finish"),
    )
    patches = [patch.object(place, name, timed(stage, getattr(place, name))) for stage, place, name in places]
    for each in patches:
        each.start()
    try:
        yield spent
    finally:
        for each in patches:
            each.stop()


def measure_read(path: Path) -> Figures:
    """Read the file with Polars and do nothing with it."""
    started = time.perf_counter()
    rows = pl.read_csv(path, infer_schema=False).height
    seconds = time.perf_counter() - started
    return {"rows": rows, "seconds": seconds, "rows_per_s": rows / seconds}


def measure_model(rows: int) -> Figures:
    """Score rows that are read already."""
    model = load_model(MODEL)
    draw = np.random.default_rng(1)
    width = [len(f.categories) if f.kind == "categorical" else 72 for f in model.card.features]
    chunk = draw.integers(0, width, (MODEL_CHUNK_ROWS, len(width))).astype(np.float32)
    model.predict(chunk)
    started = time.perf_counter()
    done = 0
    while done < rows:
        model.predict(chunk)
        done += len(chunk)
    seconds = time.perf_counter() - started
    return {"rows": done, "seconds": seconds, "rows_per_s": done / seconds}


def measure_peer(path: Path) -> Figures:
    """Score as a notebook does; the training before it is not counted."""
    # Not imported above: what they take would count as our memory.
    import lightgbm
    import pandas as pd

    features = [feature.name for feature in load_model(MODEL).card.features]
    training = pd.get_dummies(pd.read_csv(path, nrows=DIFFERENT_CUSTOMERS)[features])
    label = training["tenure"] + np.random.default_rng(1).normal(0, 20, len(training)) < 20
    classifier = lightgbm.LGBMClassifier(n_estimators=200, verbose=-1).fit(training, label)
    started = time.perf_counter()
    frame = pd.read_csv(path, nrows=PEER_ROWS)
    encoded = pd.get_dummies(frame[features]).reindex(columns=training.columns, fill_value=0)
    probability: Any = classifier.predict_proba(encoded)
    contributions: Any = classifier.predict(encoded, pred_contrib=True)
    effects = contributions[:, :-1]  # the last column is the intercept
    top = np.argsort(-np.abs(effects), axis=1)[:, :3]
    result = pd.DataFrame({"customer_id": frame["customerID"], "churn_probability": probability[:, 1]})
    for rank in range(3):
        result[f"reason_{rank + 1}"] = encoded.columns.to_numpy()[top[:, rank]]
        result[f"reason_{rank + 1}_effect"] = effects[np.arange(len(effects)), top[:, rank]]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        result.to_csv(Path(folder) / "scores.csv", index=False)
    seconds = time.perf_counter() - started
    return {"rows": len(frame), "seconds": seconds, "rows_per_s": len(frame) / seconds}


def _peak_rss_mb() -> float:
    # Not getrusage: a process inherits the peak of the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Make the file, run the contenders one after the other, report."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--data", type=Path, help="a CSV file to resample, its first column the id")
    options.add_argument("--contender", choices=["ours", "read", "model", "peer"], help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.contender:
        measure: dict[str, Callable[[], Figures]] = {
            "ours": lambda: measure_ours(given.file),
            "read": lambda: measure_read(given.file),
            "model": lambda: measure_model(given.rows),
            "peer": lambda: measure_peer(given.file),
        }
        figures = measure[given.contender]()
        print(json.dumps({**figures, "peak_rss_mb": _peak_rss_mb()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.csv"
        draw = np.random.default_rng(20_261_123)
        console.print(f"making {given.rows:,} customers…")
        customers = (
            pl.read_csv(given.data, infer_schema=False)
            if given.data
            else make_customers(load_model(MODEL), DIFFERENT_CUSTOMERS, draw)
        )
        write_file(path, customers, given.rows, draw)
        size_mb = path.stat().st_size / 1e6
        figures_of = {}
        for contender in ("read", "ours", "model", "peer"):
            console.print(f"measuring {contender}…")
            figures_of[contender] = _in_a_process(contender, path, given.rows)
    _report(figures_of, size_mb)


def _in_a_process(contender: str, path: Path, rows: int) -> Figures:
    command = [sys.executable, "-m", "tests.benchmarks.scoring"]
    arguments = ["--contender", contender, "--file", str(path), "--rows", str(rows)]
    run = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(run.stdout.splitlines()[-1])
    return figures


def _report(figures_of: dict[str, Figures], size_mb: float) -> None:
    table = Table("contender", "rows", "seconds", "rows/s", "peak MB")
    for contender, figures in figures_of.items():
        table.add_row(
            contender,
            f"{figures['rows']:,}",
            f"{figures['seconds']:.2f}",
            f"{figures['rows_per_s']:,.0f}",
            f"{figures['peak_rss_mb']:.0f}",
        )
    console.print(table)
    ours, read, peer = (figures_of[name] for name in ("ours", "read", "peer"))
    line = {
        "rows": ours["rows"],
        "input_mb": round(size_mb, 1),
        "written_mb": round(ours["written_mb"], 1),
        "rows_per_s": round(ours["rows_per_s"]),
        "seconds": round(ours["seconds"], 2),
        "cpu_seconds": round(ours["cpu_seconds"], 2),
        "stage_seconds": ours["stage_seconds"],
        "peak_rss_mb": round(ours["peak_rss_mb"]),
        "loaded_rss_mb": round(ours["loaded_rss_mb"]),
        "loop_stall_ms_max": round(ours["loop_stall_ms_max"], 1),
        "ratio_to_peer": round(ours["rows_per_s"] / peer["rows_per_s"], 1),
        "ratio_to_read_alone": round(ours["rows_per_s"] / read["rows_per_s"], 3),
        "ratio_to_model_alone": round(ours["rows_per_s"] / figures_of["model"]["rows_per_s"], 3),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
