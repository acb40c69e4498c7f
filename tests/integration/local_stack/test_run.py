"""`python -m deploy.local run`: one stack whose parts are killed one by one, then its supervisor."""

import asyncio
import signal

import aiohttp
import psutil
import pytest

from deploy.local.client import Prediction, PredictionsClient
from deploy.local.postgres import PostgresServer
from deploy.local.run import mint_token
from deploy.local.sample import CUSTOMERS, SAMPLE
from deploy.local.supervision import find_supervisor
from retainwise_contracts.status import PredictionStatus
from tests.integration.local_stack.command import (
    TIMEOUT_SECONDS,
    Command,
    find_free_offset,
    find_living,
    start_command,
)

TENANT = "acme"


async def score_sample(state) -> Prediction:
    """Upload the sample to the stack of a state folder and wait for its prediction to end."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(2 * TIMEOUT_SECONDS):
        client = open_client(state, session)
        prediction_id = await client.upload(SAMPLE, lambda count: None)
        while True:
            prediction = await client.read_prediction(prediction_id)
            if prediction.status.is_final:
                return prediction
            await asyncio.sleep(0.1)


def open_client(state, session) -> PredictionsClient:
    port = find_supervisor(state).ports.api
    return PredictionsClient(session, f"http://127.0.0.1:{port}", mint_token(state, TENANT))


def assert_completed(prediction: Prediction) -> None:
    assert prediction.status is PredictionStatus.COMPLETED, prediction.failure
    assert prediction.rows is not None
    assert (prediction.rows.scored, prediction.rows.rejected) == (CUSTOMERS, 0)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Zustand für Tests")
    yield folder
    PostgresServer(
        folder / "postgres", 0, log=folder / "postgres.log"
    ).remove()  # root's is outside the folder


@pytest.fixture(scope="module")
def argv(state):
    return ["run", "--replicas", "1", "--port-offset", str(find_free_offset()), "--state", str(state)]


@pytest.fixture(scope="module")
def stack(argv, state):
    with start_command(argv, state / "first.txt") as command:
        command.wait_for("Ctrl-C")
        yield command


def test_every_part_is_listed_with_its_address_and_ready(stack: Command):
    parts = [line.split() for line in stack.output.splitlines() if " ready" in line]

    assert {part[0] for part in parts} == {
        "postgres",
        "emulator",
        "issuer",
        "producer_api",
        "consumer_worker-1",
    }
    assert all("127.0.0.1:" in part[1] for part in parts)
    assert "curl " in stack.output
    assert "TOKEN=ey" in stack.output


def test_second_supervisor_of_the_same_state_is_refused(stack: Command, argv, tmp_path):
    with start_command(argv, tmp_path / "second.txt") as second:
        assert second.wait() == 1

    (sentence,) = second.output.splitlines()
    assert f"is already running in {argv[-1]}" in sentence
    assert f"kill {stack.pid}" in sentence


async def test_stores_killed_together_are_restarted_and_an_upload_completes(stack: Command, state):
    stack.part("bin/postgres").kill()
    stack.part("ministack").kill()
    for name in ("postgres", "emulator"):
        await asyncio.to_thread(stack.wait_for, f"^{name} .* ready", 2)

    assert stack.count("was killed by SIGKILL, restarting") == 2
    assert_completed(await score_sample(state))


async def test_killed_worker_is_restarted_and_keeps_no_message(stack: Command, state):
    ready = stack.count("^consumer_worker-1 .* ready")
    resent = stack.count("the emulator lost its messages")
    stack.part("consumer_worker").kill()
    await asyncio.to_thread(stack.wait_for, "^consumer_worker-1 .* ready", ready + 1)

    assert_completed(await score_sample(state))
    assert stack.count("the emulator lost its messages") == resent


async def test_killed_supervisor_leaves_no_process_and_the_next_continues_from_its_state(
    stack: Command, argv, state
):
    scored = await score_sample(state)
    family = stack.family()
    assert len(family) >= 4

    assert await asyncio.to_thread(stack.end, signal.SIGKILL) == -signal.SIGKILL
    with start_command(argv, state / "next.txt") as following:
        await asyncio.to_thread(following.wait_for, "Ctrl-C")

        assert find_living(family) == []
        async with aiohttp.ClientSession() as session:
            kept = await open_client(state, session).read_prediction(scored.prediction_id)
        assert kept == scored
        assert_completed(await score_sample(state))

        family = following.family()
        assert await asyncio.to_thread(following.end, signal.SIGTERM) == 0
        assert find_living(family) == []
    assert not psutil.pid_exists(following.pid)
