"""What counts as a block of the event loop: what the server itself does, and nothing of its machine."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.probe import probing
from tests.faults.report import MAX_LOOP_BLOCK_MS

STOPPED_SECONDS = 0.5


@pytest.fixture
async def server():
    """A process that serves, as its port and its id."""
    script = Path(__file__).with_name("blocking_server.py")
    process = await asyncio.create_subprocess_exec(sys.executable, script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    yield int(await process.stdout.readline()), process.pid
    process.kill()
    await process.wait()


async def wait_for_trip(probe, condition):
    async with asyncio.timeout(30):
        while not any(condition(trip) for trip in probe.trips):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/compute", "/hold-gil"])
async def test_probe_sees_a_loop_that_is_blocked(server, path):
    port, pid = server
    async with probing("127.0.0.1", port, path, pid) as probe:
        await wait_for_trip(probe, lambda trip: trip.block_ms > MAX_LOOP_BLOCK_MS)
    assert probe.worst_block_ms(0) > MAX_LOOP_BLOCK_MS


async def test_probe_does_not_count_a_server_without_a_cpu(server):
    port, pid = server
    async with probing("127.0.0.1", port, "/", pid) as probe:
        await wait_for_trip(probe, lambda trip: trip.ms > 0)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(STOPPED_SECONDS)
        os.kill(pid, signal.SIGCONT)
        await wait_for_trip(probe, lambda trip: trip.ms > MAX_LOOP_BLOCK_MS)
    assert probe.worst_block_ms(0) < MAX_LOOP_BLOCK_MS
