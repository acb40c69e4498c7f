"""Every failure comes with advice."""

from producer_api.failures.advice import ADVICE
from retainwise_contracts.failures import FAILURES


def test_each_failure_code_has_advice():
    assert ADVICE.keys() == FAILURES.keys()
    assert all(text.endswith(".") for text in ADVICE.values())
