"""The whole system, two workers and all, as `make demo` starts it; once for a session."""

import aiohttp
import pytest

from deploy.local.emulator import prepare_environment
from deploy.local.ports import Ports
from deploy.local.stack import Stack
from tests.conftest import ROOT


@pytest.fixture(scope="session")
async def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    environment = await prepare_environment(ROOT / ".local" / "environments", folder / "install.log")
    stack = Stack(folder, Ports.free(2), emulator_environment=environment, tell=print, durable=False)
    async with stack.running(restart=False):
        yield stack
    stack.remove()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session
