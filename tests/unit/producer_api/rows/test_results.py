"""Rows are found in files that the worker wrote, as reading the whole file would find them."""

import csv
import io
import itertools

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer_worker.scoring.results import escape, unescape
from producer_api.rows import results
from producer_api.rows.results import RowFilter, export_rows, find_rows, read_rejected, read_row

FILTERS = [
    RowFilter(),
    RowFilter(risk=["HIGH"]),
    RowFilter(risk=["LOW", "MEDIUM"], min_probability=0.1),
    RowFilter(min_probability=0.5, reason="Contract"),
    RowFilter(reason="tenure"),
    RowFilter(customer_id="c-01998"),
    RowFilter(customer_id="c-00007", risk=["HIGH", "MEDIUM", "LOW"]),
    RowFilter(customer_id="nobody"),
    RowFilter(reason="no such feature"),
]
RISKY = RowFilter(risk=["HIGH", "MEDIUM"])
ACTIONS = {"Contract": "Offer a longer contract", "tenure": "Call"}


def expected(path, wanted, order):
    """Filter and sort the whole file, in plain Python."""
    rows = pl.read_parquet(path).to_dicts()
    if wanted.risk:
        rows = [row for row in rows if row["risk_level"] in wanted.risk]
    if wanted.min_probability is not None:
        rows = [row for row in rows if row["churn_probability"] >= wanted.min_probability]
    if wanted.reason is not None:
        rows = [row for row in rows if wanted.reason in (row["reason_1"], row["reason_2"], row["reason_3"])]
    if wanted.customer_id is not None:
        rows = [row for row in rows if row["customer_id"] == wanted.customer_id]
    if order == "value":
        rows.sort(key=lambda row: (row["value_at_risk"] is None, -(row["value_at_risk"] or 0)))
    return [row["row_number"] for row in rows]


def walk(path, wanted, order, at_most):
    found, start = [], 0
    while start is not None:
        page = find_rows(path, wanted, order, start=start, at_most=at_most)
        assert len(page.rows) <= at_most
        found += page.rows
        start = page.next_start
    return found


def path_of(result, order):
    return result / ("scores.parquet" if order == "file" else "worklist.parquet")


@pytest.mark.parametrize("order", ["file", "risk", "value"])
@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_pages_have_each_wanted_row_once_and_in_order(result, wanted, order):
    path = path_of(result, order)
    numbers = expected(path, wanted, order)
    for at_most in (1_999, 97, 500):
        assert [row["row_number"] for row in walk(path, wanted, order, at_most)] == numbers


def test_last_page_has_no_next_one(result):
    path = result / "scores.parquet"
    assert find_rows(path, RowFilter(), "file", start=1_000, at_most=1_000).next_start is None
    assert find_rows(path, RowFilter(), "file", start=999, at_most=1_000).next_start == 1_999
    assert find_rows(path, RowFilter(), "file", start=2_000, at_most=10).rows == []


def test_values_of_features_are_not_read_for_a_page(result):
    found = find_rows(result / "scores.parquet", RowFilter(), "file", start=0, at_most=1)
    assert not [name for name in found.rows[0] if name.startswith("value_") and name != "value_at_risk"]
    assert found.reasons == 3


@pytest.mark.parametrize("order", ["file", "risk"])
def test_value_at_risk_is_probability_times_value(result, order):
    rows = find_rows(path_of(result, order), RowFilter(), order, start=0, at_most=500).rows
    assert any(row["value_at_risk"] is None for row in rows)
    for row in rows:
        value = row["customer_value"]
        assert row["value_at_risk"] == (None if value is None else row["churn_probability"] * value)


def test_row_is_found_by_its_number(result):
    path = result / "scores.parquet"
    for number in (2, 1_000, 2_001):
        (row,) = read_row(path, number).rows
        whole = pl.read_parquet(path).filter(pl.col("row_number") == number).to_dicts()[0]
        assert row.items() >= whole.items()
    assert read_row(path, 1).rows == []
    assert read_row(path, 10**17).rows == []


def test_results_of_older_releases_are_read(result, tmp_path):
    old = tmp_path / "scores.parquet"
    whole = pl.read_parquet(result / "scores.parquet")
    later = [name for name in whole.columns if name.startswith(("value_", "customer_value"))]
    whole.drop(*later, "already_left", "inputs_known").write_parquet(old)
    found = find_rows(old, RowFilter(risk=["HIGH"]), "file", start=0, at_most=5)
    assert [row["row_number"] for row in found.rows] == expected(old, RowFilter(risk=["HIGH"]), "file")[:5]
    assert "value_at_risk" not in found.rows[0]
    (row,) = read_row(old, 2).rows
    assert results.values_of(row, ["tenure"]) is None
    exported = export_rows(old, RowFilter(), "file", ACTIONS, start=0, at_most=1)
    assert exported.text.decode().splitlines()[1].split(",")[3] == ""


def test_result_without_reasons_is_read(score, customers):
    _, folder = score(customers, reasons=0)
    path = folder / "worklist.parquet"
    assert find_rows(path, RowFilter(), "risk", start=0, at_most=5).reasons == 0
    assert find_rows(path, RowFilter(reason="tenure"), "risk", start=0, at_most=5).rows == []
    assert export_rows(path, RowFilter(), "risk", ACTIONS, start=0, at_most=1).rows == 1


@pytest.mark.parametrize("order", ["file", "risk", "value"])
def test_export_is_whole_in_any_pieces(result, order):
    path = path_of(result, order)
    texts = []
    for at_most in (5_000, 333):
        pieces, start = [], 0
        while start is not None:
            piece = export_rows(path, RISKY, order, ACTIONS, start=start, at_most=at_most)
            pieces.append(piece.text)
            start = piece.next_start
        texts.append(b"".join(pieces))
    assert texts[0] == texts[1]
    rows = list(csv.DictReader(io.StringIO(texts[0].decode(), newline="")))
    found = walk(path, RISKY, order, 500)
    assert len(found) > 100
    for row, of_file in zip(rows, found, strict=True):
        reasons = [of_file[f"reason_{rank}_text"] for rank in (1, 2, 3)]
        raising = [
            of_file[f"reason_{rank}"] for rank in (1, 2, 3) if (of_file[f"reason_{rank}_effect"] or 0) > 0
        ]
        suggested = [ACTIONS[feature] for feature in raising if feature in ACTIONS]
        value = of_file["value_at_risk"]
        assert row["customer_id"] == of_file["customer_id"]
        assert float(row["churn_probability"]) == round(of_file["churn_probability"], 6)
        assert row["risk_level"] == of_file["risk_level"] != "LOW"
        assert row["value_at_risk"] == "" if value is None else float(row["value_at_risk"]) == round(value, 2)
        assert row["reasons"] == "; ".join(text for text in reasons if text is not None)
        assert row["suggested_action"] == (suggested[0] if suggested else "")


def test_export_of_nothing_is_a_header(result):
    piece = export_rows(
        result / "worklist.parquet", RowFilter(customer_id="nobody"), "risk", {}, start=0, at_most=10
    )
    assert piece.text == (
        b"customer_id,churn_probability,risk_level,value_at_risk,reasons,suggested_action\r\n"
    )
    assert (piece.rows, piece.next_start) == (0, None)


def test_export_shows_formulas_as_text(score):
    _, folder = score(
        "customerID,tenure,Contract,MonthlyCharges,InternetService\n"
        "=1+1,2,=cmd|' /C calc'!A0,70.35,DSL\n@SUM(A1),2,One year,20.10,DSL\n-5,3,x;=2+2,20.10,DSL\n",
        confirmed=frozenset({"Contract"}),
    )
    text = export_rows(folder / "scores.parquet", RowFilter(), "file", {}, start=0, at_most=10).text.decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["customer_id"] for row in rows] == ["'=1+1", "'@SUM(A1)", "-5"]
    assert "x;'=2+2" in rows[2]["reasons"]
    for row in rows:
        assert not row["reasons"].startswith(("=", "+", "@", "-"))


@given(st.text(alphabet="=+-@\t\r\n\0,;|\"' a1.\uff1d", max_size=12))
def test_escape_is_that_of_the_worker(text):
    frame = pl.DataFrame({"cell": [text]})
    ours = frame.select(results._escape(pl.col("cell"))).item()
    assert ours == frame.select(escape(pl.col("cell"))).item()
    assert (
        pl.DataFrame({"cell": [ours]}).select(results._unescape(pl.col("cell"))).item()
        == unescape(pl.Series([ours])).item()
    )


REJECTED = (
    "customerID;tenure;Contract;MonthlyCharges;InternetService;Note;Note\n"
    + "".join(f"c-{number};{number % 70};One year;20,50;DSL;;\n" for number in range(40))
    + 'x-1;soon;One year;20,50;DSL;"a ""b"" ;\nc";second\n'
    + ";3;One year;20,50;DSL;=1+1;\n"
    + "x-3;later;One year;20,50;DSL;é;\n"
    + "x-4;-7;One year;20,50;DSL;;\n"
    + "x-5;soon;One year;20,50;DSL;-3;+x\n"
)


@pytest.fixture(scope="module")
def rejected(score):
    report, folder = score(REJECTED)
    assert report.rows.rejected == 5
    assert report.manifest.csv.delimiter == ";"
    return folder / "rejected.csv"


def test_rejected_rows_are_grouped_by_cause(rejected):
    found = read_rejected(rejected, ";", None, None, start=0, at_most=10)
    assert [(group["code"], group["column"], group["rows"]) for group in found.groups] == [
        ("not_a_number", "tenure", 3),
        ("missing_id", "customerID", 1),
        ("out_of_range", "tenure", 1),
    ]
    assert all(group["hint"] for group in found.groups)
    assert found.columns == [
        "customerID",
        "tenure",
        "Contract",
        "MonthlyCharges",
        "InternetService",
        "Note",
        "Note (2)",
    ]


def test_rejected_rows_have_the_cells_that_were_uploaded(rejected):
    items = read_rejected(rejected, ";", None, None, start=0, at_most=10).items
    assert [item["row_number"] for item in items] == [42, 43, 44, 45, 46]
    assert items[0]["values"] == {
        "customerID": "x-1",
        "tenure": "soon",
        "Contract": "One year",
        "MonthlyCharges": "20,50",
        "InternetService": "DSL",
        "Note": 'a "b" ;\nc',
        "Note (2)": "second",
    }
    assert items[1]["values"]["Note"] == "=1+1"
    assert items[4]["values"] | {"Note": "-3", "Note (2)": "+x"} == items[4]["values"]
    assert items[0]["value"] == "s*** (4 characters)"
    assert items[1]["column"] == "customerID"


@pytest.mark.parametrize(
    ("code", "column", "numbers"),
    [
        (None, None, [42, 43, 44, 45, 46]),
        ("not_a_number", None, [42, 44, 46]),
        (None, "customerID", [43]),
        ("out_of_range", "tenure", [45]),
        ("out_of_range", "customerID", []),
        ("no such code", None, []),
    ],
)
def test_rejected_rows_are_paged_and_filtered(rejected, code, column, numbers):
    for at_most in (1, 2, 50):
        found, start = [], 0
        while start is not None:
            page = read_rejected(rejected, ";", code, column, start=start, at_most=at_most)
            found += [item["row_number"] for item in page.items]
            start = page.next_start
        assert found == numbers


def test_long_cells_are_cut(score):
    header = "customerID,tenure,Contract,MonthlyCharges,InternetService,Note\n"
    fine = "".join(f"c-{number},5,One year,20.5,DSL,\n" for number in range(20))
    _, folder = score(f"{header}{fine}x,soon,One year,20.5,DSL,{'n' * 5_000}\n")
    (item,) = read_rejected(folder / "rejected.csv", ",", None, None, start=0, at_most=10).items
    assert item["values"]["Note"] == "n" * 1_000


def test_nothing_rejected_is_an_empty_page(result):
    found = read_rejected(result / "rejected.csv", ",", None, None, start=0, at_most=10)
    assert (found.items, found.groups, found.next_start) == ([], [], None)
    assert found.columns[:2] == ["customerID", "tenure"]


def test_headers_are_made_distinct():
    for headers in itertools.product(["a", "a (2)", "b"], repeat=4):
        assert len(set(results._distinct(headers))) == 4
