"""Score 10,000 files broken at random: `python -m tests.benchmarks.scoring.fuzz`. The last line is JSON."""

import argparse
import json
import time

from rich.console import Console
from rich.progress import Progress

from ml_models.runtime import load_model
from tests.unit.consumer_worker.scoring.fuzzing import score_broken_files


def main() -> None:
    """Score the files and report the outcomes; a file without a typed one stops the run with its seed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=10_000)
    files = options.parse_args().files
    started = time.perf_counter()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring broken files", total=files)
        outcomes = score_broken_files(files, load_model("telco-churn@1.0.0"), lambda: progress.advance(task))
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"files": files, "seconds": seconds, "outcomes": dict(outcomes.most_common())}))


if __name__ == "__main__":
    main()
