"""What customers pay, and what of it is at stake."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retainwise_contracts.prediction_requested import ValuePeriod
from retainwise_contracts.results import HIGH_FROM, ValueSummary


@dataclass(slots=True)
class ValueTally:
    """The running totals of the customers whose value is known and who have not left yet."""

    feature: str
    """Where the values come from: `CUSTOMER_VALUE`, or the model's feature."""
    period: ValuePeriod
    currency: str | None
    customers: int = field(default=0, init=False)
    total: float = field(default=0.0, init=False)
    at_risk: float = field(default=0.0, init=False)
    expected_loss: float = field(default=0.0, init=False)

    def add(
        self, values: NDArray[np.float64], probability: NDArray[np.float64], left: NDArray[np.bool_]
    ) -> None:
        """Add some scored rows: `[rows]`; NaN is no value, `left` marks who has already left."""
        counted = ~(np.isnan(values) | left)
        if not counted.all():
            values, probability = values[counted], probability[counted]
        self.customers += len(values)
        self.total += float(values.sum())
        self.at_risk += float(values[probability >= HIGH_FROM].sum())
        self.expected_loss += float(values @ probability)

    def summary(self) -> ValueSummary:
        """Return the totals, rounded to cents."""
        return ValueSummary(
            feature=self.feature,
            period=self.period,
            currency=self.currency,
            customers=self.customers,
            total=round(self.total, 2),
            at_risk=round(self.at_risk, 2),
            expected_loss=round(self.expected_loss, 2),
        )
