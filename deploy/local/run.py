"""`run`: the whole system on this machine, until it is told to stop."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from deploy.local.emulator import prepare_environment
from deploy.local.issuer import Issuer
from deploy.local.ports import Ports
from deploy.local.stack import Stack
from deploy.local.supervision import Supervisor, find_supervisor, supervise

DEVELOPMENT_TENANT = "acme"

LETTING_GO_SECONDS = 15.0
"""What the parts of a supervisor that was killed may take to stop: their grace and a margin."""


async def run(folder: Path, ports: Ports, environments: Path, tell: Callable[[str], None]) -> None:
    """Keep the stack of a state folder running until cancelled; the emulator is installed in `environments`.

    Raises:
        LocalStackError: it cannot be started.
    """
    with supervise(folder, ports) as killed:
        if killed:
            await _let_go(killed, tell)
        ports.require_free()
        environment = await prepare_environment(environments, folder / "logs" / "emulator-installation.log")
        stack = Stack(folder, ports, emulator_environment=environment, tell=tell)
        async with stack.running(restart=True):
            token = stack.issuer.mint(DEVELOPMENT_TENANT)
            tell(f"\nA token of the tenant {DEVELOPMENT_TENANT} for a day, and a file to try it with:\n")
            tell(f"TOKEN={token}")
            tell(
                'curl -sS -H "Authorization: Bearer $TOKEN" -H "Content-Type: text/csv" '
                f"--data-binary @deploy/local/samples/customers.csv {stack.api_url}/v1/predictions"
            )
            tell(f"\nLogs are in {stack.logs}. Ctrl-C stops everything and keeps the state in {folder}.")
            await asyncio.Event().wait()


def mint_token(folder: Path, tenant: str) -> str:
    """Return a token of the stack that runs in a state folder.

    Raises:
        LocalStackError: none runs there.
    """
    return Issuer(folder, find_supervisor(folder).ports.issuer).mint(tenant)


async def _let_go(killed: Supervisor, tell: Callable[[str], None]) -> None:
    """Wait for the parts of a killed supervisor; they were told to stop by its death."""
    tell(f"the local stack was killed (process {killed.pid}); picking up where it was")
    try:
        async with asyncio.timeout(LETTING_GO_SECONDS):
            while killed.ports.taken():  # noqa: ASYNC110 no event tells that a port is free
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass  # somebody else's, then: whoever wants the port says so
