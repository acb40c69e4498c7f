"""The worker, but that its scoring first waits `HOLD_SECONDS`, unless it is cancelled before.

The file `SCORING_MARK` is made when the wait begins: from then on a test has the worker in mid-score.
"""

import os
import sys
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

from consumer_worker.__main__ import main
from consumer_worker.scoring import ScoringReport, score_file


def hold_and_score(*args: Any, cancelled: Event, **options: Any) -> ScoringReport:
    """Wait, then score as usual."""
    Path(os.environ["SCORING_MARK"]).touch()
    cancelled.wait(float(os.environ["HOLD_SECONDS"]))
    return score_file(*args, cancelled=cancelled, **options)


if __name__ == "__main__":
    with patch("consumer_worker.handler.score_file", hold_and_score):
        sys.exit(main([]))
