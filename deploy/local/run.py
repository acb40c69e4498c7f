"""`run`: the whole system on this machine, until it is stopped."""

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path

from deploy.local.emulator import prepare_environment
from deploy.local.errors import LocalStackError
from deploy.local.issuer import Issuer
from deploy.local.ports import Ports
from deploy.local.sample import SAMPLE
from deploy.local.stack import Stack
from deploy.local.supervision import Supervision, find_supervisor, supervise

DEVELOPMENT_TENANT = "acme"

HANDOVER_TIMEOUT_SECONDS = 30.0
"""How long a killed supervisor's parts may take to exit: the emulator waits for its last long poll."""


async def run(folder: Path, ports: Ports, environments: Path, print_line: Callable[[str], None]) -> None:
    """Keep the stack of a state folder running until cancelled; the emulator is installed in `environments`.

    Raises:
        LocalStackError: it cannot be started.
    """
    with supervise(folder, ports) as supervision:
        if supervision.killed:
            print_line(
                f"The previous stack (process {supervision.killed.pid}) was killed. "
                "Continuing from its state once its parts have exited…"
            )
        await _take_over(supervision)
        ports.require_free()
        environment = await prepare_environment(
            environments, folder / "logs" / "emulator-installation.log", print_line
        )
        print_line("Starting the local stack…")
        stack = Stack(folder, ports, emulator_environment=environment, print_line=print_line)
        async with stack.running(restart=True):
            token = stack.issuer.mint(DEVELOPMENT_TENANT)
            print_line("\nReady. Open the console; this link signs you in once:\n")
            print_line(stack.sign_in.invite(DEVELOPMENT_TENANT))
            print_line(
                f"\nOr upload the sample as tenant {DEVELOPMENT_TENANT} (the token is valid for a day):\n"
            )
            print_line(f"TOKEN={token}")
            print_line(
                'curl -sS -H "Authorization: Bearer $TOKEN" -H "Content-Type: text/csv" '
                f"--data-binary @{shlex.quote(str(SAMPLE))} {stack.api_url}/v1/predictions"
            )
            print_line("\nFollow it, with ID set to the response's prediction_id:\n")
            print_line(f'curl -sS -H "Authorization: Bearer $TOKEN" {stack.api_url}/v1/predictions/$ID')
            print_line(f"\nLogs:  {stack.logs}\nState: {folder}\n\nPress Ctrl-C to stop.")
            await asyncio.Event().wait()


def mint_token(folder: Path, tenant: str) -> str:
    """Return a token for the stack running in a state folder.

    Raises:
        LocalStackError: none is running there.
    """
    return Issuer(folder, find_supervisor(folder).ports.issuer).mint(tenant)


async def _take_over(supervision: Supervision) -> None:
    """Wait for the parts of a killed supervisor to exit; the kernel has signalled them."""
    try:
        async with asyncio.timeout(HANDOVER_TIMEOUT_SECONDS):
            while not supervision.take_over():  # noqa: ASYNC110 there is no event for a released lock
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise LocalStackError(
            f"parts of the previous stack are still running after {HANDOVER_TIMEOUT_SECONDS:.0f} s: stop its "
            "`ministack`, `postgres`, `producer_api` and `consumer_worker` processes and try again"
        ) from None
