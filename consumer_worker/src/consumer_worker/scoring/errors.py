"""How the scoring of a file can end without a result."""

from retainwise_contracts.failures import FailureCode


class ScoringFailed(Exception):
    """The file cannot be scored, and retrying does not help.

    `detail` says what was found, where, and what to do. It contains no cell values of customers.
    """

    def __init__(self, code: FailureCode, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code.value}: {detail}")


class ScoringCancelled(Exception):
    """The caller asked to stop. The files written so far are incomplete."""
