"""One supervisor for a state folder."""

import multiprocessing
import os
import signal

import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.process import Child
from deploy.local.supervision import find_supervisor, supervise

PORTS = Ports.documented(replicas=3, offset=7)


def supervise_until_killed(folder, started) -> None:
    with supervise(folder, PORTS):
        started.set()
        signal.pause()


def test_supervisor_is_found_while_it_runs_and_excludes_others(tmp_path):
    with supervise(tmp_path / "state", PORTS) as supervision:
        assert supervision.killed is None
        found = find_supervisor(tmp_path / "state")
        assert (found.pid, found.ports) == (os.getpid(), PORTS)
        with (
            pytest.raises(LocalStackError, match=f"already.*kill {os.getpid()}"),
            supervise(tmp_path / "state", PORTS),
        ):
            pytest.fail("two supervise one folder")

    with pytest.raises(LocalStackError, match="make run"):
        find_supervisor(tmp_path / "state")


def test_clean_stop_leaves_no_killed_supervisor_even_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), supervise(tmp_path, PORTS):
        raise RuntimeError

    with supervise(tmp_path, PORTS) as supervision:
        assert supervision.killed is None


def test_killed_supervisor_is_reported_to_the_next(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=supervise_until_killed, args=(tmp_path, started))
    process.start()
    assert started.wait(30)
    process.kill()
    process.join()

    with pytest.raises(LocalStackError, match="no local stack is running"):
        find_supervisor(tmp_path)
    with supervise(tmp_path, Ports()) as supervision:
        assert supervision.killed is not None
        assert (supervision.killed.pid, supervision.killed.ports) == (process.pid, PORTS)


def test_damaged_record_does_not_prevent_a_start(tmp_path):
    (tmp_path / "supervisor.json").write_text('{"pid": 1')

    with supervise(tmp_path, PORTS) as supervision:
        assert supervision.killed is None


async def test_parts_hold_the_lock_until_the_last_one_exits(tmp_path):
    with supervise(tmp_path, PORTS) as supervision:
        assert supervision.take_over()
        part = Child("part", ["sleep", "60"], env=os.environ, log=tmp_path / "part.log")
        await part.start()
    with supervise(tmp_path, PORTS) as following:
        assert not following.take_over()
        await part.stop()
        assert following.take_over()
