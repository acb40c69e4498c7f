"""The commands of `python -m deploy.local`."""

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console

from deploy.local.demo import DemoFailed, demo
from deploy.local.errors import LocalStackError
from deploy.local.interruption import INTERRUPTION
from deploy.local.output import outlast_readers
from deploy.local.ports import HOST, MAX_PORT_OFFSET, MAX_REPLICAS, Ports
from deploy.local.run import DEVELOPMENT_TENANT, mint_token, run
from deploy.local.sample import SAMPLE

STATE = Path(__file__).parents[2] / ".local"
ENVIRONMENTS = STATE / "environments"
RESULTS = STATE / "demo"

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
app = App(name="python -m deploy.local", help="Run RetainWise on this machine.", version_flags=[])

Replicas = Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_REPLICAS))]
PortOffset = Annotated[int, Parameter(validator=Number(gte=0, lte=MAX_PORT_OFFSET))]
State = Annotated[Path, Parameter(name="--state")]


@app.command(name="run")
def run_command(*, replicas: Replicas = 2, port_offset: PortOffset = 0, state: State = STATE) -> int:
    """Run the whole system until Ctrl-C, which keeps its state.

    Args:
        replicas: number of workers.
        port_offset: added to every port, if the usual ones are in use.
        state: folder for the state and the logs.
    """
    ports = Ports.documented(replicas, port_offset)
    if INTERRUPTION.run(run(state.absolute(), ports, ENVIRONMENTS, console.print), console.print):
        console.print(f"Stopped. The state is kept in {state}; the next run continues with it.")
    return 0


@app.command(name="demo")
def demo_command(*, file: Path = SAMPLE, replicas: Replicas = 1) -> int:
    """Score one file end to end on a temporary stack with free ports.

    Args:
        file: a CSV with one row per customer.
        replicas: number of workers.
    """
    try:
        if INTERRUPTION.run(demo(file, replicas, RESULTS, ENVIRONMENTS, console), console.print):
            raise DemoFailed("interrupted")
    except (DemoFailed, LocalStackError, OSError) as error:
        reason, *details = _describe(error).splitlines()
        for line in details:
            console.print(line)
        console.print(f"demo: FAILED {reason}")
        return 1
    return 0


@app.command(name="token")
def token_command(*, tenant: str = DEVELOPMENT_TENANT, state: State = STATE) -> int:
    """Print a new token for the running stack.

    Args:
        tenant: the tenant whose predictions the token gives access to.
        state: state folder of the running stack.
    """
    sys.stdout.write(f"{mint_token(state.absolute(), tenant)}\n")
    return 0


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def main() -> int:
    """Run the command and return the process's exit code."""
    _ignore_shell_aws_settings()
    outlast_readers()
    try:
        return app(result_action="return_value") or 0  # None after --help
    except (LocalStackError, OSError) as error:
        sys.stderr.write(f"error: {_describe(error)}\n")
        return 1


def _ignore_shell_aws_settings() -> None:
    """Hide this shell's AWS account, endpoint and proxy from the SDK in this process."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST)))
