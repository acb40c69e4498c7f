"""The README's subscriber, as another team runs it: in an empty environment, against the emulator."""

import asyncio
import os
import re
from pathlib import Path

from aiobotocore.session import get_session

from deploy.local.provision import CREDENTIALS, REGION, provision
from retainwise_contracts.codec import encode
from retainwise_contracts.prediction_finished import PredictionCancelledV1, PredictionCompletedV1
from retainwise_contracts.testing import create_message, message_attributes
from tests.contracts.distribution import PROJECT

README = PROJECT / "README.md"
LINE_SECONDS = 60.0
EXPECTED = "globex: 5 scored, 2 at high risk\n"


def read_program() -> str:
    """The program in the README."""
    found = re.search(r"## Subscribe\n.*?```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def read_environment() -> dict[str, str]:
    """The variables in the README."""
    return dict(re.findall(r"([A-Z_]+)=(\S+)", README.read_text("utf-8").partition("```sh")[2]))


async def check_subscriber(python: Path, folder: Path, endpoint_url: str) -> None:
    """Run the program as it stands with `python`; it must handle a completed event, and that alone.

    Raises:
        AssertionError: it printed something else.
    """
    program = folder / "subscriber.py"
    program.write_text(read_program())
    topic = (await provision(endpoint_url)).topic_arn
    documented = read_environment()
    assert documented["PREDICTION_EVENTS_TOPIC_ARN"] == topic
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", str(program)),
        env=documented | {"AWS_ENDPOINT_URL": endpoint_url, "PATH": os.environ["PATH"]},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LINE_SECONDS):
            await _publish(endpoint_url, topic)
            printed = (await process.stdout.readline()).decode()
        assert printed == EXPECTED, printed
    finally:
        process.kill()
        await process.wait()


async def _publish(endpoint_url: str, topic: str) -> None:
    """Publish as the API's relay does, once somebody subscribes: first what the filter keeps out."""
    session = get_session()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    events = (
        create_message(PredictionCancelledV1, tenant_id="globex"),
        create_message(PredictionCompletedV1, tenant_id="globex", rows__scored=5, risk_distribution__high=2),
    )
    async with session.create_client("sns", region_name=REGION, endpoint_url=endpoint_url) as sns:
        while not (await sns.list_subscriptions_by_topic(TopicArn=topic))["Subscriptions"]:
            await asyncio.sleep(0.1)
        for event in events:
            await sns.publish(
                TopicArn=topic,
                Message=encode(event),
                MessageAttributes=message_attributes(event),  # type: ignore[arg-type] # a Mapping will do
            )
