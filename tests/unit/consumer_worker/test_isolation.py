import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from consumer_worker import isolation
from consumer_worker.isolation import ScoringProcessDied, UnexpectedScoringError, score_in_child
from consumer_worker.scoring import ScoringFailed, ScoringRequest, score_file
from consumer_worker.scoring_pool import ScoringPool
from ml_models.runtime import load_model
from retainwise_contracts.failures import FailureCode
from tests.unit.consumer_worker.scoring.corpus import customers, table

MODEL = "telco-churn@1.0.0"
REQUEST = ScoringRequest(uuid.UUID(int=7), "ab" * 32, {}, 2)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "upload"
    path.write_text(table(customers(2_000)))
    return path


@pytest.fixture
def held(tmp_path):
    """A file that a child opens and then waits for: nothing is ever written to it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def until(condition):
    async with asyncio.timeout(60):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found


def is_open(pipe):
    """Whether somebody reads from the pipe; it stays open for writing from then on."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK) + 1
    except OSError:
        return 0


def ended(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def start(pipe, folder, **options):
    """Begin to score a pipe; return the task and its child once it has the pipe open."""
    task = asyncio.create_task(score_in_child(pipe, folder, MODEL, REQUEST, **options))
    writer = await until(lambda: task.done() or is_open(pipe)) - 1
    (child,) = [
        process
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and "consumer_worker.isolated" in process.cmdline()
    ]
    return task, child, writer


async def test_child_writes_the_bytes_and_reports_what_a_thread_does(source, folder, tmp_path):
    theirs = tmp_path / "thread"
    theirs.mkdir()
    expected = score_file(source, theirs, load_model(MODEL), REQUEST, cancelled=threading.Event())
    pool = ScoringPool(2)
    assert await pool.run_alone(source, folder, MODEL, REQUEST, is_large=False) == expected
    pool.close()
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert written == {path.name: path.read_bytes() for path in theirs.iterdir()}
    assert len(written) == 5


async def test_scoring_failure_passes_through(folder, tmp_path):
    source = tmp_path / "upload"
    source.write_text("name,age\nDoe,7\n")
    with pytest.raises(ScoringFailed) as expected:
        score_file(source, folder, load_model(MODEL), REQUEST, cancelled=threading.Event())
    with pytest.raises(ScoringFailed) as caught:
        await score_in_child(source, folder, MODEL, REQUEST)
    assert caught.value.code == expected.value.code == FailureCode.REQUIRED_COLUMNS_MISSING
    assert caught.value.detail == expected.value.detail


async def test_other_errors_are_raised_by_kind(source, folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        await score_in_child(tmp_path / "missing", folder, MODEL, REQUEST)
    with pytest.raises(UnexpectedScoringError, match="ModelNotFound"):
        await score_in_child(source, folder, "none@1.0.0", REQUEST)


@pytest.mark.parametrize("megabytes", [16, 140])
async def test_memory_limit_ends_the_child_alone(source, folder, megabytes):
    source.write_text(table(customers(40_000)))
    # A library that gets no memory may also abort before Python can say why.
    with pytest.raises(ScoringProcessDied, match=f"its memory limit of {megabytes} MB|SIGABRT"):
        await score_in_child(
            source, folder, MODEL, REQUEST, memory_bytes=megabytes << 20, stalled_after_seconds=5
        )


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "SIGKILL, as the kernel does when memory is short"), (signal.SIGSEGV, "SIGSEGV")],
)
async def test_killed_child_is_reported(held, folder, number, reason):
    task, child, writer = await start(held, folder)
    try:
        child.send_signal(number)
        with pytest.raises(ScoringProcessDied, match=reason):
            await task
    finally:
        os.close(writer)
    assert not child.is_running()


async def test_hanging_child_is_killed(held, folder):
    task, child, writer = await start(held, folder, stalled_after_seconds=2)
    try:
        with pytest.raises(ScoringProcessDied, match="it hung"):
            await task
    finally:
        os.close(writer)
    assert not child.is_running()


async def test_cancelled_caller_leaves_no_process(held, folder):
    task, child, writer = await start(held, folder)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(writer)
    assert not psutil.pid_exists(child.pid)


async def test_caller_cancelled_at_start_leaves_no_process(held, folder):
    before = {process.pid for process in psutil.Process().children()}
    task = asyncio.create_task(score_in_child(held, folder, MODEL, REQUEST))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {process.pid for process in psutil.Process().children()} <= before


async def test_child_dies_with_its_parent(held, folder):
    program = (
        "import asyncio, sys, uuid; from pathlib import Path;"
        "from consumer_worker.isolation import *;"
        "asyncio.run(score_in_child(Path(sys.argv[1]), Path(sys.argv[2]), 'telco-churn@1.0.0',"
        " ScoringRequest(uuid.UUID(int=7), 'ab' * 32)))"
    )
    with subprocess.Popen(  # noqa: ASYNC220 it is killed in the next lines
        [sys.executable, "-c", program, held, folder]
    ) as parent:
        try:
            writer = await until(lambda: is_open(held)) - 1
            (child,) = psutil.Process(parent.pid).children()
        finally:
            parent.kill()
    await until(lambda: ended(child))
    os.close(writer)


async def test_child_holds_no_secrets_and_goes_first(held, folder, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DATABASE_URL"):
        monkeypatch.setenv(name, "s3cret")
    task, child, writer = await start(held, folder)
    process = Path(f"/proc/{child.pid}")
    environment = (process / "environ").read_bytes()
    files = [str(file.readlink()) for file in (process / "fd").iterdir()]
    limits = (process / "limits").read_text().splitlines()
    assert b"s3cret" not in environment
    assert b"AWS" not in environment
    assert b"DATABASE" not in environment
    assert not [file for file in files if file.startswith("socket:")]
    assert (process / "oom_score_adj").read_text() == "1000\n"
    assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]
    assert [line.split()[3] for line in limits if line.startswith("Max data size")] == [
        str(isolation.CHILD_MEMORY_BYTES)
    ]
    task.cancel()
    await asyncio.wait([task])
    os.close(writer)


async def test_event_loop_is_not_blocked(source, folder):
    scoring = asyncio.create_task(score_in_child(source, folder, MODEL, REQUEST))
    ticks = 0
    while not scoring.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert (await scoring).rows.total == 2_000
    assert ticks > 5


def test_cells_on_standard_error_are_not_logged():
    written = (
        "thread 'polars-0' panicked at crates/polars-core/src/frame.rs:12:5:\n"
        "could not read `Jane Doe`\nFatal Python error: Aborted\n"
        '  File "/srv/consumer_worker/score.py", line 7 in add\n'
    )
    with capture_logs() as lines:
        isolation._died("it was killed by SIGABRT", written)
    assert lines == [
        {
            "event": "scoring_process_died",
            "log_level": "warning",
            "reason": "it was killed by SIGABRT",
            "stderr": [
                "panicked at crates/polars-core/src/frame.rs:12",
                "Fatal Python error: Aborted",
                'score.py", line 7 in add',
            ],
        }
    ]
