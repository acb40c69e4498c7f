import asyncio

import pytest

from consumer_worker import retrying
from consumer_worker.errors import DatabaseUnavailable
from consumer_worker.retrying import retry_unavailable


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "PAUSE_BASE_SECONDS", 0.001)
    monkeypatch.setattr(retrying, "PAUSE_CAP_SECONDS", 0.002)


class Call:
    def __init__(self, failures, error=DatabaseUnavailable):
        self.left, self.error, self.times = failures, error, 0

    async def __call__(self):
        self.times += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "answer"


async def test_call_is_repeated_until_its_answer_comes():
    call = Call(failures=3)
    assert await retry_unavailable(call, within_seconds=60) == "answer"
    assert call.times == 4


async def test_call_raises_when_the_time_is_over():
    call = Call(failures=10**9)
    with pytest.raises(DatabaseUnavailable):
        async with asyncio.timeout(30):
            await retry_unavailable(call, within_seconds=0.1)
    assert call.times > 1


async def test_other_errors_are_not_repeated():
    call = Call(failures=1, error=KeyError)
    with pytest.raises(KeyError):
        await retry_unavailable(call, within_seconds=60)
    assert call.times == 1
