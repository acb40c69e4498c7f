"""Settings are refused unless a lease can be kept with them."""

import dataclasses

import pytest

from consumer_worker.sqs.settings import ConsumerSettings


def settings_with(**changes):
    return dataclasses.replace(ConsumerSettings(), **changes)


@pytest.mark.parametrize(
    "times",
    [
        {"heartbeat_seconds": 0},
        {"heartbeat_seconds": 6.0},
        {"lease_margin_seconds": 30.0},
        {"extend_below_seconds": 60.0},
        {"extend_below_seconds": 6.0},
        {"visibility_seconds": 30},
        {"max_handling_seconds": 50.0},
        {"max_handling_seconds": 43_201.0},
        {"max_handlers": 0},
        {"prefetch": -1},
        {"max_receivers": 0},
        {"max_handlers_per_group": 0},
        {"max_set_aside": -1},
        {"set_aside_after_seconds": 0},
        {"long_poll_seconds": 21},
        {"round_trip_seconds": -1.0},
        {"ack_wait_seconds": -0.1},
        {"retry_base_seconds": 0},
        {"retry_cap_seconds": 50_000.0},
        {"request_retry_base_seconds": 0},
        {"probe_base_seconds": 6.0},
        {"probe_timeout_seconds": 0},
        {"release_spread_seconds": -1},
        {"grace_margin_seconds": 30.0},
        {"poll_drain_seconds": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(times):
    """Rule 6."""
    with pytest.raises(ValueError, match=next(iter(times))):
        settings_with(**times)


@pytest.mark.parametrize("visibility", [1, 2, 30, 300, 43_200])
def test_settings_fit_any_visibility(visibility):
    """Rule 6."""
    settings = ConsumerSettings.for_visibility(visibility)
    assert 0 < settings.heartbeat_seconds < settings.extend_below_seconds < visibility


def test_connection_pool_fits_receives_acks_and_heartbeats():
    """Rule 3."""
    settings = settings_with(max_handlers=100, prefetch=100, max_receivers=6)
    batches_of_all_that_is_held = 20
    assert settings.max_connections >= 6 + 2 * batches_of_all_that_is_held
    shared = settings_with(max_handlers=100, prefetch=100, max_handlers_per_group=9, max_set_aside=101)
    assert shared.max_connections == settings.max_connections + 11
