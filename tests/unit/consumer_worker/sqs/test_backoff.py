"""The random time to wait before something that failed is tried again."""

import pytest

from consumer_worker.sqs.backoff import full_jitter


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 2.0), (2, 4.0), (4, 16.0), (6, 60.0), (5_000, 60.0)])
def test_jitter_doubles_with_each_failure_up_to_the_cap(failures, ceiling):
    delays = [full_jitter(failures, base=2.0, cap=60.0) for _ in range(2_000)]
    assert all(0 <= delay <= ceiling for delay in delays)
    assert max(delays) > 0.9 * ceiling
    assert min(delays) < 0.1 * ceiling
