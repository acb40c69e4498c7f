import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consumer_worker.errors import ScratchUnavailable
from consumer_worker.scratch import PREFIX, attempt_folder, open_scratch, probe_scratch

HOLD = """
import sys, time
from consumer_worker.scratch import open_scratch
with open_scratch(sys.argv[1]) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def make_old(folder):
    long_ago = time.time() - 3_600
    os.utime(folder, (long_ago, long_ago))


@pytest.fixture
def other_process(tmp_path):
    """A process that holds a scratch folder, and the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process, os.fsdecode(process.stdout.readline()).strip()
        process.kill()


def test_folder_is_removed_with_its_files_when_the_block_ends(tmp_path):
    with open_scratch(str(tmp_path)) as folder:
        (folder / "upload").write_text("a customer")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_next_process_removes_the_folder_of_a_killed_one_only(tmp_path, other_process):
    process, folder = other_process
    make_old(folder)
    with open_scratch(str(tmp_path)):
        assert Path(folder).exists()
    process.kill()
    process.wait()
    make_old(folder)
    with open_scratch(str(tmp_path)) as own:
        assert list(tmp_path.iterdir()) == [own]


def test_young_and_foreign_folders_are_kept(tmp_path):
    young, theirs = tmp_path / f"{PREFIX}young", tmp_path / "theirs"
    for folder in (young, theirs):
        folder.mkdir()
    make_old(theirs)
    with open_scratch(str(tmp_path)):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([young, theirs])


def test_missing_directory_raises(tmp_path):
    with pytest.raises(FileNotFoundError), open_scratch(str(tmp_path / "nowhere")):
        pytest.fail("there is no such folder")


async def test_removed_scratch_folder_is_unavailable(tmp_path):
    scratch = tmp_path / "removed"
    with pytest.raises(ScratchUnavailable, match="scratch_unusable: No such file or directory"):
        probe_scratch(scratch)
    with pytest.raises(ScratchUnavailable, match="scratch_unusable: No such file or directory"):
        async with attempt_folder(scratch):
            pytest.fail("there is no such folder")


async def test_attempt_whose_folder_is_removed_is_not_to_blame(tmp_path):
    def write_after_removal(folder):
        shutil.rmtree(folder)
        (folder / "scores.csv").write_text("x")

    with pytest.raises(ScratchUnavailable, match="the folder was removed"):
        async with attempt_folder(tmp_path) as folder:
            write_after_removal(folder)


async def test_error_of_an_attempt_passes(tmp_path):
    with pytest.raises(FileNotFoundError):
        async with attempt_folder(tmp_path) as folder:
            (folder / "missing").read_text()
