"""`demo`: one file through every part, on a temporary stack."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn

from deploy.local.client import FileRefused, Prediction, PredictionsClient
from deploy.local.emulator import prepare_environment
from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.report import describe_files, describe_result, describe_status
from deploy.local.stack import Stack
from retainwise_contracts.failures import Fault
from retainwise_contracts.status import PredictionStatus

TENANT = "demo"
POLL_SECONDS = 0.1


class DemoFailed(LocalStackError):
    """The file was not scored; the text says why."""


class FileFailed(DemoFailed):
    """The file was not scored, and it is the file that has to change."""


async def demo(file: Path, replicas: int, results: Path, environments: Path, console: Console) -> None:
    """Score `file` on a temporary stack, print each step, save the result files in `results`.

    The emulator is installed in `environments`, once.

    Raises:
        LocalStackError: a part of the stack failed, a request was refused, or the prediction failed.
    """
    began = time.monotonic()
    size = _readable_size(file)  # before anything is started
    folder = create_temporary_folder()
    stack: Stack | None = None
    try:
        environment = await prepare_environment(
            environments, folder / "logs" / "emulator-installation.log", console.print
        )
        console.print("Starting a temporary stack…")
        stack = Stack(
            folder,
            Ports.free(replicas),
            emulator_environment=environment,
            print_line=console.print,
            durable=False,
        )
        async with stack.running(restart=False), aiohttp.ClientSession() as session:
            client = PredictionsClient(session, stack.api_url, stack.issuer.mint(TENANT))
            prediction = await _score(client, file, size, console)
            for line in describe_result(prediction):
                console.print(line)
            await _download(client, prediction, results, console)
    except (FileFailed, FileRefused, asyncio.CancelledError):  # the reason is said, the logs have no more
        _remove(folder, stack)
        raise
    except Exception:
        console.print(f"\nLogs: {folder / 'logs'} (the stack's state is kept beside them)")
        raise
    _remove(folder, stack)
    rows = prediction.rows
    console.print(
        f"demo: COMPLETED rows={rows.total if rows else 0} rejected={rows.rejected if rows else 0} "
        f"seconds={time.monotonic() - began:.1f}",
    )


def _readable_size(file: Path) -> int:
    with file.open("rb") as opened:
        return opened.seek(0, os.SEEK_END)


def _remove(folder: Path, stack: Stack | None) -> None:
    """Remove a stopped stack's folder, and what it keeps elsewhere."""
    if stack is not None:
        stack.remove()
    shutil.rmtree(folder, ignore_errors=True)


def create_temporary_folder() -> Path:
    """Create the folder of a temporary stack."""
    folder = Path(tempfile.mkdtemp(prefix="retainwise-demo-"))
    folder.chmod(0o711)  # started by root, PostgreSQL runs as another user, who must pass through
    return folder


async def _score(client: PredictionsClient, file: Path, size: int, console: Console) -> Prediction:
    """Upload the file and wait for its prediction; raise DemoFailed unless it completes."""
    console.print(f"\nScoring {file.name} ({size:,} bytes)", style="bold")
    with _bar(console, DownloadColumn()) as progress:
        sending = progress.add_task("uploading", total=size)
        prediction_id = await client.upload(file, lambda count: progress.advance(sending, count))
    with _bar(console, MofNCompleteColumn()) as progress:
        scoring = progress.add_task("", total=3)
        shown = 0
        while True:
            prediction = await client.read_prediction(prediction_id)
            statuses = describe_status(prediction)
            for line in statuses[shown:]:
                console.print(line)
            shown = len(statuses)
            progress.update(scoring, description=prediction.status, completed=shown)
            if prediction.status.is_final:
                break
            await asyncio.sleep(POLL_SECONDS)
    if prediction.status is not PredictionStatus.COMPLETED:
        failure = prediction.failure
        by_file = failure is not None and failure.fault is Fault.USER
        raise (FileFailed if by_file else DemoFailed)(
            f"{failure.message} ({failure.code})"
            if failure
            else f"the prediction ended as {prediction.status}"
        )
    return prediction


def _bar(console: Console, count: ProgressColumn) -> Progress:
    """Return a progress bar that shows only on a terminal."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        count,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


async def _download(
    client: PredictionsClient, prediction: Prediction, folder: Path, console: Console
) -> None:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    files = (await client.read_result(prediction.prediction_id)).files
    for link in files:
        await client.download(link, folder / link.name)
    for line in describe_files(files, folder):
        console.print(line)
    console.print()
