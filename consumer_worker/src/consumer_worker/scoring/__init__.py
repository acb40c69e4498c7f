"""Scoring: a customer's file in, result files out. It uses no queue, bucket or database."""

from consumer_worker.scoring.errors import ScoringCancelled, ScoringFailed
from consumer_worker.scoring.score import (
    ScoringLimits,
    ScoringProgress,
    ScoringReport,
    ScoringRequest,
    score_file,
)

__all__ = [
    "ScoringCancelled",
    "ScoringFailed",
    "ScoringLimits",
    "ScoringProgress",
    "ScoringReport",
    "ScoringRequest",
    "score_file",
]
