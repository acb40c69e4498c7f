"""The whole system with two workers, as `make demo` starts it, once per session."""

import aiohttp
import pytest

from deploy.local.ports import Ports
from deploy.local.stack import Stack


@pytest.fixture(scope="session")
async def stack(tmp_path_factory, emulator_environment):
    folder = tmp_path_factory.mktemp("stack")
    stack = Stack(
        folder, Ports.free(2), emulator_environment=emulator_environment, print_line=print, durable=False
    )
    async with stack.running(restart=False):
        yield stack
    stack.remove()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session
