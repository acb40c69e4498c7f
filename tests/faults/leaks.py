"""What nobody may be shown: secrets that were planted, and what answers say of our insides."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.faults.report import Report
from tests.faults.stack import DATABASE_PASSWORD

SECRET_CELL = "PLANTEDCELL"
"""Begins the customers' ids in the victim's file."""

_INSIDES = (
    (re.compile(rb"^server:.*(aiohttp|python)"), "the Server header names aiohttp or Python"),
    (re.compile(rb"traceback \(most recent"), "a traceback"),
    (re.compile(rb"site-packages|/src/producer_api|/src/consumer_worker"), "a path of the installation"),
    (re.compile(rb"arn:aws"), "an ARN"),
    (re.compile(rb"postgres(ql)?://"), "a database URL"),
    (re.compile(rb"asyncpg|botocore|aiobotocore"), "a library's name"),
)

_ADDRESS = re.compile(rb"(127\.0\.0\.1|localhost):\d+|https?://")


class Leaks:
    """Looks at answers and logs for secrets; each finding counts once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._secrets = {SECRET_CELL: "a customer's cell", DATABASE_PASSWORD: "the database's password"}
        self._found: set[tuple[str, str]] = set()

    def plant(self, secret: str, what: str) -> None:
        """Look for one more secret."""
        self._secrets[secret] = what

    def plant_token(self, token: str) -> None:
        """Look for a bearer token, by its last part."""
        self.plant(token.rpartition(".")[2], "a bearer token")

    def look_at_answer(self, source: str, answer: bytes, *, is_open: bool = False) -> None:
        """Look at the raw bytes of an answer; an open route must not show addresses either."""
        lower = answer.lower()
        lines = lower.split(b"\r\n")
        for pattern, what in _INSIDES:
            if any(pattern.search(line) for line in lines):
                self.note(source, f"an answer shows {what}")
        if is_open and _ADDRESS.search(lower.partition(b"\r\n\r\n")[2] or lower):
            self.note(source, "an open route shows an address")
        self._look_for_secrets(source, answer, "an answer")

    def look_at_logs(self, logs: Iterable[Path]) -> None:
        """Look through whole log files."""
        for log in logs:
            if log.exists():
                self._look_for_secrets(log.name, log.read_bytes(), "a log")

    def look_at_text(self, source: str, text: bytes) -> None:
        """Look at what a program has printed."""
        self._look_for_secrets(source, text, "the output")
        if b"Traceback (most recent" in text:
            self.note(source, "the output is a traceback")

    def _look_for_secrets(self, source: str, data: bytes, where: str) -> None:
        for secret, what in self._secrets.items():
            if secret.encode() in data:
                self.note(source, f"{where} shows {what}")

    def note(self, source: str, what: str) -> None:
        """Count a finding, once."""
        if (source, what) not in self._found:
            self._found.add((source, what))
            self._report.leak(source, what)
