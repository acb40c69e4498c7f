"""Customer files for the histories: honest ones of any size, the same bytes for the same arguments."""

import random
from functools import cache

HEADER = "customerID,tenure,Contract,InternetService,PaymentMethod,MonthlyCharges,TotalCharges\n"


@cache
def customers(rows: int, seed: int = 1, *, mark: str = "C") -> bytes:
    """Return a CSV of invented customers, whose ids begin with `mark`; every tenth row cannot be scored."""
    chance = random.Random(seed)
    lines = [HEADER]
    for number in range(rows):
        tenure, charge = chance.randint(0, 72), round(chance.uniform(18, 118), 2)
        contract = chance.choice(("Month-to-month", "One year", "Two year"))
        internet = chance.choice(("DSL", "Fiber optic", "No"))
        payment = chance.choice(("Electronic check", "Mailed check", "Credit card (automatic)"))
        months = "unknown" if number % 10 == 9 else str(tenure)
        lines.append(
            f"{mark}-{number:07d},{months},{contract},{internet},{payment},{charge},{tenure * charge:.2f}\n"
        )
    return "".join(lines).encode()


SMALL = customers(120)
"""What a worker scores in a few milliseconds."""

OTHER = customers(90, seed=2)
MEDIUM = customers(60_000, seed=3)
"""Long enough at work that an outage finds it there."""

QUIET = {"small": SMALL, "other": OTHER, "medium": MEDIUM}
"""The files of the histories, by the name under which the oracle knows what a quiet run makes of them."""
