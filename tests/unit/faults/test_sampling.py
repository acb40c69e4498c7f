import asyncio

from tests.faults.sampling import _command, _with_memory_of_their_own, process_tree


async def test_memory_between_fork_and_exec_is_not_counted():
    """The shell in parentheses is a fork that never becomes another program; what it starts does."""
    shell = await asyncio.create_subprocess_exec("sh", "-c", "(sleep 60; true) & wait")
    try:
        async with asyncio.timeout(30):
            while not any(_command(pid).startswith(b"sleep\0") for pid in process_tree(shell.pid)):
                await asyncio.sleep(0.01)
        tree = process_tree(shell.pid)
        assert len(tree) == 3
        assert _with_memory_of_their_own(shell.pid) == [tree[0], tree[2]]
    finally:
        for pid in reversed(process_tree(shell.pid)[1:]):
            await (await asyncio.create_subprocess_exec("kill", str(pid))).wait()
        await shell.wait()
