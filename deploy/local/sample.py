"""The sample that `demo` scores: 1,000 invented customers in the form of a telecom CRM export.

`python -m deploy.local.sample` writes the file again. It is in the console, which offers it as a first file.
Nobody in it is real, and there is no churn column: the model predicts that.
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

CUSTOMERS = 1_000
SEED = 20_260
SAMPLE = Path(__file__).parents[2] / "producer_api/src/producer_api/console/sample.csv"

COLUMNS = (
    "customerID",
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
)

_MAX_TENURE = 72  # months
_CARE = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
_STREAMING = ("StreamingTV", "StreamingMovies")

# Prices in dollars a month.
_LINE = 20
_SECOND_LINE = 5
_INTERNET = {"DSL": 25, "Fiber optic": 50, "No": 0}
_CARE_EACH = 5
_STREAMING_EACH = 10


def sample_customers(count: int = CUSTOMERS, seed: int = SEED) -> Iterator[dict[str, str]]:
    """Yield invented customers, the same ones for the same seed.

    Each customer is consistent: long tenure goes with longer contracts and more extras, fibre is more often
    paid by electronic check, extras need internet, and the charges are the sum of the booked services.
    """
    random = Random(seed)  # noqa: S311 nothing here is a secret
    seen: set[str] = set()
    while len(seen) < count:
        customer_id = _customer_id(random)
        if customer_id not in seen:
            seen.add(customer_id)
            yield {"customerID": customer_id} | _customer(random)


def write_sample(path: Path = SAMPLE) -> None:
    """Write the sample as CSV to `path`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sample_customers())


def _customer_id(random: Random) -> str:
    letters = "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=5))
    return f"{random.randrange(10_000):04d}-{letters}"


def _customer(random: Random) -> dict[str, str]:
    household = _household(random)
    tenure = _tenure(random)
    loyalty = tenure / _MAX_TENURE
    internet = _pick(random, {"DSL": 0.34, "Fiber optic": 0.44, "No": 0.22})
    contract = _contract(random, loyalty, internet)
    services = _services(random, loyalty, internet, contract)
    monthly = _monthly_charges(random, services)
    # Prices were a little different in the past.
    total = monthly * (tenure * random.uniform(0.94, 1.06) if tenure > 1 else 1)
    customer = {
        **household,
        "tenure": str(tenure),
        **services,
        "Contract": contract,
        "PaperlessBilling": _yes(random, 0.29 if internet == "No" else 0.68),
        "PaymentMethod": _payment_method(random, loyalty, internet),
        "MonthlyCharges": f"{monthly:.2f}",
        "TotalCharges": f"{total:.2f}" if tenure else "",  # nothing was billed yet
    }
    return {column: customer[column] for column in COLUMNS if column != "customerID"}


def _household(random: Random) -> dict[str, str]:
    senior = random.random() < 0.16
    partner = _yes(random, 0.48)
    with_dependents = {"Yes": 0.5, "No": 0.09}[partner] * (0.3 if senior else 1)
    return {
        "gender": random.choice(("Female", "Male")),
        "SeniorCitizen": str(int(senior)),
        "Partner": partner,
        "Dependents": _yes(random, with_dependents),
    }


def _tenure(random: Random) -> int:
    """Months as a customer: many new ones, many at the maximum, the rest in between."""
    group = _pick(random, {"new": 0.36, "between": 0.46, "from the first day": 0.18})
    months = {
        "new": random.expovariate(1 / 7),
        "between": random.uniform(6, 66),
        "from the first day": random.uniform(64, _MAX_TENURE + 1),
    }[group]
    return min(round(months), _MAX_TENURE)


def _contract(random: Random, loyalty: float, internet: str) -> str:
    bound = loyalty * (0.75 if internet == "Fiber optic" else 1.15)
    return _pick(
        random,
        {"Month-to-month": 1.05 - 0.75 * bound, "One year": 0.1 + 0.25 * bound, "Two year": 0.05 + bound**2},
    )


def _services(random: Random, loyalty: float, internet: str, contract: str) -> dict[str, str]:
    phone = "Yes" if internet != "DSL" else _yes(random, 0.72)
    extra_lines = 0.15 + 0.5 * loyalty + (0.15 if internet == "Fiber optic" else 0)
    care = 0.12 + 0.4 * loyalty + (0.15 if contract != "Month-to-month" else 0)
    care -= 0.08 if internet == "Fiber optic" else 0
    streaming = 0.2 + 0.4 * loyalty + (0.15 if internet == "Fiber optic" else 0)
    services = {
        "PhoneService": phone,
        "MultipleLines": "No phone service" if phone == "No" else _yes(random, extra_lines),
        "InternetService": internet,
    }
    for extras, likelihood in ((_CARE, care), (_STREAMING, streaming)):
        for extra in extras:
            services[extra] = "No internet service" if internet == "No" else _yes(random, likelihood)
    return services


def _payment_method(random: Random, loyalty: float, internet: str) -> str:
    return _pick(
        random,
        {
            "Electronic check": {"Fiber optic": 0.6, "DSL": 0.3, "No": 0.08}[internet]
            * (1.2 - 0.6 * loyalty),
            "Mailed check": 0.5 if internet == "No" else 0.25 * (1.3 - loyalty),
            "Bank transfer (automatic)": 0.1 + 0.25 * loyalty,
            "Credit card (automatic)": 0.1 + 0.25 * loyalty,
        },
    )


def _monthly_charges(random: Random, services: Mapping[str, str]) -> float:
    """Dollars a month: the sum of what is booked, plus or minus a small rebate or fee."""
    charges = (
        _LINE * (services["PhoneService"] == "Yes")
        + _SECOND_LINE * (services["MultipleLines"] == "Yes")
        + _INTERNET[services["InternetService"]]
        + _CARE_EACH * sum(services[extra] == "Yes" for extra in _CARE)
        + _STREAMING_EACH * sum(services[extra] == "Yes" for extra in _STREAMING)
    )
    return charges + round(random.uniform(-1, 1) * 20) * 0.05


def _yes(random: Random, likelihood: float) -> str:
    return "Yes" if random.random() < likelihood else "No"


def _pick(random: Random, weights: Mapping[str, float]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


if __name__ == "__main__":
    write_sample()
    sys.stdout.write(f"{SAMPLE}: {CUSTOMERS} customers\n")
