"""`run`: the whole system on this machine, until it is told to stop."""

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

LETTING_GO_SECONDS = 30.0
"""What the parts of a killed supervisor may take to stop: the emulator waits for its last long poll."""


async def run(folder: Path, ports: Ports, environments: Path, tell: Callable[[str], None]) -> None:
    """Keep the stack of a state folder running until cancelled; the emulator is installed in `environments`.

    Raises:
        LocalStackError: it cannot be started.
    """
    with supervise(folder, ports) as supervision:
        if supervision.killed:
            tell(
                f"the local stack was killed (process {supervision.killed.pid}); picking up where it was, "
                "as soon as its parts have ended"
            )
        await _take_over(supervision)
        ports.require_free()
        environment = await prepare_environment(environments, folder / "logs" / "emulator-installation.log")
        stack = Stack(folder, ports, emulator_environment=environment, tell=tell)
        async with stack.running(restart=True):
            token = stack.issuer.mint(DEVELOPMENT_TENANT)
            tell(f"\nA token of the tenant {DEVELOPMENT_TENANT} for a day, and a file to try it with:\n")
            tell(f"TOKEN={token}")
            tell(
                'curl -sS -H "Authorization: Bearer $TOKEN" -H "Content-Type: text/csv" '
                f"--data-binary @{shlex.quote(str(SAMPLE))} {stack.api_url}/v1/predictions"
            )
            tell(f"\nLogs are in {stack.logs}. Ctrl-C stops everything and keeps the state in {folder}.")
            await asyncio.Event().wait()


def mint_token(folder: Path, tenant: str) -> str:
    """Return a token of the stack that runs in a state folder.

    Raises:
        LocalStackError: none runs there.
    """
    return Issuer(folder, find_supervisor(folder).ports.issuer).mint(tenant)


async def _take_over(supervision: Supervision) -> None:
    """Wait for the parts of a killed supervisor to end; they were told to by its death."""
    try:
        async with asyncio.timeout(LETTING_GO_SECONDS):
            while not supervision.take_over():  # noqa: ASYNC110 no event tells that a lock is free
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise LocalStackError(
            f"parts of the local stack before have not ended in {LETTING_GO_SECONDS:.0f} s: end them, "
            "they are `ministack`, `postgres`, `producer_api` and `consumer_worker`"
        ) from None
