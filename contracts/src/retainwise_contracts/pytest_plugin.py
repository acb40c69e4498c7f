"""The pytest plugin, loaded wherever the package is installed. It needs nothing but pytest.

Fixtures: `retainwise_message` (the factory `create_message`), `retainwise_queue`, `retainwise_topic`, and
`retainwise_corpus_message`, with which a test runs once for each message of the corpus.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from retainwise_contracts.codec import Message
    from retainwise_contracts.envelope import Envelope
    from retainwise_contracts.testing import FakeQueue, FakeTopic

# The contracts are imported where they are used: a run that uses none of the fixtures does not wait for them.

CORPUS_FIXTURE = "retainwise_corpus_message"


@pytest.fixture
def retainwise_message() -> "Callable[..., Envelope[Message]]":
    """Create a message from an example: `retainwise_message(PredictionCompletedV1, rows__scored=5)`."""
    from retainwise_contracts.testing import create_message

    return create_message


@pytest.fixture
def retainwise_queue() -> "FakeQueue":
    """Provide an SQS queue in memory that checks what is sent and how it is settled."""
    from retainwise_contracts.testing import FakeQueue

    return FakeQueue()


@pytest.fixture
def retainwise_topic() -> "FakeTopic":
    """Provide an SNS topic in memory that checks what is published."""
    from retainwise_contracts.testing import FakeTopic

    return FakeTopic()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for the corpus once for each of its messages."""
    if CORPUS_FIXTURE in metafunc.fixturenames:
        from retainwise_contracts.releases import load_corpus

        corpus = load_corpus()
        metafunc.parametrize(
            CORPUS_FIXTURE, corpus, ids=[f"{message.release}-{message.name}" for message in corpus]
        )
