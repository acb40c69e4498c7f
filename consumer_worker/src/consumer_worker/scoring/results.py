"""Writes the result files: scores as Parquet and CSV, the worklist, the rejected rows, and their manifest."""

import codecs
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.errors import ScoringFailed
from consumer_worker.scoring.parquet import (
    DATA_QUALITY,
    SCORES_PARQUET,
    WORKLIST_PARQUET,
    ParquetWriter,
    text_values,
)
from ml_models.card import CategoricalFeature, NumericFeature
from ml_models.intake.dialect import Dialect
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.formulas import BEGINS_A_CELL, DANGEROUS, DANGEROUS_THERE, HARMLESS
from retainwise_contracts.results import (
    REJECTED_COLUMNS,
    CsvFormat,
    FileDigest,
    QualityGrade,
    ResultFileName,
    ResultManifest,
    score_columns,
)

SCORES_CSV: ResultFileName = "scores.csv"
REJECTED_CSV: ResultFileName = "rejected.csv"
MANIFEST: ResultFileName = "manifest.json"

DECIMALS = 6
"""Decimal places in CSV. Parquet has the full precision."""

INPUTS_KNOWN = "inputs_known"

_PLACEHOLDER = "\U0010fffe"
"""Stands for the grade in `scores.csv` until it is known: not a character, and four bytes long as all
grades are. `escape` leaves it in no cell of a customer."""

_PIECE_BYTES = 1 << 20


def escape(text: pl.Expr) -> pl.Expr:
    """Put an apostrophe before what a spreadsheet would execute, so that it is shown as text."""
    runs = text.str.contains(f"^{DANGEROUS}") & ~text.str.contains(HARMLESS)
    within = text.str.replace_all(f"{BEGINS_A_CELL}{DANGEROUS_THERE}", "${1}'${2}")
    escaped = pl.when(runs).then("'" + within).otherwise(within)
    return escaped.str.replace_all(_PLACEHOLDER, "\N{REPLACEMENT CHARACTER}", literal=True).name.keep()


def unescape(texts: pl.Series) -> pl.Series:
    """Undo `escape`, for a `rejected.csv` of ours that is uploaded again."""
    within = texts.str.replace_all(f"{BEGINS_A_CELL}'{DANGEROUS_THERE}", "${1}${2}")
    return within.str.replace(f"^'{DANGEROUS}", "${1}")


def safe_frame(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Escape the cells of the named text columns."""
    return frame.with_columns(escape(pl.col(name)) for name in _suspects(frame, columns))


def _safe_scores(frame: pl.DataFrame, *, has_texts: bool) -> pl.DataFrame:
    """Escape the cells of the scores that contain text from the customer's file.

    Args:
        frame: the columns of `scores.csv`.
        has_texts: whether a value may be something else than a number or a category of the model.
    """
    values = [name for name in frame.columns if name.endswith("_value")] if has_texts else []
    suspects = _suspects(frame, ["customer_id", *values])
    # Besides the card's words, a reason's text has only the value, so checking the value is enough.
    texts = [f"{name.removesuffix('_value')}_text" for name in suspects if name in values]
    return frame.with_columns(escape(pl.col(name)) for name in [*suspects, *texts])


def _suspects(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return which of the text columns have something to escape."""
    anywhere = f"^{DANGEROUS}|{BEGINS_A_CELL}{DANGEROUS_THERE}|{_PLACEHOLDER}"
    suspect = frame.select(pl.col(columns).str.contains(anywhere).any()).row(0)
    return [name for name, is_suspect in zip(columns, suspect, strict=True) if is_suspect]


def csv_format(dialect: Dialect) -> CsvFormat:
    """Return how to write CSV for who uploaded a file: as its own spreadsheet does."""
    # Where the comma is the decimal separator, spreadsheets split at semicolons only.
    is_ambiguous = dialect.decimal == "," and dialect.delimiter == ","
    return CsvFormat(delimiter=";" if is_ambiguous else dialect.delimiter, decimal=dialect.decimal)


class ResultWriter:
    """Writes the result files chunk by chunk into a folder, in a thread, while the next chunk is scored."""

    def __init__(
        self,
        folder: Path,
        parts: Path,
        *,
        reasons: int,
        headers: Sequence[str],
        csv: CsvFormat,
        features: Sequence[NumericFeature | CategoricalFeature],
        max_bytes: int,
    ) -> None:
        """Open the files.

        Args:
            folder: where the result files are written.
            parts: an empty folder for the time being.
            reasons: number of reasons per customer.
            headers: the original columns of `rejected.csv`.
            csv: how CSV is written.
            features: the model's features.
            max_bytes: the most that the files and their parts may take up.
        """
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results")
        self._writing: Future[None] | None = None
        self._csv = csv
        self._features = features
        self._numeric = sorted(feature.name for feature in features if feature.kind == "numeric")
        self._max_bytes = max_bytes
        self._columns = [column.name for column in score_columns(reasons)]
        self._parquet = ParquetWriter(folder, parts, reasons=reasons, features=features)
        self._scores = (folder / SCORES_CSV).open("wb")
        self._scores.write(codecs.BOM_UTF8 + _csv_line(self._columns, csv.delimiter))
        self._rejected = (folder / REJECTED_CSV).open("wb")
        originals = safe_frame(pl.DataFrame({"header": headers}), ["header"]).to_series().to_list()
        rejected = [*originals, *(column.name for column in REJECTED_COLUMNS)]
        self._rejected.write(codecs.BOM_UTF8 + _csv_line(rejected, csv.delimiter))

    def close(self) -> None:
        """Close the files as they are."""
        self._thread.shutdown()
        self._scores.close()
        self._rejected.close()

    def write_scores(self, frame: pl.DataFrame) -> None:
        """Add scored rows. Waits until the rows before are written, which bounds the memory.

        Raises:
            ScoringFailed: the results are too large.
        """
        self._wait()
        self._writing = self._thread.submit(self._write_scores, frame)

    def _write_scores(self, frame: pl.DataFrame) -> None:
        self._parquet.add(frame)
        of_csv = frame.select(name for name in self._columns if name != DATA_QUALITY)
        graded = _safe_scores(of_csv, has_texts=bool(text_values(frame, self._features))).with_columns(
            pl.lit(_PLACEHOLDER).alias(DATA_QUALITY),
            # Few values, mostly round ones: as text they are written in a third of the time.
            pl.col(INPUTS_KNOWN).round(DECIMALS).cast(pl.String),
        )
        self._with_decimal_sign(graded).select(self._columns).write_csv(
            self._scores,
            include_header=False,
            float_precision=DECIMALS,
            separator=self._csv.delimiter,
            decimal_comma=self._csv.decimal == ",",
        )
        self._check_size()

    def _with_decimal_sign(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Write numbers that are text, the values of numeric features, with the file's decimal separator."""
        if self._csv.decimal == ".":
            return frame
        return frame.with_columns(
            pl.col(INPUTS_KNOWN).str.replace(".", ",", literal=True),
            *(
                pl.when(pl.col(name.removesuffix("_value")).is_in(self._numeric))
                .then(pl.col(name).str.replace(".", ",", literal=True))
                .otherwise(pl.col(name))
                .alias(name)
                for name in frame.columns
                if name.endswith("_value")
            ),
        )

    def _check_size(self) -> None:
        # The Parquet file is smaller than the parts it is made from.
        written = 2 * self._parquet.part_bytes + self._scores.tell() + self._rejected.tell()
        if written > self._max_bytes:
            raise ScoringFailed(
                FailureCode.RESULT_TOO_LARGE,
                f"The results and their parts take up more than {self._max_bytes:,} bytes, the limit.",
            )

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def write_rejected(self, frame: pl.DataFrame) -> None:
        """Add rejected rows: the original columns, then `REJECTED_COLUMNS`.

        Raises:
            ScoringFailed: the results are too large.
        """
        self._wait()
        text_columns = [name for name, kind in frame.schema.items() if kind == pl.String]
        safe_frame(frame, text_columns).write_csv(
            self._rejected, include_header=False, separator=self._csv.delimiter
        )
        self._check_size()

    def finish(self, grade: QualityGrade, worklist: NDArray[np.int64]) -> tuple[FileDigest, ...]:
        """Complete the files and return their digests.

        Args:
            grade: the file's grade.
            worklist: positions of the rows of the worklist among all scored rows, in rising order.
        """
        self._wait()
        self._scores.close()
        self._rejected.close()
        graded = self._thread.submit(self._grade_csv, grade)
        rejected = self._thread.submit(digest, self._folder, REJECTED_CSV)
        self._parquet.finish(grade, worklist)
        return (
            digest(self._folder, SCORES_PARQUET),
            graded.result(),
            rejected.result(),
            digest(self._folder, WORKLIST_PARQUET),
        )

    def _grade_csv(self, grade: QualityGrade) -> FileDigest:
        """Write the grade into `scores.csv` in place, and return the file's digest."""
        placeholder, written = _PLACEHOLDER.encode(), grade.value.encode()
        content = hashlib.sha256()
        with (self._folder / SCORES_CSV).open("r+b") as file:
            done = 0
            held = b""
            while piece := file.read(_PIECE_BYTES):
                text = (held + piece).replace(placeholder, written)
                # The next piece may begin within a placeholder.
                ready, held = text[: 1 - len(placeholder)], text[1 - len(placeholder) :]
                _overwrite(file, done, ready)
                content.update(ready)
                done += len(ready)
                file.seek(done + len(held))
            _overwrite(file, done, held)
            content.update(held)
        return FileDigest(name=SCORES_CSV, size_bytes=done + len(held), sha256=content.hexdigest())


def _overwrite(file: BinaryIO, position: int, text: bytes) -> None:
    file.seek(position)
    file.write(text)


def write_manifest(folder: Path, manifest: ResultManifest) -> FileDigest:
    """Write the manifest and return its digest."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return digest(folder, MANIFEST)


@cache
def library_versions() -> Mapping[str, str]:
    """Return the versions of what computes the scores; cached, as reading them takes as long as 100 rows."""
    names = ("retainwise-consumer-worker", "retainwise-ml-models", "numpy", "onnxruntime", "polars")
    return {name: version(name) for name in names}


def digest(folder: Path, name: ResultFileName) -> FileDigest:
    """Return the size and SHA-256 of a result file."""
    content = hashlib.sha256()
    with (folder / name).open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            content.update(piece)
    return FileDigest(name=name, size_bytes=(folder / name).stat().st_size, sha256=content.hexdigest())


def _csv_line(cells: Sequence[str], delimiter: str) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
