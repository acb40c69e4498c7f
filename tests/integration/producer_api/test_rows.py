"""The rows of a result over HTTP: pages, explanations, exports and rejected rows, and what refuses them."""

import csv
import hashlib
import io
import json
import threading
import uuid

import aiohttp
import polars as pl
import pytest

from consumer_worker.scoring import ScoringRequest, score_file
from ml_models.runtime import load_model
from producer_api.models.models import ModelCard, ModelList
from producer_api.rows import results
from producer_api.rows.cache import RESULT_CACHE
from producer_api.rows.models import ExplainedRow, RejectedPage, ScoredRowPage
from retainwise_contracts.results import MEDIA_TYPES, ResultManifest

READS = ("rows", "rows/2", "export", "rejected", "manifest")

FILE = (
    "customerID,tenure,Contract,MonthlyCharges,InternetService,Churn\n"
    + "".join(
        f"c-{number:04},{number * 7 % 71},{('Month-to-month', 'One year', 'Two year')[number % 3]},"
        f"{'' if number % 19 == 0 else 20 + number % 90},{('DSL', 'Fiber optic', 'No')[number % 7 % 3]},"
        f"{'Yes' if number % 41 == 0 else 'No'}\n"
        for number in range(1_200)
    )
    + "=x,soon,One year,20,DSL,No\nx-2,-4,One year,20,DSL,No\nx-3,soon,One year,20,DSL,No\n"
).encode()


@pytest.fixture(scope="module")
def model():
    return load_model("telco-churn@1.0.0")


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """The report and the folder of the scored file."""
    folder = tmp_path_factory.mktemp("result")
    (folder / "upload").write_bytes(FILE)
    request = ScoringRequest(uuid.UUID(int=7), "ab" * 32)
    return score_file(folder / "upload", folder, model, request, cancelled=threading.Event()), folder


@pytest.fixture
def complete(s3, aws, owner, files):
    """A function that completes a prediction with the result of the scored file."""
    report, folder = files

    async def complete(prediction, *, manifest=None, result=None):
        prediction_id = prediction["prediction_id"]
        prefix = f"results/acme/{prediction_id}/1"
        contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "upload"}
        contents["manifest.json"] = manifest or contents["manifest.json"]
        for name, content in contents.items():
            await s3.put_object(Bucket=aws.bucket, Key=f"{prefix}/{name}", Body=content)
        stored = result or {
            "bucket": aws.bucket,
            "files": [
                {
                    "name": name,
                    "key": f"{prefix}/{name}",
                    "media_type": MEDIA_TYPES[name],
                    "size_bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for name, content in contents.items()
                if name != "worklist.parquet"  # as the worker does
            ],
        }
        await owner.execute(
            "update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now() "
            "where prediction_id = $1",
            prediction_id,
        )
        await owner.execute(
            """
            update predictions set status = 'COMPLETED', finished_at = now(), rows_total = $2,
                rows_scored = $3, rows_rejected = $4, summary = $5, result = $6
            where prediction_id = $1
            """,
            prediction_id,
            report.rows.total,
            report.rows.scored,
            report.rows.rejected,
            report.summary.model_dump_json(),
            json.dumps(stored),
        )
        return f"/v1/predictions/{prediction_id}"

    return complete


@pytest.fixture
async def done(api, complete):
    """The path of a completed prediction."""
    _, prediction = await api.post(FILE)
    return await complete(prediction)


@pytest.fixture
def scores(files):
    """The scored rows, by number."""
    return {row["row_number"]: row for row in pl.read_parquet(files[1] / "scores.parquet").to_dicts()}


async def walk(api, path, **parameters):
    """Follow the cursors of a list to its end; return its pages."""
    pages, cursor = [], {}
    while cursor is not None:
        status, content = await api.get(path, params=parameters | cursor)
        assert status == 200, content
        pages.append(content)
        cursor = {"cursor": content["next_cursor"]} if content["next_cursor"] else None
    return pages


def items(pages):
    return [item for page in pages for item in page["items"]]


async def test_rows_are_walked_in_every_order(api, done, files, scores):
    in_file = items(await walk(api, f"{done}/rows", order="file", limit="500"))
    assert [item["row_number"] for item in in_file] == list(scores)
    worklist = pl.read_parquet(files[1] / "worklist.parquet").to_dicts()
    by_risk = items(await walk(api, f"{done}/rows", limit="99"))
    assert [item["row_number"] for item in by_risk] == [row["row_number"] for row in worklist]
    by_value = items(await walk(api, f"{done}/rows", order="value", limit="500"))
    values = [-1.0 if item["value_at_risk"] is None else item["value_at_risk"] for item in by_value]
    assert values == sorted(values, reverse=True)
    assert len(by_value) == len(worklist)
    for item in in_file:
        assert item["churn_probability"] == scores[item["row_number"]]["churn_probability"]


async def test_page_is_as_documented(api, done):
    (page,) = await walk(api, f"{done}/rows", limit="500", risk="HIGH")
    assert page["items"]
    assert ScoredRowPage.model_validate(page).model_dump(mode="json") == page
    assert page["truncated"] is False


async def test_rows_are_filtered(api, done, scores):
    high = items(await walk(api, f"{done}/rows", order="file", risk="HIGH", limit="7"))
    assert [item["row_number"] for item in high] == [
        number for number, row in scores.items() if row["risk_level"] == "HIGH"
    ]
    (page,) = await walk(api, f"{done}/rows", customer_id="c-0041")  # has left: not in the worklist
    assert [(item["customer_id"], item["already_left"]) for item in page["items"]] == [("c-0041", True)]
    (page,) = await walk(api, f"{done}/rows", customer_id="c-0041", order="risk")
    assert page["items"] == []
    found = items(await walk(api, f"{done}/rows", reason="Contract", min_probability="0.5", limit="500"))
    assert found
    for item in found:
        assert item["churn_probability"] >= 0.5
        assert "Contract" in [reason["feature"] for reason in item["reasons"]]


async def test_truncation_is_said_where_the_worklist_ends(api, done, monkeypatch):
    monkeypatch.setattr("producer_api.rows.files.MAX_WORKLIST_ROWS", 1_000)
    assert (await api.get(f"{done}/rows"))[1]["truncated"] is True
    assert (await api.get(f"{done}/rows", params={"order": "file"}))[1]["truncated"] is False


async def test_cursor_of_another_list_is_refused(api, done, complete):
    _, content = await api.get(f"{done}/rows", params={"limit": "5"})
    cursor = content["next_cursor"]
    other = await complete((await api.post(FILE))[1])
    for path, parameters in (
        (f"{other}/rows", {}),
        (f"{done}/rows", {"risk": "HIGH"}),
        (f"{done}/rows", {"order": "file"}),
        (f"{done}/rejected", {}),
    ):
        status, problem = await api.get(path, params=parameters | {"cursor": cursor})
        assert (status, problem["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("path", "field", "text"),
    [
        ("rows", "order", "worst"),
        ("rows", "risk", "EXTREME"),
        ("rows", "min_probability", "nan"),
        ("rows", "min_probability", "1.1"),
        ("rows", "reason", ""),
        ("rows", "customer_id", ""),
        ("rows", "limit", "501"),
        ("rows", "limit", "0"),
        ("rows", "cursor", "x"),
        ("rows", "colour", "red"),
        ("export", "top", "0"),
        ("export", "order", ""),
        ("export", "limit", "5"),
        ("rejected", "limit", "101"),
        ("rejected", "code", ""),
    ],
)
async def test_bad_parameter_is_named(api, done, path, field, text):
    status, problem = await api.get(f"{done}/{path}", params={field: text})
    assert (status, problem["code"]) == (422, "invalid_request")
    assert [error["field"].partition(".")[0] for error in problem["errors"]] == [field]


async def test_row_is_explained(api, done, scores, model):
    for number in (2, 21, 43, 700):
        status, row = await api.get(f"{done}/rows/{number}")
        assert status == 200
        assert ExplainedRow.model_validate(row).model_dump(mode="json") == row
        assert row["churn_probability"] == scores[number]["churn_probability"]
        assert list(row["values"]) == [feature.name for feature in model.card.features]
        assert len(row["contributions"]) == len(model.card.terms)
        assert row["sentences"]


@pytest.mark.parametrize("row", ["1", "0", "-1", "1202", "99999999999999999999", "2.5", "x", "%C2%B2"])
async def test_row_that_is_not_there_is_not_found(api, done, row):
    status, problem = await api.get(f"{done}/rows/{row}")
    assert (status, problem["code"]) == (404, "row_not_found")


@pytest.mark.parametrize("path", ["rows/2", "manifest"])
async def test_what_the_client_has_is_not_sent_again(api, done, path):
    async with api.http.get(f"{done}/{path}") as response:
        tag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "private, no-cache"
    async with api.http.get(f"{done}/{path}", headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with api.http.get(f"{done}/{path}", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_export_is_a_csv_file(api, done, scores, monkeypatch):
    monkeypatch.setattr("producer_api.rows.export.PIECE_ROWS", 100)
    for parameters, rows in (
        ({"order": "file"}, 1_200),
        ({}, 1_200 - 30),
        ({"top": "250"}, 250),
        ({"top": "100", "order": "value"}, 100),
        ({"risk": "HIGH", "order": "file"}, sum(row["risk_level"] == "HIGH" for row in scores.values())),
    ):
        async with api.http.get(f"{done}/export", params=parameters) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
            assert response.headers["Content-Disposition"].startswith("attachment; filename=")
            text = await response.text()
        assert len(list(csv.DictReader(io.StringIO(text, newline="")))) == rows


async def test_export_that_fails_does_not_look_whole(api, done, monkeypatch):
    monkeypatch.setattr("producer_api.rows.export.PIECE_ROWS", 100)
    read = results.export_rows

    def fail_later(*arguments, start, **options):
        if start > 300:
            raise OSError("the disk is broken")
        return read(*arguments, start=start, **options)

    monkeypatch.setattr(results, "export_rows", fail_later)
    async with api.http.get(f"{done}/export") as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert (await api.get(f"{done}/rows"))[0] == 200


async def test_rejected_rows_are_listed(api, done):
    pages = await walk(api, f"{done}/rejected", limit="2")
    for page in pages:
        assert RejectedPage.model_validate(page).model_dump(mode="json") == page
    assert [item["row_number"] for item in items(pages)] == [1202, 1203, 1204]
    assert items(pages)[0]["values"]["customerID"] == "=x"
    assert [(group["code"], group["rows"]) for group in pages[0]["groups"]] == [
        ("not_a_number", 2),
        ("out_of_range", 1),
    ]
    (page,) = await walk(api, f"{done}/rejected", code="out_of_range", column="tenure")
    assert [item["row_number"] for item in page["items"]] == [1203]


async def test_manifest_is_the_stored_one(api, done, files):
    status, content = await api.get(f"{done}/manifest")
    assert status == 200
    assert content == json.loads((files[1] / "manifest.json").read_text())
    ResultManifest.model_validate(content)


@pytest.mark.parametrize("path", READS)
async def test_unfinished_prediction_has_no_rows(api, path, owner):
    _, prediction = await api.post(FILE)
    self = prediction["links"]["self"]
    status, problem = await api.get(f"{self}/{path}")
    assert (status, problem["code"]) == (409, "not_finished")
    await owner.execute("update predictions set status = 'CANCELLED', finished_at = now()")
    status, problem = await api.get(f"{self}/{path}")
    assert (status, problem["code"]) == (409, "prediction_failed")


@pytest.mark.parametrize("path", READS)
async def test_only_its_own_tenant_reads_a_result(api, done, issuer, path):
    stranger = {"Authorization": f"Bearer {issuer.mint('globex')}"}
    status, hidden = await api.get(f"{done}/{path}", headers=stranger)
    unknown = f"/v1/predictions/{uuid.uuid4()}/{path}"
    _, missing = await api.get(unknown, headers=stranger)
    assert (status, hidden["code"]) == (404, "prediction_not_found")
    different = {"instance", "request_id"}
    assert {k: v for k, v in hidden.items() if k not in different} == {
        k: v for k, v in missing.items() if k not in different
    }


@pytest.mark.parametrize("path", READS)
async def test_deleted_prediction_is_gone(api, done, path, owner):
    await api.get(f"{done}/rows")  # so that its files are in the cache
    await owner.execute("update outbox set sent_at = now()")
    async with api.http.delete(done) as response:
        assert response.status == 200, await response.text()
    status, problem = await api.get(f"{done}/{path}")
    assert (status, problem["code"]) == (410, "prediction_deleted")


@pytest.mark.parametrize("path", READS)
async def test_result_that_is_no_longer_kept_is_gone(api, done, path, s3, aws):
    listed = await s3.list_objects_v2(Bucket=aws.bucket, Prefix="results/")
    for found in listed["Contents"]:
        await s3.delete_object(Bucket=aws.bucket, Key=found["Key"])
    status, problem = await api.get(f"{done}/{path}")
    assert (status, problem["code"]) == (410, "result_gone")


@pytest.mark.parametrize("path", READS)
async def test_row_that_names_a_foreign_file_shows_nothing(api, complete, done, path, aws):
    _, foreign = await api.get(f"{done}/result")
    result = {
        "bucket": aws.bucket,
        "files": [
            {
                "name": file["name"],
                "key": f"results/acme/{done.rpartition('/')[2]}/1/{file['name']}",
                "media_type": file["media_type"],
                "size_bytes": file["size_bytes"],
                "sha256": file["sha256"],
            }
            for file in foreign["files"]
        ],
    }
    thief = await complete((await api.post(FILE))[1], result=result)
    status, problem = await api.get(f"{thief}/{path}")
    assert (status, problem["code"]) == (500, "internal_error")


async def test_damaged_file_is_not_shown(api, done, s3, aws):
    listed = await s3.list_objects_v2(Bucket=aws.bucket, Prefix="results/")
    for found in listed["Contents"]:
        if found["Key"].endswith(".parquet"):
            await s3.put_object(Bucket=aws.bucket, Key=found["Key"], Body=b"PAR1" * 8)
    for order in ("file", "risk"):
        status, problem = await api.get(f"{done}/rows", params={"order": order})
        assert (status, problem["code"]) == (500, "internal_error")


async def test_result_without_worklist_is_read_in_the_order_of_the_file(api, complete, files):
    manifest = json.loads((files[1] / "manifest.json").read_text())
    manifest["outputs"] = [file for file in manifest["outputs"] if file["name"] != "worklist.parquet"]
    path = await complete((await api.post(FILE))[1], manifest=json.dumps(manifest).encode())
    for refused in ("rows", "rows?order=value", "export"):
        status, problem = await api.get(f"{path}/{refused}")
        assert (status, problem["code"]) == (409, "worklist_missing")
    assert len(items(await walk(api, f"{path}/rows", order="file", limit="500"))) == 1_200
    assert (await api.get(f"{path}/rows", params={"customer_id": "c-0001"}))[1]["items"]


async def test_scores_of_another_build_of_the_model_are_not_explained(api, complete, files):
    manifest = json.loads((files[1] / "manifest.json").read_text())
    manifest["model"]["sha256"] = "0" * 64
    path = await complete((await api.post(FILE))[1], manifest=json.dumps(manifest).encode())
    status, row = await api.get(f"{path}/rows/2")
    assert (status, row["contributions"]) == (200, None)
    assert ExplainedRow.model_validate(row).model_dump(mode="json") == row
    assert row["reasons"][0]["text"] in row["sentences"][1]


@pytest.mark.parametrize("path", READS)
async def test_result_larger_than_the_cache_is_refused(api, done, path, monkeypatch):
    monkeypatch.setattr(api.app[RESULT_CACHE], "_max_bytes", 10)
    status, problem = await api.get(f"{done}/{path}")
    assert (status, problem["code"]) == (409, "result_too_large_to_read")


@pytest.mark.parametrize("path", READS)
async def test_cache_without_room_asks_to_come_again(api, done, path, monkeypatch):
    monkeypatch.setattr(api.app[RESULT_CACHE], "_bytes", 1 << 62)
    async with api.http.get(f"{done}/{path}") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (503, "overloaded")
        assert "Retry-After" in response.headers


async def test_models_are_listed_with_their_features(api, model):
    status, content = await api.get("/v1/models")
    assert status == 200
    assert ModelList.model_validate(content).model_dump(mode="json", exclude_unset=True) == content
    (listed,) = content["models"]
    assert [feature["name"] for feature in listed["features"]] == [f.name for f in model.card.features]
    tenure = next(feature for feature in listed["features"] if feature["name"] == "tenure")
    assert tenure["changeable"] is False


async def test_card_is_whole_and_revalidated(api, model):
    path = "/v1/models/telco-churn@1.0.0"
    async with api.http.get(path) as response:
        content, tag = await response.json(), response.headers["ETag"]
    ModelCard.model_validate(content)
    assert content["model"] == "telco-churn@1.0.0"
    assert content["intercept"] == model.card.intercept
    assert len(content["terms"]) == len(model.card.terms)
    assert content["actions"]
    async with api.http.get(path, headers={"If-None-Match": tag}) as response:
        assert response.status == 304


@pytest.mark.parametrize("ref", ["telco-churn", "telco-churn@9.9.9", "..%2F..", "@", "x" * 500])
async def test_unknown_model_is_not_found(api, ref):
    status, problem = await api.get(f"/v1/models/{ref}")
    assert (status, problem["code"]) in {(404, "model_not_found"), (404, "not_found")}
