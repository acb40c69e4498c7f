"""What ended attempts left behind is removed, and nothing that is used."""

import os
import time
import uuid
from datetime import timedelta

import pytest

from consumer_worker.scratch import PREFIX
from consumer_worker.sweeper import Sweeper
from tests.integration.consumer_worker.conftest import customers


@pytest.fixture
def sweep_results(run_worker_here):
    async def sweep(age):
        async with run_worker_here() as (_, resources):
            await Sweeper(
                resources.store, resources.objects, resources.scratch, sweep_seconds=1, results_age=age
            ).sweep_results()

    return sweep


async def test_results_of_no_use_are_removed(backend, run_worker_here, sweep_results):
    async with run_worker_here():
        done, failed = await backend.accept(customers(3)), await backend.accept(b"id,colour\n1,red\n")
        await backend.wait_for(done)
        await backend.wait_for(failed)
    waiting = await backend.accept(customers(3), send=0)
    named = await backend.objects()
    assert len(named) == 5  # the worklist too, which is beside what the row names
    deleted = uuid.uuid4()
    await backend.owner.execute(
        "insert into receipts (prediction_id, tenant_id, receipt) values ($1, 'acme', '{}')", deleted
    )
    left = [
        f"results/acme/{done}/0/scores.csv",
        f"results/acme/{done}/0/worklist.parquet",
        f"results/acme/{failed}/1/scores.csv",
        f"results/acme/{deleted}/1/scores.csv",
    ]
    kept = [
        f"results/globex/{deleted}/1/scores.csv",
        f"results/acme/{waiting}/1/scores.csv",
        "results/acme/00000000-0000-4000-8000-000000000000/1/scores.csv",
        f"results/globex/{done}/0/scores.csv",
        f"results/acme/{done}/notes.txt",
        "results/readme",
    ]
    for key in left + kept:
        await backend.s3.put_object(Bucket=backend.aws.bucket, Key=key, Body=b"x")
    await sweep_results(timedelta(days=1))
    assert await backend.objects() == sorted(named + left + kept)
    await sweep_results(timedelta(seconds=-60))  # whatever the clocks say, all of them are old enough
    assert await backend.objects() == sorted(named + kept)


async def test_running_worker_removes_the_folder_of_a_killed_one(
    backend, start_worker, scoring_begun, run_worker_here, tmp_path
):
    killed = await start_worker(hold_seconds=60)
    await backend.accept(customers(3))
    await scoring_begun()
    (left,) = tmp_path.glob(f"{PREFIX}*")
    async with run_worker_here() as (_, resources):
        sweeper = Sweeper(
            resources.store,
            resources.objects,
            resources.scratch,
            sweep_seconds=1,
            results_age=timedelta(days=1),
        )
        for folder in tmp_path.glob(f"{PREFIX}*"):
            os.utime(folder, (time.time() - 3600,) * 2)
        await sweeper.sweep_scratch()
        assert left.exists()
        assert resources.scratch.exists()
        killed.kill()
        await killed.wait()
        os.utime(left, (time.time() - 3600,) * 2)
        await sweeper.sweep_scratch()
        assert not left.exists()
        assert resources.scratch.exists()
