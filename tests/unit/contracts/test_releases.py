import json

import pytest

from retainwise_contracts.channels import EVENTS, REQUESTS
from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.compatibility import Change, ChangeKind
from retainwise_contracts.releases import (
    CorpusMessage,
    find_differences,
    list_releases,
    load_corpus,
    load_released_schemas,
)
from tests.contracts import gate
from tests.contracts.kept import find_changed, list_kept


def test_no_released_file_has_changed():
    """A new release is added by `python -m tests.contracts.freeze`; the old ones stay."""
    assert find_changed() == []
    assert tuple(list_kept()) == list_releases()


def test_corpus_has_three_cases_of_each_message_of_each_release():
    names = {(message.release, message.name) for message in load_corpus()}
    for release in list_releases():
        assert {
            (release, f"{message_type}.{case}")
            for message_type in load_released_schemas(release)
            for case in ("minimal", "full", "edge")
        } <= names


def test_message_of_the_corpus_reads_as_it_did(retainwise_corpus_message):
    retainwise_corpus_message.check()


def test_corpus_asserts_values():
    sample = next(message for message in load_corpus() if "failed.v1.full" in message.name)
    changed = json.loads(sample.body)
    changed["data"]["failure"]["retryable"] = True
    with pytest.raises(ValueError, match=r"data\.failure\.retryable"):
        CorpusMessage(sample.release, sample.name, json.dumps(changed), sample.data).check()


def test_difference_of_true_and_one_is_found():
    assert [found.where for found in find_differences({"a": [True]}, {"a": [1]}, "d")] == ["d.a[0]"]
    assert [found.missing for found in find_differences({"a": 1}, {}, "d")] == [True]
    assert list(find_differences({"a": 1}, {"a": 1, "b": 2}, "d")) == []


def test_every_message_travels_through_one_channel():
    assert dict(MESSAGES) == {**REQUESTS, **EVENTS}
    assert not set(REQUESTS) & set(EVENTS)


@pytest.mark.parametrize(
    ("version", "kind", "forbidden"),
    [
        ("1.0.0", ChangeKind.TEXT_CHANGED, False),
        ("1.0.0", ChangeKind.OPTIONAL_FIELD_ADDED, True),
        ("1.1.0", ChangeKind.OPTIONAL_FIELD_ADDED, False),
        ("1.1.0", ChangeKind.NAME_REMOVED, True),
        ("2.0.0", ChangeKind.NAME_REMOVED, False),
        ("2.0.0", ChangeKind.MESSAGE_REMOVED, False),
        ("2.0.0", ChangeKind.FIELD_REMOVED, True),
        ("2.0.0", ChangeKind.UNIT_CHANGED, True),
    ],
)
def test_version_decides_which_changes_may_be_released(monkeypatch, version, kind, forbidden):
    monkeypatch.setattr(gate, "read_version", lambda: version)
    assert bool(gate.find_forbidden("1.0.0", [Change("m", kind)])) is forbidden
