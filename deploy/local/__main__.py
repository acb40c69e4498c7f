"""`python -m deploy.local run | demo | token`: RetainWise on this machine, see README.md."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console

from deploy.local.demo import DemoFailed, demo
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, LARGEST_OFFSET, MOST_REPLICAS, Ports
from deploy.local.run import DEVELOPMENT_TENANT, mint_token, run
from deploy.local.sample import SAMPLE

STATE = Path(__file__).parents[2] / ".local"
ENVIRONMENTS = STATE / "environments"
RESULTS = STATE / "demo"

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
app = App(name="python -m deploy.local", help="RetainWise on this machine.", version_flags=[])

Replicas = Annotated[int, Parameter(validator=Number(gte=1, lte=MOST_REPLICAS))]
PortOffset = Annotated[int, Parameter(validator=Number(gte=0, lte=LARGEST_OFFSET))]
State = Annotated[Path, Parameter(name="--state")]


@app.command(name="run")
def run_command(*, replicas: Replicas = 2, port_offset: PortOffset = 0, state: State = STATE) -> int:
    """Keep the whole system running; Ctrl-C stops it and keeps its state.

    Args:
        replicas: how many workers.
        port_offset: added to every port, to run beside something that has them.
        state: the folder of the state and the logs.
    """
    ports = Ports.documented(replicas, port_offset)
    if asyncio.run(_until_signalled(run(state.absolute(), ports, ENVIRONMENTS, console.print))):
        console.print(f"stopped; the state is in {state}")
    return 0


@app.command(name="demo")
def demo_command(*, file: Path = SAMPLE, replicas: Replicas = 1) -> int:
    """Score one file end to end on a stack of its own, on free ports, which is gone afterwards.

    Args:
        file: a CSV with one row per customer.
        replicas: how many workers.
    """
    try:
        if asyncio.run(_until_signalled(demo(file, replicas, RESULTS, ENVIRONMENTS, console))):
            raise DemoFailed("it was interrupted")
    except (DemoFailed, LocalStackError, OSError) as error:
        reason, *details = _sentence(error).splitlines()
        for line in details:
            console.print(line)
        console.print(f"demo: FAILED {reason}")
        return 1
    return 0


@app.command(name="token")
def token_command(*, tenant: str = DEVELOPMENT_TENANT, state: State = STATE) -> int:
    """Print a fresh token of the stack that is running.

    Args:
        tenant: whose files the bearer sees.
        state: the folder of the running stack's state.
    """
    sys.stdout.write(f"{mint_token(state.absolute(), tenant)}\n")
    return 0


async def _until_signalled(work: Coroutine[None, None, None]) -> bool:
    """Do the work; SIGINT, SIGTERM or the end of the terminal cancel it once. Returns whether one did."""
    task = asyncio.ensure_future(work)
    signalled = False

    def stop() -> None:
        nonlocal signalled
        if not signalled:  # a second one must not cut the stopping short: it takes seconds
            signalled = True
            console.print("\nstopping…")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return signalled


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def main() -> int:
    """Run the command and return the process's exit code."""
    _forget_aws()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no █ gets a ?
    try:
        return app(result_action="return_value") or 0  # None after --help
    except (LocalStackError, OSError) as error:
        sys.stderr.write(f"{_sentence(error)}\n")
        return 1


def _forget_aws() -> None:
    """Keep the SDK in this process off whatever account, endpoint or proxy this shell is set up for."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST)))


if __name__ == "__main__":
    sys.exit(main())
