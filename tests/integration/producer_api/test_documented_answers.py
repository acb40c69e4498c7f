"""What the API answers about predictions is what their models, and so the OpenAPI document, say."""

import json

import pytest

from producer_api.failures.models import FailureReport
from producer_api.predictions.models import EventPage, PredictionPage, PredictionResource, Receipt

FAILURE = {"code": "not_a_csv", "fault": "user", "retryable": False, "message": "It is not."}


@pytest.fixture
async def failed(api, customers, owner):
    """A failed prediction with all that a tenant can write on one."""
    parameters = {
        "label": "November",
        "metadata": '{"a": [1, {"b": null}]}',
        "mapping": '{"tenure": "tenure"}',
    }
    status, prediction = await api.post(customers, params=parameters)
    assert status == 202
    await owner.execute(
        """
        update predictions set status = 'RUNNING', fence = 1, attempt = 1, started_at = now(),
            lease_owner = 'w', lease_until = now() + interval '5 min'
        """
    )
    await owner.execute("update predictions set progress_rows = 10, progress_total = 20")
    await owner.execute(
        """
        update predictions set status = 'FAILED', finished_at = now(), lease_owner = null, lease_until = null,
            failure = $1
        """,
        json.dumps(FAILURE),
    )
    return prediction


def names(content):
    """Return the names of all members, at any depth."""
    if isinstance(content, dict):
        return {name: names(value) for name, value in content.items()}
    return [names(item) for item in content] if isinstance(content, list) else None


def assert_documented(model, content):
    """Check that an answer has what its model has, and nothing else."""
    dumped = model.model_validate(content).model_dump(mode="json")
    assert names(dumped) == names(content)


async def test_answers_are_as_documented(api, failed):
    path = failed["links"]["self"]
    assert_documented(PredictionResource, failed)
    _, now = await api.get(path)
    assert now["progress"] == {"rows": 10, "expected_rows": 20}
    assert_documented(PredictionResource, now)
    assert_documented(PredictionPage, (await api.get("/v1/predictions"))[1])
    assert_documented(EventPage, (await api.get(f"{path}/events"))[1])
    assert_documented(FailureReport, (await api.get("/v1/failures"))[1])
    async with api.http.delete(path) as response:
        assert_documented(Receipt, await response.json())
