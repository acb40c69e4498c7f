"""Rates: a tenant has its own bucket, which fills again steadily."""

import pytest

from producer_api.http import limits
from producer_api.http.limits import RateLimits


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_tenant_may_send_ten_seconds_worth_at_once_and_then_steadily(clock):
    rates = RateLimits(2, clock)
    assert rates.policy == '"requests";q=20;w=10'
    assert [rates.take("acme") for _ in range(20)] == list(range(19, -1, -1))
    left = rates.take("acme")
    assert left == -1
    assert rates.seconds_until_next(left) == 1
    assert rates.state(left) == '"requests";r=0;t=11'
    clock.now += 0.5
    assert rates.take("acme") == 0
    assert rates.take("acme") < 0
    clock.now += 3_600
    assert rates.take("acme") == 19
    assert rates.state(19) == '"requests";r=19;t=1'


def test_tenant_does_not_use_up_the_requests_of_another(clock):
    rates = RateLimits(1, clock)
    while rates.take("busy") >= 0:
        pass
    assert rates.take("quiet") == 9


def test_refused_requests_do_not_delay_the_next_one(clock):
    rates = RateLimits(0.1, clock)
    assert rates.take("acme") == 0
    assert all(rates.seconds_until_next(rates.take("acme")) == 10 for _ in range(1_000))
    clock.now += 10
    assert rates.take("acme") == 0


def test_silent_tenants_are_forgotten(clock, monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUCKETS", 3)
    rates = RateLimits(1, clock)
    for tenant in ("first", "second", "third", "first", "fourth"):
        rates.take(tenant)
    assert rates.take("first") == 7
    assert rates.take("second") == 9  # it was silent for longest
