"""The held worker, but that its reconciler fails as soon as a file is in mid-score."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Never
from unittest.mock import patch

from consumer_worker.__main__ import main
from consumer_worker.reconciler import Reconciler
from tests.integration.consumer_worker.held_worker import hold_and_score


async def fail_in_mid_score(_: Reconciler) -> Never:
    """Stand for `Reconciler.run`."""
    while not await asyncio.to_thread(Path(os.environ["SCORING_MARK"]).exists):
        await asyncio.sleep(0.02)
    raise RuntimeError("the reconciler is broken")


if __name__ == "__main__":
    with (
        patch("consumer_worker.handler.score_file", hold_and_score),
        patch.object(Reconciler, "run", fail_in_mid_score),
    ):
        sys.exit(main([]))
