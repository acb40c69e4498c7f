"""What a tenant does with a prediction: create it from an upload, label it, cancel it, retry it."""

import asyncio
import json
from uuid import uuid4

import pytest

from producer_api.predictions.events import LISTENER
from retainwise_contracts.codec import decode
from retainwise_contracts.prediction_finished import PredictionCancelledV1
from retainwise_contracts.prediction_requested import PredictionRequestedV1

RUNNING = """
update predictions set status = 'RUNNING', fence = fence + 1, attempt = 1, started_at = now(),
    lease_owner = 'w', lease_token = gen_random_uuid(), lease_until = now() + interval '5 min'
where prediction_id = $1
"""

FAILED = """
update predictions set status = 'FAILED', finished_at = now(), lease_owner = null, lease_token = null,
    lease_until = null, failure = '{"code": "internal_error", "message": "Something went wrong on our side."}'
where prediction_id = $1
"""


@pytest.fixture
async def prediction(api):
    """A prediction that no worker has seen yet."""
    status, prediction = await api.post()
    assert status == 202
    return prediction


async def send(api, method, path, content=None, **headers):
    """Send JSON and return the answer with its JSON."""
    async with api.http.request(method, path, json=content, headers=headers) as response:
        return response, await response.json(content_type=None)


async def requests(owner):
    """Return all messages for the workers, the oldest first."""
    rows = await owner.fetch("select body from outbox where destination = 'predictions' order by outbox_id")
    messages = [decode(row["body"]).data for row in rows]
    assert all(isinstance(message, PredictionRequestedV1) for message in messages)
    return messages


async def test_prediction_of_an_upload_says_all_that_was_asked(api, prediction, owner):
    wanted = {
        "upload_id": prediction["upload"]["upload_id"],
        "model": "telco-churn@1.0.0",
        "mapping": {"tenure": "tenure"},
        "values": {"Contract": {"mtm": "Month-to-month"}},
        "options": {"reasons": 1, "confirm": ["tenure"], "customer_value_period": "year"},
        "currency": "€",
        "label": "November, EMEA",
        "metadata": {"source": {"crm": "north"}, "run": 7},
        "deadline": "2999-01-01T00:00:00+01:00",
    }
    response, created = await send(api, "POST", "/v1/predictions", wanted)
    assert response.status == 202
    assert response.headers["Location"] == created["links"]["self"]
    assert response.headers["Retry-After"] == "1"
    assert created["mapping"] == wanted["mapping"]
    assert created["label"] == wanted["label"]
    assert created["metadata"] == wanted["metadata"]
    assert created["upload"] == prediction["upload"]
    assert created["options"] == {
        "reasons": 1,
        "confirmed": ["tenure"],
        "values": wanted["values"],
        "currency": "€",
        "customer_value_period": "year",
    }
    assert created["deadline"] == "2998-12-31T23:00:00Z"
    first, second = await requests(owner)
    assert second.upload == first.upload
    assert second.mapping == wanted["mapping"]
    assert second.options.model_dump(mode="json") == created["options"]
    row = await owner.fetchrow(
        "select mapping, options from predictions where prediction_id = $1", second.prediction_id
    )
    assert json.loads(row["mapping"]) == second.mapping
    assert json.loads(row["options"]) == second.options.model_dump(mode="json")


async def test_file_may_come_with_a_label_metadata_and_values(api, customers, owner):
    parameters = {
        "label": "November",
        "metadata": '{"run": 7}',
        "values": '{"Contract": {"mtm": "Month-to-month"}}',
        "currency": "USD",
        "customer_value_period": "year",
    }
    status, created = await api.post(customers, params=parameters)
    assert status == 202
    assert (created["label"], created["metadata"]) == ("November", {"run": 7})
    (message,) = await requests(owner)
    assert message.options.values == {"Contract": {"mtm": "Month-to-month"}}
    assert (message.options.currency, message.options.customer_value_period) == ("USD", "year")


def broken(upload_id):
    """Bodies with one thing wrong each, and the field that the answer must name."""
    whole = {"upload_id": upload_id}
    return [
        ({}, "upload_id"),
        ({"upload_id": "1"}, "upload_id"),
        (whole | {"colour": "red"}, "colour"),
        (whole | {"mapping": {"tenure": 1}}, "mapping.tenure"),
        (whole | {"mapping": {"shoe size": "tenure"}}, "mapping"),
        (whole | {"mapping": {"tenure": "x" * 17_000}}, "mapping"),
        (whole | {"model": "none@1.0.0"}, "model"),
        (whole | {"values": {"Contract": {"mtm": "Forever"}}}, "values.Contract"),
        (whole | {"values": {"tenure": {"x": "1"}}}, "values"),
        (whole | {"options": {"reasons": "3"}}, "options.reasons"),
        (whole | {"options": {"reasons": 6}}, "options.reasons"),
        (whole | {"options": {"confirm": ["shoe size"]}}, "confirm"),
        (whole | {"currency": "\n"}, "currency"),
        (whole | {"label": ""}, "label"),
        (whole | {"label": "x" * 101}, "label"),
        (whole | {"metadata": []}, "metadata"),
        (whole | {"metadata": {"a": "\0"}}, "metadata"),
        (whole | {"metadata": {"a": "x" * 16_400}}, "metadata"),
        (whole | {"metadata": {str(n): 1e300 for n in range(100)}}, "metadata"),
        (whole | {"metadata": json.loads('{"a":' * 9 + "1" + "}" * 9)}, "metadata"),
        (whole | {"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        (whole | {"deadline": 4_000_000_000}, "deadline"),
    ]


async def test_broken_body_is_named_and_queues_nothing(api, prediction, owner, subtests):
    for content, field in broken(prediction["upload"]["upload_id"]):
        with subtests.test(field, content=str(content)[:80]):
            response, problem = await send(api, "POST", "/v1/predictions", content)
            assert (response.status, problem["errors"][0]["field"]) == (422, field), problem
    assert await owner.fetchval("select count(*) from predictions") == 1


async def test_only_ready_uploads_of_the_tenant_are_scored(api, prediction, owner, s3, aws, issuer):
    body = {"upload_id": prediction["upload"]["upload_id"]}
    response, problem = await send(api, "POST", "/v1/predictions", {"upload_id": str(uuid4())})
    assert (response.status, problem["code"]) == (404, "upload_not_found")
    other = f"Bearer {issuer.mint('globex')}"
    response, problem = await send(api, "POST", "/v1/predictions", body, Authorization=other)
    assert (response.status, problem["code"]) == (404, "upload_not_found")
    await owner.execute("update uploads set state = 'AWAITING', expires_at = now()")
    response, problem = await send(api, "POST", "/v1/predictions", body)
    assert (response.status, problem["code"]) == (409, "upload_not_ready")
    await owner.execute("update uploads set state = 'READY'")
    (key,) = [row["object_key"] for row in await owner.fetch("select object_key from uploads")]
    await s3.delete_object(Bucket=aws.bucket, Key=key)
    response, problem = await send(api, "POST", "/v1/predictions", body)
    assert (response.status, problem["code"]) == (410, "upload_gone")


async def test_create_waits_for_the_end(api, customers, owner, until):
    async def finish():
        await until(lambda: owner.fetchval("select exists (select from predictions)"))
        (row,) = await owner.fetch("select prediction_id from predictions")
        await owner.execute(FAILED, row["prediction_id"])

    finishing = asyncio.create_task(finish())
    status, created = await api.post(customers, headers={"Prefer": "wait=30"})
    await finishing
    assert (status, created["status"]) == (200, "FAILED")
    status, created = await api.post(customers, headers={"Prefer": "wait=1"})
    assert (status, created["status"]) == (202, "QUEUED")
    status, created = await api.post(customers, headers={"Prefer": "respond-async, wait=0"})
    assert (status, created["status"]) == (202, "QUEUED")


async def test_read_waits_for_a_change(api, prediction, owner, until):
    path = prediction["links"]["self"]

    async def is_sent() -> bool:
        return bool((await send(api, "GET", path))[1]["queued_at"])

    await until(is_sent)  # its tag changes with that
    response, _ = await send(api, "GET", path)
    assert "Preference-Applied" not in response.headers
    tag = response.headers["ETag"]
    assert not tag.startswith("W/")
    async with api.http.get(path, headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert response.headers["ETag"] == tag

    async def one_waits() -> bool:
        return bool(api.app[LISTENER]._waiting)

    waiting = asyncio.create_task(send(api, "GET", path, **{"If-None-Match": tag, "Prefer": "wait=30"}))
    await until(one_waits)
    await owner.execute(RUNNING, prediction["prediction_id"])
    response, changed = await waiting
    assert response.headers["Preference-Applied"] == "wait=30"
    assert (response.status, changed["status"]) == (200, "RUNNING")
    assert response.headers["ETag"] != tag
    waiting = asyncio.create_task(send(api, "GET", path, Prefer="wait=30"))
    await until(one_waits)
    await owner.execute(FAILED, prediction["prediction_id"])
    _, ended = await waiting
    assert ended["status"] == "FAILED"


async def test_description_is_merged(api, prediction):
    path = prediction["links"]["self"]
    _, now = await send(
        api, "PATCH", path, {"label": "November", "metadata": {"a": 1, "b": {"c": 2, "d": 3}}}
    )
    assert (now["label"], now["metadata"]) == ("November", {"a": 1, "b": {"c": 2, "d": 3}})
    _, now = await send(api, "PATCH", path, {"metadata": {"a": None, "b": {"c": [4]}, "e": {"f": None}}})
    assert (now["label"], now["metadata"]) == ("November", {"b": {"c": [4], "d": 3}, "e": {}})
    _, now = await send(api, "PATCH", path, {"label": None})
    assert (now["label"], now["metadata"]) == (None, {"b": {"c": [4], "d": 3}, "e": {}})
    _, now = await send(api, "PATCH", path, {"metadata": None})
    assert (now["label"], now["metadata"]) == (None, None)


async def test_description_is_changed_as_it_was_read(api, prediction, owner):
    path = prediction["links"]["self"]
    response, _ = await send(api, "GET", path)
    tag = response.headers["ETag"]
    response, now = await send(api, "PATCH", path, {"label": "mine"}, **{"If-Match": tag})
    assert response.status == 200
    response, problem = await send(api, "PATCH", path, {"label": "theirs"}, **{"If-Match": tag})
    assert (response.status, problem["code"]) == (412, "precondition_failed")
    await owner.execute(FAILED, prediction["prediction_id"])
    response, now = await send(api, "PATCH", path, {"metadata": {"seen": True}})
    assert (response.status, now["label"], now["status"]) == (200, "mine", "FAILED")
    async with api.http.patch(path, json={"metadata": {"a": "x" * 16_400}}) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["errors"][0]["field"]) == (422, "metadata")
    response, problem = await send(api, "PATCH", f"/v1/predictions/{uuid4()}", {"label": "x"})
    assert (response.status, problem["code"]) == (404, "prediction_not_found")


@pytest.mark.parametrize("stage", ["queued", "running"])
async def test_cancelled_prediction_is_announced_once(api, prediction, owner, stage):
    path = prediction["links"]["self"]
    if stage == "running":
        await owner.execute(RUNNING, prediction["prediction_id"])
    response, cancelled = await send(api, "POST", f"{path}/cancel", **{"Idempotency-Key": "stop"})
    assert (response.status, cancelled["status"], cancelled["phase"]) == (200, "CANCELLED", "done")
    response, again = await send(api, "POST", f"{path}/cancel", **{"Idempotency-Key": "stop"})
    assert (response.status, again) == (200, cancelled)
    assert response.headers["Idempotency-Replayed"] == "true"
    response, problem = await send(api, "POST", f"{path}/cancel")
    assert (response.status, problem["code"]) == (409, "already_finished")
    assert problem["prediction_status"] == "CANCELLED"
    (body,) = [
        row["body"] for row in await owner.fetch("select body from outbox where destination = 'events'")
    ]
    event = decode(body).data
    assert isinstance(event, PredictionCancelledV1)
    assert event.attempts == (1 if stage == "running" else 0)
    assert str(event.prediction_id) == prediction["prediction_id"]


async def test_cancel_and_completion_agree_on_one_end(api, customers, owner):
    for _ in range(10):
        _, prediction = await api.post(customers)
        await owner.execute(RUNNING, prediction["prediction_id"])
        path = prediction["links"]["self"]
        (response, _), ended = await asyncio.gather(
            send(api, "POST", f"{path}/cancel"),
            owner.execute(f"{FAILED} and finished_at is null", prediction["prediction_id"]),
        )
        _, now = await api.get(path)
        assert (response.status, now["status"]) in {(200, "CANCELLED"), (409, "FAILED")}
        assert (ended == "UPDATE 1") == (now["status"] == "FAILED")
        types = [event["type"] for event in (await api.get(f"{path}/events"))[1]["items"]]
        assert types == ["queued", "running", now["status"].lower()]


async def test_retry_is_a_new_prediction_as_before_or_otherwise(api, customers, owner):
    parameters = {"reasons": "5", "mapping": '{"tenure": "tenure"}', "label": "November"}
    _, first = await api.post(customers, params=parameters)
    path = f"{first['links']['self']}/retry"
    response, problem = await send(api, "POST", path)
    assert (response.status, problem["code"]) == (409, "not_finished")
    await owner.execute(FAILED, first["prediction_id"])
    response, second = await send(api, "POST", path)
    assert response.status == 202
    assert response.headers["Location"] == second["links"]["self"]
    assert second["retry_of"] == first["prediction_id"]
    same = ("model", "mapping", "options", "label", "upload")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    response, third = await send(
        api, "POST", path, {"options": {"reasons": 0}, "mapping": {}, "label": "December"}
    )
    assert (third["options"]["reasons"], third["mapping"], third["label"]) == (0, {}, "December")
    one, two, three = await requests(owner)
    assert one.upload == two.upload == three.upload
    assert (one.options, one.mapping) == (two.options, two.mapping)
    assert (three.options.reasons, three.mapping) == (0, {})


async def test_retry_of_a_row_without_options_uses_the_defaults(api, prediction, owner):
    """The release before did not store them."""
    await owner.execute("update predictions set mapping = null, options = null")
    await owner.execute(FAILED, prediction["prediction_id"])
    response, retried = await send(api, "POST", f"{prediction['links']['self']}/retry")
    assert (response.status, retried["mapping"], retried["options"]["reasons"]) == (202, {}, 3)
    assert (retried["label"], retried["metadata"]) == (None, None)


async def test_unfinished_predictions_are_limited(start_api, customers, owner):
    async with start_api(max_unfinished_predictions="2") as api:
        _, first = await api.post(customers)
        await owner.execute(FAILED, first["prediction_id"])
        retry = f"{first['links']['self']}/retry"
        assert (await send(api, "POST", retry))[0].status == 202
        assert (await send(api, "POST", retry))[0].status == 202
        for response, problem in (
            await send(api, "POST", retry),
            await send(api, "POST", "/v1/predictions", {"upload_id": first["upload"]["upload_id"]}),
        ):
            assert (response.status, problem["code"]) == (429, "too_many_unfinished_predictions")
            assert "Retry-After" in response.headers
        status, problem = await api.post(customers)
        assert (status, problem["code"]) == (429, "too_many_unfinished_predictions")
        assert await owner.fetchval("select count(*) from uploads") == 1


async def test_description_and_end_keep_each_other(api, customers, owner):
    """A label that is written while the worker ends the prediction is not lost, and neither is the end."""
    for _ in range(10):
        _, prediction = await api.post(customers)
        path = prediction["links"]["self"]
        (response, _), _ = await asyncio.gather(
            send(api, "PATCH", path, {"label": "kept"}), owner.execute(FAILED, prediction["prediction_id"])
        )
        assert response.status == 200
        _, now = await api.get(path)
        assert (now["label"], now["status"]) == ("kept", "FAILED")


async def test_concurrent_patches_are_all_merged(api, prediction):
    path = prediction["links"]["self"]
    response, _ = await send(api, "GET", path)
    changes = [send(api, "PATCH", path, {"metadata": {str(number): number}}) for number in range(12)]
    assert {response.status for response, _ in await asyncio.gather(*changes)} == {200}
    response, now = await send(api, "GET", path)
    assert now["metadata"] == {str(number): number for number in range(12)}
    tag = {"If-Match": response.headers["ETag"]}
    changes = [send(api, "PATCH", path, {"label": str(number)}, **tag) for number in range(12)]
    statuses = sorted(response.status for response, _ in await asyncio.gather(*changes))
    assert statuses == [200, *[412] * 11]
