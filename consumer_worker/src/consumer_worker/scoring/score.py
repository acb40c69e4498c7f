"""Scores a customer's file: one file in, result files out; in order from top to bottom.

All of it is synchronous and runs in a thread; Polars, NumPy and ONNX Runtime release the GIL while they work.
Memory is bounded by the block size, not by the file size.
"""

import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consumer_worker.scoring.customer_value import ValueTally
from consumer_worker.scoring.duplicates import DuplicateIds
from consumer_worker.scoring.errors import ScoringCancelled, ScoringFailed
from consumer_worker.scoring.parquet import score_frame
from consumer_worker.scoring.plausibility import ValueSample, find_implausible, is_empty
from consumer_worker.scoring.quality import (
    DAMAGED_ID,
    MAX_UNKNOWN,
    FileFacts,
    inputs_known,
    report_quality,
    tallies_for,
)
from consumer_worker.scoring.reasons import find_reasons
from consumer_worker.scoring.results import (
    ResultWriter,
    csv_format,
    library_versions,
    unescape,
    write_manifest,
)
from consumer_worker.scoring.rows import Rejections, find_other_header, find_rejections, rejected_rows
from consumer_worker.scoring.source import Source, Table, open_source
from consumer_worker.scoring.summary import (
    LEVELS,
    SummaryTally,
    mapped_columns,
    risk_positions,
    unused_columns,
)
from consumer_worker.scoring.values import (
    FeatureValues,
    Notation,
    NumericValues,
    gate_name,
    read_amounts,
    read_outcome,
    read_values,
)
from consumer_worker.scoring.worklist import Worklist
from ml_models.card import Card, CategoricalFeature
from ml_models.intake.categories import Meanings
from ml_models.intake.columns import (
    CUSTOMER_ID,
    IGNORED_HEADERS,
    ColumnMapping,
    InvalidMapping,
    MappingNeedsConfirmation,
    RequiredColumnsMissing,
    map_columns,
)
from ml_models.intake.disclosure import mask, printable
from ml_models.intake.encoding import GARBLED
from ml_models.runtime import ChurnModel
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.prediction_requested import CUSTOMER_VALUE, ModelReference, ValuePeriod
from retainwise_contracts.results import (
    MAX_WORKLIST_ROWS,
    ContentDigest,
    FileDigest,
    QualityGrade,
    ResultManifest,
    RowCounts,
    ScoringModel,
    SourceFormat,
    Summary,
    value_column,
)

MAX_REJECTED = 0.5
"""Share of the rows. If more are rejected, the file was probably misread and its scores would mislead."""


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What to score, besides the file itself."""

    prediction_id: UUID
    input_sha256: str
    """SHA-256 of the file, as verified by the download."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Feature name to header; it takes precedence over the automatic mapping."""
    reasons: int = 3
    """Number of reasons per customer."""
    confirmed: frozenset[str] = frozenset()
    """Features whose values the caller confirms as right, although they are not plausible."""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By feature: spelling in the file to category of the model; it takes precedence over the card's."""
    currency: str | None = None
    """Of what customers pay; only shown."""
    customer_value_period: ValuePeriod = "month"
    """What the column mapped as `CUSTOMER_VALUE` is paid for."""


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """Limits on one file's size and memory."""

    max_bytes: int = 2 << 30
    block_bytes: int = 8 << 20
    """Bytes read at a time: about 60,000 rows, which need about 220 MB of memory until they are written."""
    max_rows: int = 20_000_000
    """2 GiB of the training data's rows are 15 million. Shorter rows could be so many that their results,
    some 450 bytes a row, would not fit in `max_written_bytes`."""
    max_cells: int = 500_000_000
    """Rows times columns. 2 GiB of the training data are 311 million; more cells are mostly empty ones,
    which cost as much time as filled ones."""
    max_written_bytes: int = 8 << 30
    """Of result files and their parts. With the upload this is five times `max_bytes`, the space that
    `SCRATCH_DIRECTORY` needs."""


@dataclass(slots=True)
class ScoringProgress:
    """How far scoring has come: written between tables by whoever scores, read by any other thread."""

    rows: int = 0
    """Done, rejected ones included; not yet stored."""
    expected_rows: int = 0
    """Of the whole file, estimated from the length of those so far."""


@dataclass(frozen=True, slots=True)
class ScoringReport:
    """The outcome of one scoring. `files` are the result files in the destination, the manifest last."""

    rows: RowCounts
    summary: Summary
    manifest: ResultManifest
    files: tuple[FileDigest, ...]


def score_file(
    source: Path,
    destination: Path,
    model: ChurnModel,
    request: ScoringRequest,
    *,
    limits: ScoringLimits = ScoringLimits(),
    cancelled: threading.Event,
    progress: ScoringProgress | None = None,
) -> ScoringReport:
    """Score a customer's file.

    Args:
        source: the file as it was uploaded.
        destination: an existing folder; `scores.parquet`, `scores.csv`, `rejected.csv`, `worklist.parquet`
            and `manifest.json` are written there.
        model: the model to score with.
        request: what to score, and how.
        limits: limits on size and memory.
        cancelled: checked between blocks; once it is set, scoring stops.
        progress: kept up to date between blocks.

    Raises:
        ScoringFailed: the file cannot be scored; the error says why and what to do.
        ScoringCancelled: `cancelled` was set.
    """
    opened = open_source(source, max_bytes=limits.max_bytes)
    mapping = _map_columns(opened, model.card, request.mapping)
    _check_meanings(model.card, request.values)
    assumption: _Assumption | None = None
    while True:
        with (
            tempfile.TemporaryDirectory(dir=destination, prefix="parts-") as parts,
            closing(
                _Scoring(opened, mapping, model, request, limits, destination, Path(parts), assumption)
            ) as scoring,
        ):
            rows_done = 0
            for table in opened.tables(
                limits.block_bytes, max_rows=limits.max_rows, max_cells=limits.max_cells
            ):
                if cancelled.is_set():
                    raise ScoringCancelled
                scoring.add(table)
                rows_done += table.frame.height
                if progress is not None:
                    progress.rows, progress.expected_rows = rows_done, opened.expected_rows
            shown = scoring.assumption_of_whole_file()
            if assumption is None and shown != scoring.assumption:
                # The first rows were not like all rows: this is rare, so the rows are read a second time.
                assumption = shown
                continue
            summary = scoring.summary()
            if cancelled.is_set():
                raise ScoringCancelled
            files = scoring.finish(summary.quality.grade)
            break
    manifest = ResultManifest(
        prediction_id=request.prediction_id,
        input=ContentDigest(size_bytes=source.stat().st_size, sha256=request.input_sha256),
        model=ScoringModel(
            model=ModelReference(name=model.card.name, version=model.card.version),
            sha256=model.card.model_file.sha256,
        ),
        rows=scoring.rows(),
        csv=csv_format(opened.dialect),
        outputs=files,
        versions=library_versions(),
    )
    return ScoringReport(scoring.rows(), summary, manifest, (*files, write_manifest(destination, manifest)))


def _map_columns(source: Source, card: Card, explicit: Mapping[str, str]) -> ColumnMapping:
    try:
        return map_columns(source.dialect.headers, card, explicit)
    except MappingNeedsConfirmation as error:
        raise ScoringFailed(FailureCode.MAPPING_NEEDS_CONFIRMATION, str(error)) from error
    except RequiredColumnsMissing as error:
        raise ScoringFailed(FailureCode.REQUIRED_COLUMNS_MISSING, str(error)) from error
    except InvalidMapping as error:
        raise ScoringFailed(FailureCode.INVALID_MAPPING, str(error)) from error


def _check_meanings(card: Card, values: Mapping[str, Mapping[str, str]]) -> None:
    """Check that what the request says of spellings fits the model; what it says is the caller's own text.

    Raises:
        ScoringFailed: a feature has no categories, or not this one.
    """
    categories = {feature.name: feature.categories for feature in card.features if feature.kind != "numeric"}
    for name, meanings in values.items():
        if name not in categories:
            raise ScoringFailed(
                FailureCode.INVALID_MAPPING,
                f"The values name “{printable(name, 60)}”, which is not a feature with categories. "
                f"These are: {', '.join(categories)}.",
            )
        unknown = [category for category in meanings.values() if category not in categories[name]]
        if unknown:
            raise ScoringFailed(
                FailureCode.INVALID_MAPPING,
                f"The values of {name} name “{printable(unknown[0], 60)}”, which is not one of its "
                f"categories: {', '.join(categories[name])}.",
            )


@dataclass(frozen=True, slots=True)
class _Assumption:
    """What only all rows show, and the first ones let assume."""

    units: Mapping[str, str]
    """By feature with categories, the unit of its column's numbers."""
    has_outcome: bool
    """Whether the column found by its name says who has already left."""


class _Scoring:
    """The state of one file's scoring: tables are added one by one, then the results are completed."""

    def __init__(
        self,
        source: Source,
        mapping: ColumnMapping,
        model: ChurnModel,
        request: ScoringRequest,
        limits: ScoringLimits,
        destination: Path,
        parts: Path,
        assumption: _Assumption | None,
    ) -> None:
        """Begin with what is assumed of the file; None: what its first table shows."""
        self._dialect = source.dialect
        self._header_row = source.header_row
        self._unreadable_characters = source.unreadable_characters
        self._mapping = mapping
        self._factors = {name: column.factor for name, column in mapping.features.items()}
        self._meanings = {name: Meanings(categories) for name, categories in request.values.items()}
        self._given_assumption = assumption
        self._confirmed = request.confirmed
        self._model = model
        self._reasons = reasons = request.reasons
        headers = source.dialect.headers
        self._original_columns = [n for n, header in enumerate(headers) if header not in IGNORED_HEADERS]
        self._is_rejected_csv = len(self._original_columns) < len(headers)
        self._writer = ResultWriter(
            destination,
            parts,
            reasons=reasons,
            headers=[headers[position] for position in self._original_columns],
            csv=csv_format(source.dialect),
            features=model.card.features,
            max_bytes=limits.max_written_bytes,
        )
        self._ids = DuplicateIds(parts)
        self._quality = tallies_for(model.card)
        self._rejected_values = tallies_for(model.card)
        """Of rows that are rejected for the values of required columns."""
        self._samples = {name: ValueSample() for name in mapping.features}
        self._first_unknown: dict[str, int] = {}
        """By feature, the first row whose value is not known to the model."""
        self._outcome_present = 0
        self._outcome_unknown = 0
        self._summary = SummaryTally(model.card)
        self._worklist = Worklist(MAX_WORKLIST_ROWS)
        self._value = _value_tally(mapping, model.card, request)
        self._rejected: dict[str, _RejectedRows] = {}
        self._garbled_ids = 0
        self._damaged_ids = 0
        self._blank_rows = 0
        self._short_rows = 0

    def add(self, table: Table) -> None:
        """Score one table and write its results."""
        self._blank_rows += table.blank_rows
        row_numbers = table.row_numbers
        texts = table.frame.select(
            pl.col(str(column.position)).fill_null("").alias(column.feature)
            for column in self._mapping.columns
        )
        gates = {gate_name(name): column for name, column in self._mapping.gates.items()}
        texts = texts.with_columns(
            table.frame[str(column.position)].fill_null("").alias(name) for name, column in gates.items()
        )
        ids = texts[CUSTOMER_ID].str.strip_chars()
        if self._is_rejected_csv:
            ids = unescape(ids)
        notation = Notation(self._dialect.decimal, self._factors, self._units(texts), self._meanings)
        values = read_values(texts, self._model.card, notation)
        self._look_at_values(values, row_numbers)
        amounts = self._customer_values(table, values)
        left = self._left(table)
        rejections = find_rejections(table, ids, list(values.values()), self._mapping)
        scorable = rejections.scorable
        if not scorable.all():
            other_header = find_other_header(table, rejections, row_numbers, self._mapping)
            if other_header is not None:
                raise ScoringFailed(
                    FailureCode.NOT_A_CSV,
                    f"It has two tables: row {other_header:,} is another header, with other columns or in "
                    "another order. Save each table as a file of its own.",
                )
            self._reject(table, rejections, row_numbers)
            for name, of_rows in values.items():
                self._rejected_values[name].add(of_rows.filter(rejections.of_values))
            kept = pl.Series(scorable)
            ids, row_numbers = ids.filter(kept), row_numbers.filter(kept)
            values = {name: of_rows.filter(scorable) for name, of_rows in values.items()}
            amounts, left = amounts[scorable], left[scorable]
        self._short_rows += int(table.frame[self._last_column].is_null().to_numpy()[scorable].sum())
        self._score(ids, row_numbers, values, amounts, left)

    def _look_at_values(self, values: Mapping[str, FeatureValues], row_numbers: pl.Series) -> None:
        """Keep what is needed to name a column that is not plausible: of all rows, rejected or not."""
        for name in self._mapping.features:
            of_rows = values[name]
            if isinstance(of_rows, NumericValues):
                self._samples[name].add(of_rows.read)
                unknown = of_rows.out_of_range | ~(of_rows.known | of_rows.missing)
            else:
                unknown = of_rows.unknown
            if of_rows.feature.required:
                unknown = unknown | of_rows.missing
            if name not in self._first_unknown and unknown.any():
                self._first_unknown[name] = row_numbers[int(unknown.argmax())]

    @property
    def assumption(self) -> _Assumption:
        """What is assumed of the file since its first table."""
        return self._given_assumption or _Assumption({}, has_outcome=True)

    def _units(self, texts: pl.DataFrame) -> Mapping[str, str]:
        """Return the units of the numbers in columns of categories."""
        if self._given_assumption is None:
            units = {}
            for name, column in self._mapping.features.items():
                feature = self._model.card.feature(name)
                if isinstance(feature, CategoricalFeature) and feature.numbered:
                    counts = dict(texts[name].value_counts().iter_rows())
                    unit = column.unit or feature.unit_of(_frequent(counts, len(texts)))
                    if unit is not None:
                        units[name] = unit
            self._given_assumption = _Assumption(units, has_outcome=True)
        return self._given_assumption.units

    def _customer_values(self, table: Table, values: Mapping[str, FeatureValues]) -> NDArray[np.float64]:
        """Return what customers pay: `[rows]`, NaN where that is not known."""
        column = self._mapping.customer_value
        if column is not None:
            texts = table.frame[str(column.position)].fill_null("")
            return read_amounts(texts, self._dialect.decimal, column.factor)
        of_rows = values[self._value.feature] if self._value else None
        return of_rows.values if isinstance(of_rows, NumericValues) else np.full(table.frame.height, np.nan)

    def _left(self, table: Table) -> NDArray[np.bool_]:
        """Return which customers have already left: bool `[rows]`."""
        outcome, column = self._model.card.outcome, self._mapping.outcome
        if outcome is None or column is None or not self.assumption.has_outcome:
            return np.zeros(table.frame.height, np.bool_)
        values = read_outcome(table.frame[str(column.position)].fill_null(""), outcome)
        self._outcome_present += values.present
        self._outcome_unknown += values.unknown
        return values.left

    def assumption_of_whole_file(self) -> _Assumption:
        """Return what all rows show, after the last one."""
        units = {}
        for name, column in self._mapping.features.items():
            feature = self._model.card.feature(name)
            if isinstance(feature, CategoricalFeature) and feature.numbered:
                assumed = self.assumption.units.get(name)
                # The numbers that the assumed unit explains are read as categories; the others are unseen.
                explained = [unit.telling for unit in feature.numbered if unit.unit == assumed]
                numbers = [
                    *_frequent(self._quality[name].unseen_values, self._summary.rows),
                    *(number for some in explained for number in some),
                ]
                unit = column.unit or feature.unit_of(numbers)
                if unit is not None:
                    units[name] = unit
        misleading = self._outcome_unknown > MAX_UNKNOWN * self._outcome_present
        return _Assumption(units, has_outcome=self.assumption.has_outcome and not misleading)

    @property
    def _last_column(self) -> str:
        return str(len(self._dialect.headers) - 1)

    def _reject(self, table: Table, rejections: Rejections, row_numbers: pl.Series) -> None:
        for position, (cause, count) in enumerate(rejections.counts().items(), start=1):
            if cause.reason not in self._rejected:
                first = int(np.argmax(rejections.cause_of_row == position))
                cell = table.frame[str(cause.column.position)][first] if cause.column else None
                value = mask(cell or "")
                self._rejected[cause.reason] = _RejectedRows(int(row_numbers[first]), value, cause.hint)
            self._rejected[cause.reason].rows += count
        self._writer.write_rejected(
            rejected_rows(table, rejections, row_numbers, self._original_columns, self._dialect.delimiter)
        )

    def _score(
        self,
        ids: pl.Series,
        row_numbers: pl.Series,
        values: Mapping[str, FeatureValues],
        amounts: NDArray[np.float64],
        left: NDArray[np.bool_],
    ) -> None:
        scores = self._model.predict(np.stack([of_rows.encoded for of_rows in values.values()], axis=1))
        probability = scores.probability.astype(np.float64)
        known = inputs_known(values, self._model.card)
        reasons = find_reasons(scores.contributions, values, self._model.card, self._reasons)
        columns = {
            "row_number": row_numbers,
            "customer_id": ids,
            "churn_probability": pl.Series(probability),
            "risk_level": LEVELS[risk_positions(probability)],
            "inputs_known": pl.Series(known),
            "already_left": pl.Series(left),
            **reasons.columns(),
            **{value_column(name): of_rows.series for name, of_rows in values.items()},
            CUSTOMER_VALUE: pl.Series(amounts, nan_to_null=True),
        }
        self._writer.write_scores(score_frame(columns, self._reasons, self._model.card.features))
        self._worklist.add(probability, left)
        self._ids.add(ids)
        self._garbled_ids += int(ids.str.contains(GARBLED).sum())
        self._damaged_ids += int(ids.str.contains(DAMAGED_ID).sum())
        self._summary.add(scores, probability, row_numbers, ids, reasons, known, left)
        if self._value is not None:
            self._value.add(amounts, probability, left)
        for name, of_rows in values.items():
            self._quality[name].add(of_rows)

    def rows(self) -> RowCounts:
        """Count the rows.

        Raises:
            ScoringFailed: there are no rows, or more than `MAX_REJECTED` of them cannot be scored.
        """
        rejected = sum(of_cause.rows for of_cause in self._rejected.values())
        counts = RowCounts(total=self._summary.rows + rejected, scored=self._summary.rows, rejected=rejected)
        if not counts.total:
            raise ScoringFailed(FailureCode.NO_ROWS, "All rows below the header are blank.")
        if rejected > MAX_REJECTED * counts.total:
            causes = self._rejected_by_frequency()
            described = "; ".join(
                f"{reason}: {of_cause.rows:,}, first in row {of_cause.first_row:,}"
                + (f": “{of_cause.first_value}”" if of_cause.first_value else "")
                for reason, of_cause in causes
            )
            _, most_frequent = causes[0]
            raise ScoringFailed(
                FailureCode.TOO_MANY_BAD_ROWS,
                f"{rejected:,} of {counts.total:,} rows cannot be scored ({described}). {most_frequent.hint}",
            )
        return counts

    def _rejected_by_frequency(self) -> list[tuple[str, "_RejectedRows"]]:
        return sorted(self._rejected.items(), key=lambda item: (-item[1].rows, item[1].first_row))

    def _check_columns(self) -> None:
        """Check that the columns hold what the model was trained on.

        Raises:
            ScoringFailed: a required column is empty, or the values of a column are not plausible.
        """
        rejected = sum(of_cause.rows for of_cause in self._rejected.values())
        columns = [
            (self._quality[name].with_rows_of(self._rejected_values[name]), column)
            for name, column in self._mapping.features.items()
        ]
        empty = [column for tally, column in columns if tally.feature.required and is_empty(tally)]
        read = self._summary.rows + sum(int(tally.rows) for tally in list(self._rejected_values.values())[:1])
        if 2 * read <= self._summary.rows + rejected:
            return  # most rows are rejected for other reasons, which say more
        if empty:
            named = ", ".join(f"“{printable(column.header, 60)}” ({column.feature})" for column in empty)
            raise ScoringFailed(
                FailureCode.REQUIRED_COLUMNS_MISSING,
                f"These columns are empty in all rows: {named}. "
                "Fill them in, or map other columns in the request's column mapping.",
            )
        for tally, column in columns:
            if column.feature not in self._confirmed:
                name = column.feature
                why = find_implausible(tally, column, self._samples[name], self._first_unknown.get(name))
                if why is not None:
                    raise ScoringFailed(FailureCode.IMPLAUSIBLE_VALUES, why)

    @property
    def _ignored_outcome(self) -> str | None:
        is_ignored = self._mapping.outcome is not None and not self.assumption.has_outcome
        return self._mapping.outcome.header if is_ignored and self._mapping.outcome else None

    def summary(self) -> Summary:
        """Summarise all rows; call it after the last table was added.

        Raises:
            ScoringFailed: as `rows`, or a column does not hold what the model was trained on.
        """
        self._check_columns()
        rows = self.rows()
        duplicate_ids, duplicate_rows = self._ids.count()
        facts = FileFacts(
            total_rows=rows.total,
            rejected_rows=rows.rejected,
            rejected_by={reason: of_cause.rows for reason, of_cause in self._rejected_by_frequency()},
            blank_rows=self._blank_rows,
            short_rows=self._short_rows,
            duplicate_ids=duplicate_ids,
            duplicate_rows=duplicate_rows,
            encoding=self._dialect.encoding,
            unreadable_characters=self._unreadable_characters,
            garbled_ids=self._garbled_ids,
            damaged_ids=self._damaged_ids,
            already_left=self._summary.already_left,
            outcome_unknown=self._outcome_unknown,
            ignored_outcome=self._ignored_outcome,
        )
        return Summary(
            mean_probability=self._summary.mean_probability,
            expected_churners=self._summary.expected_churners,
            risk_distribution=self._summary.risk_distribution,
            already_left=self._summary.already_left,
            drivers=self._summary.drivers,
            highest_risk=self._summary.highest_risk,
            quality=report_quality(self._quality, facts, self._mapping, self._model.card),
            mapping=mapped_columns(self._mapping),
            unused_columns=unused_columns(self._mapping),
            source=SourceFormat(
                encoding=self._dialect.encoding,
                delimiter=self._dialect.delimiter,
                header_row=self._header_row,
            ),
            value=self._value.summary() if self._value else None,
            histogram=self._summary.histogram,
        )

    def finish(self, grade: QualityGrade) -> tuple[FileDigest, ...]:
        """Complete the result files with the file's grade and return their digests."""
        return self._writer.finish(grade, self._worklist.positions())

    def close(self) -> None:
        """Close all files, complete or not."""
        self._writer.close()
        self._ids.close()


def _value_tally(mapping: ColumnMapping, card: Card, request: ScoringRequest) -> ValueTally | None:
    """Return where to add up what customers pay; None if the file does not say."""
    if mapping.customer_value is not None:
        return ValueTally(CUSTOMER_VALUE, request.customer_value_period, request.currency)
    default = card.customer_value
    if default is None or default.feature not in mapping.features:
        return None
    return ValueTally(default.feature, default.period, request.currency)


def _frequent(counts: Mapping[str, int], rows: int) -> list[str]:
    """Return the texts in at least one of a hundred rows: a rare one is no proof of what a column holds."""
    return [text for text, count in counts.items() if 100 * count >= rows]


@dataclass(slots=True)
class _RejectedRows:
    """Rows rejected for one reason."""

    first_row: int
    first_value: str
    """The cell there, masked; empty if the row as a whole is at fault."""
    hint: str
    """What to do about them."""
    rows: int = 0
