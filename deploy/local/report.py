"""What a person is told of a prediction, as lines with rich's colours."""

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from deploy.local.client import Prediction
from retainwise_contracts.results import CustomerAtRisk, RiskLevel, Summary
from retainwise_contracts.status import PredictionStatus

CUSTOMERS_SHOWN = 5
REASONS_SHOWN = 3
BAR_WIDTH = 40  # characters, for all customers

_COLOURS = {RiskLevel.LOW: "green", RiskLevel.MEDIUM: "yellow", RiskLevel.HIGH: "red"}


def describe_status(prediction: Prediction) -> list[Text]:
    """Give a line for each status the prediction has reached, with its time and how long that took."""
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
    """Give the lines of a completed prediction: rows, risk, data quality, and who is most at risk and why."""
    rows, summary = prediction.rows, prediction.summary
    if rows is None or summary is None:
        raise ValueError("a completed prediction has rows and a summary")
    yield Text(f"\n{rows.total:,} customers: {rows.scored:,} scored, {rows.rejected:,} rejected")
    yield from _describe_risk(summary, rows.scored)
    yield Text(f"\nData quality: {summary.quality.grade}", style="bold")
    for sentence in summary.quality.sentences:
        yield Text(f"  {sentence}")
    yield Text("\nMost at risk", style="bold")
    for customer in summary.highest_risk[:CUSTOMERS_SHOWN]:
        yield from _describe_customer(customer)


def _describe_risk(summary: Summary, scored: int) -> Iterator[Text]:
    distribution = summary.risk_distribution
    yield Text(f"\nRisk of leaving: about {summary.expected_churners:,.0f} are expected to go", style="bold")
    for level, count in (
        (RiskLevel.HIGH, distribution.high),
        (RiskLevel.MEDIUM, distribution.medium),
        (RiskLevel.LOW, distribution.low),
    ):
        share = count / scored if scored else 0.0
        yield Text.assemble(
            f"  {level:<7} {count:>10,} {share:>7.1%}  ", ("█" * round(share * BAR_WIDTH), _COLOURS[level])
        )


def _describe_customer(customer: CustomerAtRisk) -> Iterator[Text]:
    level = customer.risk_level
    yield Text.assemble(
        f"  {customer.customer_id}  {customer.churn_probability:.1%} ", (level, _COLOURS.get(level, ""))
    )
    for reason in customer.reasons[:REASONS_SHOWN]:
        yield Text(f"      {reason.text}")
