"""How the scoring of a file can end without a result."""

from retainwise_contracts.failures import FAILURES, FailureCode


class ScoringFailed(Exception):
    """The file cannot be scored, now or later.

    `detail` says what was found, where, and what to do; `message` puts the code's sentence before it. Neither
    holds a cell of a customer.
    """

    def __init__(self, code: FailureCode, detail: str) -> None:
        self.code = code
        self.detail = detail
        self.message = f"{FAILURES[code].sentence} {detail}".strip()
        super().__init__(f"{code.value}: {detail}")


class ScoringCancelled(Exception):
    """The caller asked to stop. What was written so far is worth nothing."""
