"""The SQS, SNS, S3 and STS emulator: ministack, in its own environment as its pins conflict with ours."""

import asyncio
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from deploy.environment import BOOTSTRAP_LOCK
from deploy.local.errors import LocalStackError
from deploy.local.process import Child
from deploy.local.provision import CREDENTIALS, REGION
from deploy.local.supervision import try_lock

START_TIMEOUT_SECONDS = 30.0
INSTALL_TIMEOUT_SECONDS = 300.0
LOCK_POLL_SECONDS = 0.1
LOCK = Path(__file__).with_name("emulator.lock")
INSTALLER = Path(__file__).parents[1] / "environment.py"

PROGRAM = ("-m", "ministack")
SERVICES = "sqs,sns,s3,sts"


async def prepare_environment(
    folder: Path, log: Path, print_line: Callable[[str], None] | None = None
) -> Path:
    """Return an environment with ministack below `folder`, installed once for each version of its lock files.

    Raises:
        LocalStackError: it cannot be installed.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    pinned = BOOTSTRAP_LOCK.read_bytes() + LOCK.read_bytes()
    environment = folder / f"emulator-{hashlib.sha256(pinned).hexdigest()[:12]}"
    async with _file_lock(folder / "emulator.making"):
        if not environment.exists():
            if print_line:
                print_line("Installing the SQS/S3 emulator (once)…")
            unfinished = folder / "emulator-unfinished"
            await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
            await _install(unfinished, log)
            # It is only used as `python -m`, so a complete one can be renamed into place.
            await asyncio.to_thread(unfinished.rename, environment)
    return environment


class Emulator:
    """One ministack on 127.0.0.1, with its state in `folder`.

    Objects are written at once. Queues and their messages are saved at a clean stop only: after a
    SIGKILL the queues are gone, see `provision` and `database.requeue_unfinished`.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        environment: Path,
        log: Path,
        durable: bool = True,
        program: Sequence[str | Path] = PROGRAM,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`program` is what its Python runs, `settings` are variables of the emulator's own."""
        self.port = port
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._folder = folder.absolute()
        self._saved_queues = self._folder / "state" / "sqs.json"
        self.child = Child(
            "emulator",
            [environment.absolute() / "bin" / "python", *program],
            env={
                **CREDENTIALS,  # it accepts only presigned links signed with this key
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "MINISTACK_HOST": "127.0.0.1",
                "MINISTACK_REGION": REGION,  # the region of a bucket that it finds on disk after a SIGKILL
                "SERVICES": SERVICES,
                "PERSIST_STATE": "1" if durable else "0",
                "STATE_DIR": str(self._saved_queues.parent),
                "S3_PERSIST": "1" if durable else "0",
                "S3_DATA_DIR": str(self._folder / "objects"),
                "TMPDIR": str(self._folder),
                "LOG_LEVEL": "WARNING",
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(self._folder),
                **(settings or {}),
            },
            log=log,
            cwd=self._folder,
            # Without state to save there is no reason to wait for the last long poll.
            stop_signal=signal.SIGTERM if durable else signal.SIGKILL,
        )

    async def start(self) -> None:
        """Start it and wait until it responds.

        Raises:
            LocalStackError: it does not start.
        """
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        await self.child.start()
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
                while not await self._responds(session):
                    if not self.child.running:
                        raise LocalStackError(
                            f"the SQS/S3 emulator exited during startup, see {self.child.log}:\n"
                            f"{self.child.last_lines()}"
                        )
                    await asyncio.sleep(0.05)
            # The queues are loaded; after a SIGKILL this file would be out of date.
            await asyncio.to_thread(self._saved_queues.unlink, missing_ok=True)
        except TimeoutError:
            await self.child.stop()
            raise LocalStackError(
                f"the SQS/S3 emulator did not respond in {START_TIMEOUT_SECONDS:.0f} s, see {self.child.log}"
            ) from None

    async def stop(self) -> None:
        """Stop it cleanly, which is when it saves its queues."""
        await self.child.stop()

    async def _responds(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(
                f"{self.endpoint_url}/_ministack/health", timeout=aiohttp.ClientTimeout(total=2)
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


async def _install(environment: Path, log: Path) -> None:
    installer = Child(
        "the emulator's installation",
        [sys.executable, INSTALLER, environment, "--lock", LOCK],
        env=os.environ,
        log=log,
    )
    try:
        async with asyncio.timeout(INSTALL_TIMEOUT_SECONDS):
            await installer.start()
            code = await installer.wait()
    except TimeoutError:
        code = -1
    finally:
        await installer.stop()  # Ctrl-C must leave no pip behind
    if code != 0:
        raise LocalStackError(
            "the SQS/S3 emulator could not be installed (can pip reach your package index?), "
            f"see {log}:\n{installer.last_lines()}"
        )


@asynccontextmanager
async def _file_lock(lock: Path) -> AsyncIterator[None]:
    """Hold the lock, so that one process installs while others wait."""
    with lock.open("w") as file:
        while not try_lock(file):  # noqa: ASYNC110 there is no event for a released lock
            await asyncio.sleep(LOCK_POLL_SECONDS)  # not in a thread, which Ctrl-C would have to wait for
        yield
