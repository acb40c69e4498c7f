"""The consumer with its real handler: small files through the whole local stack, from upload to COMPLETED."""

import asyncio
import statistics
import time
from datetime import datetime
from pathlib import Path

import aiohttp

from deploy.local.client import Prediction, PredictionsClient
from deploy.local.demo import create_temporary_folder
from deploy.local.emulator import prepare_environment
from deploy.local.ports import Ports
from deploy.local.sample import SAMPLE
from deploy.local.stack import Stack
from retainwise_contracts.status import PredictionStatus

ROWS = 200
WARM_UP_FILES = 10
FILES_AT_ONCE = 150
"""For the throughput: more than the workers can take at once."""
UPLOADS_AT_ONCE = 8
FILES_ONE_BY_ONE = 40
"""For the latency: each on a system with nothing else to do."""
TENANTS = 4
FINISH_TIMEOUT_SECONDS = 120.0

ENVIRONMENTS = Path(__file__).parents[3] / ".local" / "environments"


async def measure_service(replicas: int) -> dict[str, float]:
    """Return small predictions per second, and the seconds from upload to COMPLETED at p50 and p95."""
    folder = create_temporary_folder()
    environment = await prepare_environment(ENVIRONMENTS, folder / "install.log")
    stack = Stack(
        folder,
        Ports.free(replicas),
        emulator_environment=environment,
        print_line=lambda _: None,
        durable=False,
    )
    file = folder / "customers.csv"
    file.write_bytes(b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[: ROWS + 1]))
    async with stack.running(restart=False), aiohttp.ClientSession() as session:
        clients = [
            PredictionsClient(session, stack.api_url, stack.issuer.mint(f"tenant-{number}"))
            for number in range(TENANTS)
        ]
        await _score(clients, file, WARM_UP_FILES)
        began = time.time()
        _, last_finished = await _score(clients, file, FILES_AT_ONCE)
        seconds = [(await _score(clients, file, 1))[0][0] for _ in range(FILES_ONE_BY_ONE)]
    stack.remove()
    percentiles = statistics.quantiles(seconds, n=100)
    return {
        "small_predictions_per_s": FILES_AT_ONCE / (last_finished.timestamp() - began),
        "p50_s": percentiles[49],
        "p95_s": percentiles[94],
    }


async def _score(clients: list[PredictionsClient], file: Path, count: int) -> tuple[list[float], datetime]:
    """Upload so many files and return each one's seconds to COMPLETED, and when the last one was."""
    places = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def upload(client: PredictionsClient) -> tuple[PredictionsClient, str, float]:
        async with places:
            began = time.time()
            return client, await client.upload(file, lambda _: None), began

    accepted = await asyncio.gather(*(upload(clients[number % len(clients)]) for number in range(count)))
    finished = []
    seconds = []
    async with asyncio.timeout(FINISH_TIMEOUT_SECONDS):
        for client, prediction_id, began in accepted:
            finished_at = await _finished_at(client, prediction_id)
            finished.append(finished_at)
            seconds.append(finished_at.timestamp() - began)
    return seconds, max(finished)


async def _finished_at(client: PredictionsClient, prediction_id: str) -> datetime:
    while True:
        prediction: Prediction = await client.read_prediction(prediction_id)
        if prediction.status.is_final:
            break
        await asyncio.sleep(0.1)
    if prediction.status is not PredictionStatus.COMPLETED or prediction.finished_at is None:
        raise RuntimeError(f"{prediction_id} is {prediction.status}: {prediction.failure}")
    return prediction.finished_at
