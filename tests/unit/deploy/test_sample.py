"""The sample that `demo` scores."""

import csv
from collections import Counter

from deploy.local.sample import COLUMNS, CUSTOMERS, SAMPLE, write_sample


def read_rows() -> list[dict[str, str]]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_shipped_sample_is_what_the_script_writes(tmp_path):
    write_sample(tmp_path / "customers.csv")

    assert SAMPLE.read_bytes() == (tmp_path / "customers.csv").read_bytes()


def test_every_customer_is_consistent():
    rows = read_rows()

    assert len({row["customerID"] for row in rows}) == len(rows) == CUSTOMERS
    for row in rows:
        assert tuple(row) == COLUMNS
        extras = [row[name] for name in COLUMNS[9:15]]
        assert (row["InternetService"] == "No") == ("No internet service" in extras), row
        assert len({"No internet service"} & set(extras)) == 0 or set(extras) == {"No internet service"}, row
        assert (row["PhoneService"] == "No") == (row["MultipleLines"] == "No phone service"), row
        tenure, monthly = int(row["tenure"]), float(row["MonthlyCharges"])
        assert 0 <= tenure <= 72
        assert 18 <= monthly <= 120
        if tenure:
            assert abs(float(row["TotalCharges"]) / (tenure * monthly) - 1) < 0.07, row
        else:
            assert row["TotalCharges"] == ""


def test_customers_differ_enough_for_an_interesting_distribution_of_risk():
    rows = read_rows()
    contracts = Counter(row["Contract"] for row in rows)
    internet = Counter(row["InternetService"] for row in rows)

    assert min(contracts.values()) > CUSTOMERS * 0.1
    assert min(internet.values()) > CUSTOMERS * 0.1
    assert "Churn" not in rows[0]
