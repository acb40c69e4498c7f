"""Score the corpus of customer files: `make check-files`. What failed comes first, the last line is JSON."""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from tests.files import product
from tests.files.check import Verdict, check
from tests.files.corpus import corpus
from tests.files.outcomes import Case

PROCESSES = 2
MIN_FILES = 200
"""A smaller corpus proves less than was promised."""

OUTCOMES = ("equal", "refused", "warned", "silently_wrong", "unclear")
_FAILED = ("silently_wrong", "unclear")
_MAX_TEXT = 600


def main() -> int:
    """Score them, show what failed, and return the exit status."""
    options = argparse.ArgumentParser(prog="python -m tests.files", description=__doc__)
    options.add_argument("--only", default="", help="cases whose kind or name holds this")
    options.add_argument("--write", type=Path, help="write the files to this folder instead of scoring them")
    chosen = options.parse_args()
    numbers = [
        n for n, case in enumerate(corpus()) if chosen.only.lower() in f"{case.kind} {case.name}".lower()
    ]
    if chosen.write:
        return _write(chosen.write, numbers)
    started = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        verdicts = list(pool.map(judge, numbers, chunksize=8))
    cases = [corpus()[n] for n in numbers]
    print(report(cases, verdicts))
    print(f"{len(numbers)} files in {time.perf_counter() - started:.0f} s")
    counts = count(verdicts)
    print(json.dumps(counts))
    return status(counts, whole=not chosen.only)


@cache
def _model() -> product.Model:
    return product.load()


def judge(number: int) -> Verdict:
    """Score the case of this number and compare."""
    case = corpus()[number]
    with tempfile.TemporaryDirectory() as folder:
        return check(case, product.score(case, _model(), Path(folder)), _model())


def count(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count the outcomes."""
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    return {"files": len(verdicts)} | {outcome: outcomes[outcome] for outcome in OUTCOMES}


def status(counts: Mapping[str, int], *, whole: bool) -> int:
    """Return 1 if a file ended wrong, or if the whole corpus is smaller than was promised."""
    too_few = whole and counts["files"] < MIN_FILES
    return int(too_few or any(counts[outcome] for outcome in _FAILED))


def report(cases: Sequence[Case], verdicts: Sequence[Verdict]) -> str:
    """Describe what failed, by kind: the case, what was expected, what came, and what the customer read."""
    lines = []
    by_kind: dict[str, Counter[str]] = {}
    kind = ""
    for case, verdict in zip(cases, verdicts, strict=True):
        by_kind.setdefault(case.kind, Counter())[verdict.outcome] += 1
        if verdict.outcome not in _FAILED:
            continue
        if case.kind != kind:
            kind = case.kind
            lines.append(f"\n== {kind}")
        lines.append(f"{verdict.outcome:<15} {case.name}")
        lines += [f"{'':<15}   {problem}" for problem in verdict.problems]
        lines.append(f"{'':<15}   read: {_shortened(verdict.text)}")
    lines.append("\n" + " " * 34 + "".join(f"{outcome:>16}" for outcome in OUTCOMES))
    for name, outcomes in by_kind.items():
        lines.append(f"{name:<34}" + "".join(f"{outcomes[outcome]:>16}" for outcome in OUTCOMES))
    return "\n".join(lines)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _write(folder: Path, numbers: Sequence[int]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        case = corpus()[number]
        name = re.sub(r"\W+", "-", f"{number:03} {case.kind} {case.name}").strip("-")[:100]
        (folder / f"{name}.csv").write_bytes(case.content)
    print(f"{len(numbers)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
