import asyncio
import threading

import pytest

from consumer_worker.scoring_pool import LARGE_FILE_BYTES, LARGE_FILE_LINES, ScoringPool, is_large


@pytest.fixture
def pool():
    pool = ScoringPool(2)
    yield pool
    pool.close()


async def test_run_returns_or_raises_what_the_thread_does(pool):
    assert (
        await pool.run(lambda _: threading.current_thread().name, size_bytes=1, is_large=False)
        != "MainThread"
    )

    def fail(_):
        raise KeyError("unreadable")

    with pytest.raises(KeyError, match="unreadable"):
        await pool.run(fail, size_bytes=1, is_large=False)


async def test_small_file_does_not_wait_for_large_ones(pool):
    release = threading.Event()
    large = [
        asyncio.create_task(pool.run(lambda _: release.wait(10), size_bytes=1, is_large=True))
        for _ in range(4)
    ]
    try:
        await asyncio.sleep(0.05)
        assert (
            await asyncio.wait_for(pool.run(lambda _: "scored", size_bytes=1, is_large=False), 5) == "scored"
        )
        assert not any(task.done() for task in large)
    finally:
        release.set()
    assert await asyncio.gather(*large) == [True] * 4


async def test_cancelled_run_stops_the_thread_and_waits_for_it(pool):
    began, ended = threading.Event(), threading.Event()

    def score(cancelled):
        began.set()
        cancelled.wait(10)
        ended.set()
        raise RuntimeError("cancelled")

    task = asyncio.create_task(pool.run(score, size_bytes=1, is_large=False))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_job_cancelled_before_its_turn_never_begins(pool):
    release, begun = threading.Event(), []
    busy = [
        asyncio.create_task(pool.run(lambda _: release.wait(10), size_bytes=1, is_large=False))
        for _ in range(2)
    ]
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(pool.run(lambda _: begun.append(1), size_bytes=1, is_large=False))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await asyncio.gather(*busy)
    assert begun == []


async def test_child_takes_the_place_of_a_thread(pool, monkeypatch):
    release, begun = asyncio.Event(), []

    async def score_in_child(*_):
        begun.append("child")
        await release.wait()

    monkeypatch.setattr("consumer_worker.scoring_pool.score_in_child", score_in_child)
    child = asyncio.create_task(pool.run_alone(None, None, "model", None, is_large=True))
    await asyncio.sleep(0)
    large = asyncio.create_task(pool.run(lambda _: begun.append("large"), size_bytes=1, is_large=True))
    await asyncio.sleep(0)  # it takes its turn before the small one, if it may
    await pool.run(lambda _: begun.append("small"), size_bytes=1, is_large=False)
    assert begun == ["child", "small"]
    release.set()
    await asyncio.gather(child, large)
    assert begun == ["child", "small", "large"]


def test_pool_refuses_a_single_thread():
    with pytest.raises(ValueError, match="two threads"):
        ScoringPool(1)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x" * LARGE_FILE_BYTES, True),
        (b"x" * (LARGE_FILE_BYTES - 1), False),
        (b"x\n" * LARGE_FILE_LINES, True),
        (b"x\r" * LARGE_FILE_LINES, True),
        (b"x\r\n" * (LARGE_FILE_LINES - 1), False),
    ],
)
def test_file_is_large_by_its_bytes_or_its_lines(tmp_path, content, expected):
    source = tmp_path / "upload"
    source.write_bytes(content)
    assert is_large(source) is expected
