"""What the stack does when a part of it dies, with a part that does nothing."""

import asyncio
import os
import signal

import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.process import Child
from deploy.local.stack import Part, Stack


@pytest.fixture
async def part(tmp_path):
    child = Child("sleeper", ["sleep", "600"], env=os.environ, log=tmp_path / "sleeper.log")
    await child.start()
    yield Part("sleeper", "http://127.0.0.1", child, child.start)
    await child.stop()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def stack(tmp_path, part, lines):
    stack = Stack(tmp_path, Ports.free(1), emulator_environment=tmp_path, print_line=lines.append)
    stack._parts = [part]
    return stack


async def test_dead_part_is_restarted_and_announced(stack, part, lines, monkeypatch):
    monkeypatch.setattr("deploy.local.stack.FIRST_RESTART_SECONDS", 0.0)
    first = part.child.pid
    watching = asyncio.create_task(stack._watch_all(restart=True))
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        while len(lines) < 2:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.wait([watching])

    assert "was killed by SIGKILL, restarting" in lines[0]
    assert str(part.child.log) in lines[0]
    assert "ready" in lines[1]
    assert part.child.running
    assert part.child.pid != first


async def test_dead_part_ends_a_stack_that_does_not_restart(stack, part):
    os.kill(part.child.pid, signal.SIGKILL)

    with pytest.raises(LocalStackError, match=r"sleeper was killed by SIGKILL, see .*sleeper\.log"):
        async with asyncio.timeout(10):
            await stack._watch_all(restart=False)
