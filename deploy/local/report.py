"""What the demo shows of a prediction, as lines with rich's colours."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.text import Text

from deploy.local.client import Prediction, ResultLink
from retainwise_contracts.results import HIGH_FROM, MEDIUM_FROM, CustomerAtRisk, RiskLevel, Summary
from retainwise_contracts.status import PredictionStatus

CUSTOMERS_SHOWN = 5
REASONS_SHOWN = 3
BAR_WIDTH = 40  # characters, for all customers

_CONTENTS = {
    "scores.csv": "every customer's probability, risk level and reasons",
    "scores.parquet": "the same, for programs",
    "rejected.csv": "rows that could not be scored, and why",
    "manifest.json": "SHA-256 of the input, the model and the outputs",
}

_COLOURS = {RiskLevel.LOW: "green", RiskLevel.MEDIUM: "yellow", RiskLevel.HIGH: "red"}


def describe_status(prediction: Prediction) -> list[Text]:
    """Return a line for each status reached, with its time and the seconds since the request."""
    moments: list[tuple[PredictionStatus, datetime | None]] = [
        (PredictionStatus.QUEUED, prediction.requested_at),
        (PredictionStatus.RUNNING, prediction.started_at),
    ]
    if prediction.status.is_final:
        moments.append((prediction.status, prediction.finished_at))
    return [
        Text(
            f"{status:<10} {at:%H:%M:%S}.{at.microsecond // 1000:03d} UTC  "
            f"+{(at - prediction.requested_at).total_seconds():.2f} s"
        )
        for status, at in moments
        if at
    ]


def describe_result(prediction: Prediction) -> Iterator[Text]:
    """Yield the lines of a completed prediction: rows, data quality, risk, customers most at risk and why.

    The grade comes first: the figures below it can be trusted as far as it says.
    """
    rows, summary = prediction.rows, prediction.summary
    if rows is None or summary is None:
        raise ValueError("a completed prediction has rows and a summary")
    yield Text(f"\n{rows.total:,} rows: {rows.scored:,} scored, {rows.rejected:,} rejected")
    yield Text(f"\nData quality: {summary.quality.grade}", style="bold")
    for sentence in summary.quality.sentences:
        yield Text(f"  {sentence}")
    yield from _describe_risk(summary, rows.scored - summary.already_left)
    customers = summary.highest_risk[:CUSTOMERS_SHOWN]
    yield Text("\nMost at risk", style="bold")
    width = max((len(customer.customer_id) for customer in customers), default=0)
    for customer in customers:
        yield from _describe_customer(customer, width)


def describe_files(files: Sequence[ResultLink], folder: Path) -> Iterator[Text]:
    """Yield the lines that list the result files saved in `folder`, with sizes in bytes and contents."""
    yield Text(f"\nResults in {folder}", style="bold")
    for file in sorted(files, key=lambda file: [*_CONTENTS, file.name].index(file.name)):
        yield Text(f"  {file.name:<14} {file.size_bytes:>12,} bytes  {_CONTENTS.get(file.name, '')}".rstrip())


def _describe_risk(summary: Summary, customers: int) -> Iterator[Text]:
    """Yield the distribution over the customers who have not left, with the bounds of the levels."""
    distribution = summary.risk_distribution
    yield Text(
        f"\nChurn risk: about {summary.expected_churners:,.0f} of {customers:,} customers are expected to leave",
        style="bold",
    )
    for level, count, bounds in (
        (RiskLevel.HIGH, distribution.high, f"from {HIGH_FROM:.0%}"),
        (RiskLevel.MEDIUM, distribution.medium, f"from {MEDIUM_FROM:.0%}"),
        (RiskLevel.LOW, distribution.low, f"below {MEDIUM_FROM:.0%}"),
    ):
        share = count / customers if customers else 0.0
        yield Text.assemble(
            f"  {level:<6} {bounds:<9} {count:>10,} {share:>7.1%}  ",
            ("█" * round(share * BAR_WIDTH), _COLOURS[level]),
        )


def _describe_customer(customer: CustomerAtRisk, width: int) -> Iterator[Text]:
    """Yield a line per reason, the first one led by the customer; ids are `width` characters wide."""
    level = customer.risk_level
    first = Text.assemble(
        f"  {customer.customer_id:<{width}}  {customer.churn_probability:>6.1%}  ",
        (f"{level:<6}", _COLOURS.get(level, "")),
    )
    indent = Text(" " * len(first))
    reasons = [reason.text for reason in customer.reasons[:REASONS_SHOWN]] or [""]
    for lead, reason in zip([first, *[indent] * (len(reasons) - 1)], reasons, strict=True):
        line = Text.assemble(lead, "  ", reason)
        line.rstrip()
        yield line
