"""A customer file through HTTP, S3, PostgreSQL, SQS, a worker and the model, and back."""

import asyncio
import csv
import io
import json

import pytest

from deploy.local.provision import REGION
from deploy.local.sample import SAMPLE
from retainwise_contracts.codec import decode
from retainwise_contracts.prediction_finished import PredictionCompletedV1
from retainwise_contracts.results import Summary, score_columns

TIMEOUT_SECONDS = 60


class Frontend:
    """What a frontend does, with one tenant's token."""

    def __init__(self, http, stack, tenant_id):
        self._http = http
        self._url = stack.api_url
        self._headers = {"Authorization": f"Bearer {stack.issuer.mint(tenant_id)}"}

    async def upload(self, content):
        headers = self._headers | {"Content-Type": "text/csv"}
        async with self._http.post(f"{self._url}/v1/predictions", data=content, headers=headers) as answer:
            return answer.status, answer.headers.get("Location"), await answer.json(content_type=None)

    async def get(self, path):
        async with self._http.get(f"{self._url}{path}", headers=self._headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def wait_for(self, path):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                status, prediction = await self.get(path)
                assert status == 200, prediction
                if prediction["status"] not in {"QUEUED", "RUNNING"}:
                    return prediction
                await asyncio.sleep(0.05)


@pytest.fixture
def frontend(http, stack):
    return Frontend(http, stack, "acme")


async def test_sample_is_scored_and_explained(frontend, http):
    status, location, accepted = await frontend.upload(SAMPLE.read_bytes())
    assert (status, accepted["status"]) == (202, "QUEUED")
    prediction = await frontend.wait_for(location)
    assert prediction["status"] == "COMPLETED"
    assert prediction["rows"] == {"total": 1000, "scored": 1000, "rejected": 0}
    assert (
        prediction["requested_at"]
        <= prediction["queued_at"]
        <= prediction["started_at"]
        <= prediction["finished_at"]
    )
    summary = Summary.model_validate_json(json.dumps(prediction["summary"]))
    assert all(len(customer.reasons) == 3 for customer in summary.highest_risk)

    status, result = await frontend.get(f"{location}/result")
    assert status == 200
    links = {file["name"]: file["url"] for file in result["files"]}
    assert set(links) == {"scores.csv", "scores.parquet", "rejected.csv", "manifest.json"}
    async with http.get(links["scores.csv"]) as answer:  # no token: the link is signed
        assert answer.status == 200
        scores = list(csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
    assert list(scores[0]) == [column.name for column in score_columns(3)]
    assert [row["row_number"] for row in scores] == [str(number) for number in range(2, 1002)]
    assert all(0 < float(row["churn_probability"]) < 1 for row in scores)


async def test_many_files_of_several_tenants_are_all_scored_once(http, stack):
    content = b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[:51])
    frontends = [Frontend(http, stack, tenant_id) for tenant_id in ("north", "south", "east")]

    async def score(frontend):
        status, location, _ = await frontend.upload(content)
        assert status == 202
        return await frontend.wait_for(location)

    predictions = await asyncio.gather(*(score(frontend) for frontend in frontends * 8))
    assert len({prediction["prediction_id"] for prediction in predictions}) == 24
    for prediction in predictions:
        assert (prediction["status"], prediction["rows"]["scored"], prediction["attempt"]) == (
            "COMPLETED",
            50,
            1,
        )


async def test_file_that_only_the_worker_can_reject_fails_with_a_sentence(frontend):
    header, *rows = SAMPLE.read_text().splitlines()
    spoilt = "\n".join([header, *("," + row.partition(",")[2] for row in rows[:200])])
    status, location, _ = await frontend.upload(spoilt.encode())
    assert status == 202
    prediction = await frontend.wait_for(location)
    assert (prediction["status"], prediction["failure"]["code"]) == ("FAILED", "too_many_bad_rows")
    assert "200 of 200 rows" in prediction["failure"]["message"]
    status, problem = await frontend.get(f"{location}/result")
    assert (status, problem["code"]) == (409, "prediction_failed")


async def test_another_tenant_cannot_see_the_prediction(frontend, http, stack):
    _, location, accepted = await frontend.upload(SAMPLE.read_bytes())
    other = Frontend(http, stack, "globex")
    status, problem = await other.get(location)
    unknown_status, unknown = await other.get("/v1/predictions/0199c0de-0000-7000-8000-000000000001")
    assert (status, unknown_status) == (404, 404)
    assert problem["code"] == unknown["code"] == "prediction_not_found"
    assert (await other.get(f"{location}/result"))[0] == 404
    assert accepted["prediction_id"] not in json.dumps(problem["detail"])


async def test_completed_prediction_is_published_to_the_topic(frontend, stack, aws_session):
    env = {"region_name": REGION, "endpoint_url": f"http://127.0.0.1:{stack.ports.emulator}"}
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    async with (
        aws_session.create_client("sqs", **env, **keys) as sqs,
        aws_session.create_client("sns", **env, **keys) as sns,
    ):
        queue = (await sqs.create_queue(QueueName="another-team"))["QueueUrl"]
        got = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        (topic,) = (await sns.list_topics())["Topics"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": got["Attributes"]["QueueArn"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        await sns.subscribe(
            TopicArn=topic["TopicArn"],
            Protocol="sqs",
            Endpoint=got["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        _, location, accepted = await frontend.upload(SAMPLE.read_bytes())
        await frontend.wait_for(location)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                received = await sqs.receive_message(
                    QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10
                )
                events = [decode(message["Body"]) for message in received.get("Messages", ())]
                mine = [event for event in events if event.subject == accepted["prediction_id"]]
                if mine:
                    break
    (event,) = mine
    assert isinstance(event.data, PredictionCompletedV1)
    assert (event.tenantid, event.data.rows.total) == ("acme", 1000)
