from uuid import uuid4

import pytest

from consumer_worker import lone_failures
from consumer_worker.lone_failures import FAULT_AFTER_SECONDS, Blame, LoneFailures

FILE, OTHER = uuid4(), uuid4()


class Clock:
    """A clock that a test turns."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def failures(clock):
    return LoneFailures(clock)


def test_outage_is_to_blame_while_nothing_succeeds(failures, clock):
    for _ in range(5):
        for prediction_id in (FILE, OTHER):
            assert failures.failed(prediction_id) == (Blame.OUTAGE, 0)
        clock.now += FAULT_AFTER_SECONDS


def test_file_is_to_blame_once_it_failed_alone_for_long(failures, clock):
    assert failures.failed(FILE) == (Blame.OUTAGE, 0)
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.PERHAPS_FILE, 1)
    clock.now += FAULT_AFTER_SECONDS - 1
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.PERHAPS_FILE, 2)
    clock.now += 1
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.FILE, 3)


def test_outage_in_between_is_not_held_against_a_file(failures, clock):
    failures.failed(FILE)
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.PERHAPS_FILE, 1)
    failures.failed(OTHER)
    clock.now += FAULT_AFTER_SECONDS
    assert failures.failed(FILE) == (Blame.OUTAGE, 0)
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.PERHAPS_FILE, 1)


def test_file_that_failed_alone_neither_stops_nor_ends_while_nothing_else_happens(failures, clock):
    failures.failed(FILE)
    failures.succeeded(OTHER)
    for times in (1, 2, 3):
        assert failures.failed(FILE) == (Blame.PERHAPS_FILE, times)
        clock.now += FAULT_AFTER_SECONDS
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.FILE, 4)


def test_success_of_the_file_itself_ends_its_story(failures):
    failures.failed(FILE)
    failures.succeeded(FILE)
    assert failures.failed(FILE) == (Blame.OUTAGE, 0)


def test_memory_is_bounded(failures, monkeypatch):
    monkeypatch.setattr(lone_failures, "MAX_REMEMBERED", 2)
    failures.failed(FILE)
    for _ in range(2):
        failures.failed(uuid4())
    failures.succeeded(OTHER)
    assert failures.failed(FILE) == (Blame.OUTAGE, 0)
