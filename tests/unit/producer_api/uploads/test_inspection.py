"""An inspection says how the worker will read a file, shows nothing personal, and is always quick."""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from ml_models.card import Card, load_card
from ml_models.intake.columns import InvalidMapping, MappingError
from ml_models.intake.dialect import HEAD_BYTES, NotACsv, UnreadableFile
from producer_api.uploads.inspection import FIRST_ROWS, Head, inspect
from producer_api.uploads.quality import Spellings
from tests.files import product
from tests.files.corpus import corpus

HEADER = "customerID,tenure,Contract,MonthlyCharges,InternetService"


@pytest.fixture(scope="module")
def card() -> Card:
    return load_card(product.MODEL)


@pytest.fixture(scope="module")
def inspect_file(card):
    """A function that inspects a file."""

    def look(
        content: str | bytes, mapping: Mapping[str, str] | None = None, values: Spellings | None = None
    ) -> dict[str, Any]:
        data = content.encode() if isinstance(content, str) else content
        inspection, _ = inspect(Head(data[:HEAD_BYTES], len(data)), card, mapping or {}, values or {})
        return inspection

    return look


def column(inspection: dict[str, Any], header: str) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [column for column in inspection["columns"] if column["header"] == header]
    return found


def feature(inspection: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [figures for figures in inspection["quality"]["features"] if figures["feature"] == name]
    return found


def test_inspection_agrees_with_the_worker(tmp_path, subtests):
    """On every fortieth file of the corpus; `make check-files` compares all."""
    model = product.load()
    for number, case in enumerate(corpus()[::40]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subtests.test(case.name):
            assert not product.score(case, model, folder).inspected_otherwise


def test_columns_are_proposed_with_their_confidence(inspect_file):
    inspection = inspect_file(
        "Kundennummer;months_with_us;Contrakt;Internet Service;Monthly Chargs;Notiz\n"
        "k-1;5;One year;DSL;29,85;Anna Meier\n"
        "k-2;7;Two year;No;20,10;Bernd Vogt\n"
    )
    assert inspection["dialect"] == {"encoding": "utf-8", "delimiter": ";", "decimal": ",", "header_row": 1}
    found = {
        each["header"]: (each["feature"], each["method"], each["needs_confirmation"])
        for each in inspection["columns"]
    }
    assert found == {
        "Kundennummer": ("customer_id", "alias", False),
        "months_with_us": ("tenure", "alias", False),
        "Contrakt": ("Contract", "fuzzy", True),
        "Internet Service": ("InternetService", "normalised", False),
        "Monthly Chargs": ("MonthlyCharges", "fuzzy", True),
        "Notiz": (None, None, False),
    }
    assert column(inspection, "Contrakt")["confidence"] < 0.9
    assert not inspection["is_ready"]
    confirmed = inspect_file("id,tenure,Contrakt,internet\n1,2,One year,DSL\n", {"Contract": "Contrakt"})
    assert confirmed["is_ready"]
    assert column(confirmed, "Contrakt")["confidence"] == 1.0


def test_missing_columns_are_named_with_the_closest_headers(inspect_file):
    inspection = inspect_file("customerID,tenur,Kind,InternetService\na,1,One year,DSL\n")
    missing = {each["feature"]: each["closest"] for each in inspection["missing"]}
    assert missing.keys() == {"tenure", "Contract"}
    assert missing["tenure"] == ["tenur"]
    assert not inspection["is_ready"]


def test_samples_show_amounts_and_categories_only(inspect_file):
    rows = "".join(
        f"4915112345{n:03},{n},Month-to-month,{n}.5,DSL,Name{n} Surname{n},a{n}@example.com,{n % 2}\n"
        for n in range(100, 140)
    )
    inspection = inspect_file(f"{HEADER},person,mail,flag\n{rows}")
    samples = {each["header"]: each["samples"] for each in inspection["columns"]}
    assert samples["customerID"] == ["4*** (13 characters)"] * 3
    assert samples["tenure"] == ["100", "101", "102"]
    assert samples["Contract"] == ["Month-to-month"]
    assert samples["person"] == ["N*** (18 characters)"] * 3
    assert samples["mail"] == ["a*** (16 characters)"] * 3
    assert samples["flag"] == ["0", "1"]


def test_repeated_addresses_are_masked(inspect_file):
    rows = "a,1,One year,20,DSL,anna@example.com\n" * 5
    assert column(inspect_file(f"{HEADER},mail\n{rows}"), "mail")["samples"] == ["a*** (16 characters)"]


def test_unseen_values_come_with_the_closest_known_ones(inspect_file):
    rows = (
        "a,1,Mnth to Month,20,DSL\n" * 3 + "b,2,Two year,20,Fibre optik\n" * 2 + "c,3,One year,20,DSL\n" * 9
    )
    inspection = inspect_file(f"{HEADER}\n{rows}")
    unseen = column(inspection, "Contract")["unseen_values"]
    assert (unseen["rows"], unseen["distinct"]) == (3, 1)
    [named] = unseen["named"]
    assert (named["value"], named["rows"], named["closest"][0]) == ("Mnth to Month", 3, "Month-to-month")
    [named] = column(inspection, "InternetService")["unseen_values"]["named"]
    assert named["closest"][0] == "Fiber optic"
    assert feature(inspection, "Contract")["unseen"] == 3

    given = inspect_file(f"{HEADER}\n{rows}", values={"Contract": {"mnth TO month": "Month-to-month"}})
    assert column(given, "Contract")["unseen_values"] is None
    assert feature(given, "Contract")["unseen"] == 0


def test_unseen_values_that_are_no_categories_are_not_named(inspect_file):
    rows = "".join(f"{n},1,Person Number {n},20,DSL\n" for n in range(60))
    unseen = column(inspect_file(f"{HEADER}\n{rows}"), "Contract")["unseen_values"]
    assert (unseen["rows"], unseen["distinct"], unseen["named"]) == (60, 60, [])


def test_quality_counts_what_is_odd(inspect_file):
    inspection = inspect_file(
        f"{HEADER}\na,,One year,n/a,DSL\nb,soon,One year,20,DSL\nc,900,One year,-5,DSL\nd,5,?,1e9,DSL\n"
    )
    tenure, charges = feature(inspection, "tenure"), feature(inspection, "MonthlyCharges")
    assert (tenure["missing"], tenure["not_a_number"], tenure["out_of_range"]) == (1, 1, 1)
    assert (charges["missing"], charges["not_a_number"], charges["out_of_range"]) == (1, 0, 2)
    assert feature(inspection, "Contract")["missing"] == 1


def test_rows_and_seconds_are_expected(inspect_file):
    small = inspect_file(f"{HEADER}\n\n" + "a,1,One year,20,DSL\n" * 7 + ",,,,\n")
    assert small["expected"]["rows"] == small["quality"]["rows"] == 7
    assert small["expected"]["is_exact"]
    large = inspect_file(f"{HEADER}\n" + "a,1,One year,20,DSL\n" * 1_000_000)
    assert large["quality"]["rows"] == FIRST_ROWS
    assert not large["expected"]["is_exact"]
    assert large["expected"]["rows"] == pytest.approx(1_000_000, rel=0.01)
    assert large["expected"]["seconds"] > small["expected"]["seconds"]


def test_customer_value_is_the_mapped_column_or_the_default(inspect_file):
    table = f"{HEADER},Revenue\na,1,One year,20,DSL,100\n"
    assert inspect_file(table)["customer_value"] == {"header": "MonthlyCharges", "feature": "MonthlyCharges"}
    mapped = inspect_file(table, {"customer_value": "Revenue"})
    assert mapped["customer_value"] == {"header": "Revenue", "feature": None}


@pytest.mark.parametrize(
    "mapping", [{"tenure": "nothing"}, {"nothing": "tenure"}, {"tenure": "Contract", "Contract": "Contract"}]
)
def test_mapping_that_does_not_fit_is_refused(inspect_file, mapping):
    with pytest.raises(InvalidMapping):
        inspect_file(f"{HEADER}\na,1,One year,20,DSL\n", mapping)


def test_file_that_is_no_table_is_refused(inspect_file):
    with pytest.raises(NotACsv):
        inspect_file(b"%PDF-1.7\n" + b"x" * 1_000)


HOSTILE = {
    "quotes that are not closed": f"{HEADER}\n" + 'a,"1,One year,20,DSL\n' * 20_000,
    "quotes alone": f"{HEADER}\n" + '"\n' * 130_000,
    "commas alone": f"{HEADER}\n" + "," * 250_000 + "\n",
    "one long cell": f"{HEADER}\na,1,{'x' * 250_000},20,DSL\n",
    "long unseen categories": f"{HEADER}\n" + f"a,1,{'Month ' * 500},20,DSL\n" * 80,
    "many unseen categories": f"{HEADER}\n" + "".join(f"a,1,x{n % 20} deal,2,DSL\n" for n in range(9_000)),
    "digits": f"{HEADER}\n" + f"a,{'1 ' * 60},One year,{'1,' * 60},DSL\n" * 900,
    "many columns": ",".join(f"column {n}" for n in range(1_000)) + "\n" + ("x," * 999 + "x\n") * 120,
    "carriage returns": f"{HEADER}\r" + "a,1,One year,20,DSL\r" * 12_000,
    "accents": f"{HEADER}\n" + "a,1," + ("e\u0301" * 300 + ",20,DSL\na,1,") * 400,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_takes_time_in_proportion(inspect_file, name):
    """Four times as much takes less than twice that again: no square of anything."""
    content = HOSTILE[name].encode()[:HEAD_BYTES]
    quarter = content[: len(content) // 4]

    def seconds(data: bytes) -> float:
        best = float("inf")
        for _ in range(3):
            started = time.thread_time()
            with suppress(ValueError):  # refused, which may take as long
                inspect_file(data)
            best = min(best, time.thread_time() - started)
        return best

    assert seconds(content) < 10 * seconds(quarter) + 0.05


def test_no_bytes_end_in_another_error(inspect_file, subtests):
    draw = random.Random(8)
    table = f"{HEADER}\n" + "a-1,2,Month-to-month,70.35,Fiber optic\n" * 30
    for number in range(150):
        data = bytearray(table.encode())
        for _ in range(draw.randrange(1, 40)):
            data[draw.randrange(len(data))] = draw.choice((0, 9, 10, 13, 34, 39, 44, 59, 128, 195, 255))
        with subtests.test(number), suppress(UnreadableFile, MappingError):
            inspect_file(bytes(data))
