"""The whole system with two workers, as `make demo` starts it, each service under its own policy."""

import os
from pathlib import Path

import aiohttp
import pytest

from deploy.checks.enforced.stack import EnforcedStack
from deploy.local.ports import Ports

DECISIONS = "RETAINWISE_DECISIONS"
"""The variable with the file that keeps IAM's decisions for `make check-deploy`."""


@pytest.fixture(scope="session")
async def stack(tmp_path_factory, emulator_environment):
    folder = tmp_path_factory.mktemp("stack")
    stack = EnforcedStack(
        folder,
        Ports.free(2),
        emulator_environment=emulator_environment,
        print_line=print,
        decisions=Path(os.environ.get(DECISIONS, folder / "decisions.jsonl")),
    )
    async with stack.running(restart=False):
        yield stack
    stack.remove()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session
