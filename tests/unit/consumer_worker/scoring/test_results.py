import codecs
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consumer_worker.scoring import ScoringFailed, results
from consumer_worker.scoring.parquet import SCORES_PARQUET, WORKLIST_PARQUET
from consumer_worker.scoring.results import (
    MANIFEST,
    REJECTED_CSV,
    SCORES_CSV,
    safe_frame,
    unescape,
)
from ml_models.runtime import ChurnModel
from retainwise_contracts.failures import FailureCode
from retainwise_contracts.results import (
    REJECTED_COLUMNS,
    QualityGrade,
    ResultManifest,
    score_columns,
    value_columns,
    worklist_columns,
)
from tests.unit.consumer_worker.scoring.conftest import ScoreBytes
from tests.unit.consumer_worker.scoring.corpus import HEADERS, PLAIN, TEN, changed, german, table


def read(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, delimiter=delimiter))


@pytest.mark.parametrize("reasons", [0, 1, 5])
def test_score_files_hold_the_columns_of_the_contracts(score: ScoreBytes, reasons: int, model: ChurnModel):
    _, folder = score(PLAIN, reasons=reasons)
    kinds = [(feature.name, feature.kind) for feature in model.card.features]
    types = {"int64": pl.Int64, "float64": pl.Float64, "string": pl.String, "boolean": pl.Boolean}
    for name, columns in (
        (SCORES_PARQUET, (*score_columns(reasons), *value_columns(kinds))),
        (WORKLIST_PARQUET, worklist_columns(reasons, kinds)),
    ):
        scores = pl.read_parquet(folder / name)
        as_text = scores.cast({pl.Enum: pl.String})
        assert dict(as_text.schema) == {column.name: types[column.type] for column in columns}
        for column in columns:
            assert column.nullable or not scores[column.name].has_nulls()
    assert read(folder / SCORES_CSV)[0] == [column.name for column in score_columns(reasons)]


def test_csv_holds_the_rows_of_parquet_in_the_order_of_the_upload(score: ScoreBytes):
    _, folder = score(PLAIN)
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    assert scores["row_number"].to_list() == list(range(2, 12))
    assert scores["customer_id"].to_list() == [row["customerID"] for row in TEN]
    written = pl.read_csv(folder / SCORES_CSV)
    for column in written.columns:
        if scores.schema[column] == pl.Float64:
            assert np.abs(written[column].to_numpy() - scores[column].to_numpy()).max() <= 5.1e-7
        else:
            assert written[column].cast(pl.String).equals(scores[column].cast(pl.String))


def test_scoring_again_gives_the_same_bytes(score: ScoreBytes):
    first, _ = score(german())
    second, _ = score(german())
    assert first == second


def test_the_manifest_vouches_for_every_file(score: ScoreBytes, model: ChurnModel):
    report, folder = score(changed("tenure", "bad"))
    manifest = ResultManifest.model_validate(json.loads((folder / MANIFEST).read_text()))
    assert manifest == report.manifest
    assert (manifest.rows.total, manifest.rows.scored, manifest.rows.rejected) == (10, 9, 1)
    assert manifest.model.sha256 == model.card.model_file.sha256
    assert manifest.input.sha256 == "ab" * 32
    assert [file.name for file in report.files] == [
        SCORES_PARQUET,
        SCORES_CSV,
        REJECTED_CSV,
        WORKLIST_PARQUET,
        MANIFEST,
    ]
    for file in report.files:
        content = (folder / file.name).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert {path.name for path in folder.iterdir()} == {"upload", *(file.name for file in report.files)}


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-x", "'-x"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"),
        ("\rx", "'\rx"), ("\nx", "'\nx"), ("\0x", "'\0x"), ("\uff1d1", "'\uff1d1"),
        # Where another delimiter, or a line break, begins a cell.
        ("x;=1+1", "x;'=1+1"), ("x,@y|+z\t-1+1", "x,'@y|'+z\t'-1+1"), ("x\n=1", "x\n'=1"),
        ("x;\t=1", "x;\t'=1"),
        ("x;;=1", "x;;'=1"), ('x;"=1+1;y', "x;'\"=1+1;y"), ("x;\0=1", "x;'\0=1"), ("=1;=1", "'=1;'=1"),
        ("\t=1", "'\t'=1"), ("x|\uff0b1", "x|'\uff0b1"),
        ("-5", "-5"), ("+1,234.50", "+1,234.50"), ("a=1", "a=1"), ("", ""), ("x; y", "x; y"), ("'x", "'x"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_is_escaped_and_comes_back(cell: str, safe: str):
    assert safe_frame(pl.DataFrame({"cell": ["x", cell]}), ["cell"])["cell"].to_list() == ["x", safe]
    assert unescape(pl.Series([safe])).to_list() == [cell]


def test_no_cell_runs_in_a_spreadsheet_that_splits_at_another_delimiter(score: ScoreBytes):
    attack = 'x;=1+1;y|@z\t+1+a,=2,"\n=3\n"=4'
    rows = [dict(row, customerID=f"{n}{attack}", Contract=attack, gender=attack) for n, row in enumerate(TEN)]
    rows[0]["tenure"] = attack
    for delimiter in ",;\t|":
        _, folder = score(table(rows, delimiter=delimiter), confirmed=frozenset({"Contract"}))
        for name in (SCORES_CSV, REJECTED_CSV):
            for splits_at in ",;\t|":
                cells = [cell for row in read(folder / name, splits_at) for cell in row]
                assert not [cell for cell in cells if cell[:1] in set("=@+\t\r\n")]
        assert pl.read_parquet(folder / SCORES_PARQUET)["customer_id"][0] == f"1{attack}"


def test_no_cell_of_a_customer_runs_in_a_spreadsheet(score: ScoreBytes):
    rows = [
        dict(row, customerID=f"={n}", Contract="@x", gender="+cmd|' /C calc'!A0") for n, row in enumerate(TEN)
    ]
    rows[0]["tenure"] = "=2+3"
    _, folder = score(table(rows), confirmed=frozenset({"Contract"}))
    cells = [cell for name in (SCORES_CSV, REJECTED_CSV) for row in read(folder / name) for cell in row]
    assert not [cell for cell in cells if cell[:1] in set("=@+\t\r")]
    assert pl.read_parquet(folder / SCORES_PARQUET)["customer_id"][0] == "=1"


def test_rejected_rows_are_as_they_were_and_can_be_sent_again(score: ScoreBytes):
    bad = german().replace("0003-", "=3-", 1).replace(f";{TEN[3]['tenure']};", ";bad;", 1)
    report, folder = score(bad)
    assert (report.rows.scored, report.rows.rejected) == (9, 1)
    header, row = read(folder / REJECTED_CSV, ";")
    assert header == [*HEADERS, *(column.name for column in REJECTED_COLUMNS)]
    assert row[len(HEADERS) :] == [
        "5",
        "not_a_number",
        "tenure",
        "b*** (3 characters)",
        "Enter a plain number of months.",
    ]
    fixed = (folder / REJECTED_CSV).read_text().replace(";bad;", f";{TEN[3]['tenure']};")
    again, again_folder = score(fixed)
    assert (again.rows.scored, again.rows.rejected) == (1, 0)
    assert again.summary.unused_columns == ("gender", "Partner", "Dependents", "TotalCharges")
    _, plain_folder = score(german())
    expected = pl.read_parquet(plain_folder / SCORES_PARQUET).row(3, named=True)
    scored = pl.read_parquet(again_folder / SCORES_PARQUET).row(0, named=True)
    assert scored["customer_id"] == TEN[3]["customerID"].replace("0003-", "=3-")
    assert scored["churn_probability"] == expected["churn_probability"]


def test_cells_beyond_the_header_are_kept(score: ScoreBytes):
    lines = PLAIN.splitlines()
    _, folder = score("\n".join([*lines[:2], lines[2] + ',Smith, "a, b"', *lines[3:]]))
    header, row = read(folder / REJECTED_CSV)
    assert len(header) == len(row)
    assert row[len(HEADERS) - 1].startswith(TEN[1]["TotalCharges"])
    assert "Smith" in row[len(HEADERS) - 1]


GERMAN = [row | {"MonthlyCharges": row["MonthlyCharges"].replace(".", ",")} for row in TEN]


@pytest.mark.parametrize(
    ("rows", "delimiter", "form"),
    [
        (TEN, ",", (",", ".")),
        (TEN, ";", (";", ".")),
        (TEN, "\t", ("\t", ".")),
        (GERMAN, ";", (";", ",")),
        (GERMAN, "\t", ("\t", ",")),
        (GERMAN, "|", ("|", ",")),
        (GERMAN, ",", (";", ",")),
    ],
)
def test_csv_opens_in_the_spreadsheet_the_upload_came_from(
    score: ScoreBytes, rows: list[dict[str, str]], delimiter: str, form: tuple[str, str]
):
    report, folder = score(table(rows, HEADERS[:-1], delimiter=delimiter))
    csv_format = report.manifest.csv
    assert (csv_format.delimiter, csv_format.decimal) == form
    scores = pl.read_parquet(folder / SCORES_PARQUET)
    content = (folder / SCORES_CSV).read_bytes()
    assert content.startswith(codecs.BOM_UTF8)
    assert (folder / REJECTED_CSV).read_bytes().startswith(codecs.BOM_UTF8)
    header, *written = read(folder / SCORES_CSV, form[0])
    assert header == [column.name for column in score_columns(3)]
    probability = header.index("churn_probability")
    assert written[0][probability] == f"{scores['churn_probability'][0]:.6f}".replace(".", form[1])
    other = "." if form[1] == "," else ","
    numbers = ("churn_probability", "inputs_known", "reason_1_effect")
    assert not [row for row in written for name in numbers if other in row[header.index(name)]]
    charges = [
        row[header.index(f"reason_{rank}_value")]
        for row in written
        for rank in (1, 2, 3)
        if row[header.index(f"reason_{rank}")] == "MonthlyCharges"
    ]
    assert charges
    assert not [charge for charge in charges if other in charge]


def test_grade_is_in_every_row_of_both_files(score: ScoreBytes, monkeypatch: pytest.MonkeyPatch):
    # Pieces so small that many of them begin within a placeholder.
    monkeypatch.setattr(results, "_PIECE_BYTES", 7)
    report, folder = score(changed("Contract", "\U0010fffe", "good \U0010fffe"), reasons=5)
    grade = report.summary.quality.grade.value
    assert set(pl.read_parquet(folder / SCORES_PARQUET)["data_quality"]) == {grade}
    content = (folder / SCORES_CSV).read_bytes()
    assert "\U0010fffe" not in content.decode()
    header, *rows = read(folder / SCORES_CSV)
    assert [row[header.index("data_quality")] for row in rows] == [grade] * 10
    assert report.files[1].sha256 == hashlib.sha256(content).hexdigest()
    assert report.files[1].size_bytes == len(content)


def test_placeholder_in_an_id_is_no_grade(score: ScoreBytes):
    _, folder = score(changed("customerID", "7\U0010fffe"))
    assert pl.read_parquet(folder / SCORES_PARQUET)["customer_id"][0] == "7\U0010fffe"
    rows = read(folder / SCORES_CSV)
    assert rows[1][1] == "7\ufffd"


def test_all_grades_are_as_long_as_the_placeholder():
    grades = [grade for grade in QualityGrade if grade is not QualityGrade.UNKNOWN]
    assert {len(grade.value) for grade in grades} == {len(results._PLACEHOLDER.encode())}


@pytest.mark.parametrize("content", [PLAIN * 3, changed("tenure", *["bad"] * 5)], ids=["scores", "rejected"])
def test_results_beyond_the_limit_fail(score: ScoreBytes, content: str):
    with pytest.raises(ScoringFailed) as caught:
        score(content, max_written_bytes=2_000)
    assert caught.value.code == FailureCode.RESULT_TOO_LARGE


@pytest.mark.parametrize("rows", [TEN, GERMAN])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rejected_rows_are_read_again_in_any_form(
    score: ScoreBytes, rows: list[dict[str, str]], delimiter: str
):
    bad = [row | {"tenure": "bad" if n % 3 == 0 else row["tenure"]} for n, row in enumerate(rows)]
    _, folder = score(table(bad, HEADERS[:-1], delimiter=delimiter))
    fixed = (folder / REJECTED_CSV).read_bytes().replace(b"bad", b"12")
    again, again_folder = score(fixed)
    assert (again.rows.scored, again.rows.rejected) == (4, 0)
    expected, plain_folder = score(
        table([row | {"tenure": "12"} for row in rows[::3]], HEADERS[:-1], delimiter=delimiter)
    )
    assert expected.rows.scored == 4
    for column in ("customer_id", "churn_probability"):
        of_both = [pl.read_parquet(each / SCORES_PARQUET)[column] for each in (again_folder, plain_folder)]
        assert of_both[0].equals(of_both[1])
