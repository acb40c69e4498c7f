"""What the checks have counted: a line for each, and the one JSON object at the end."""

import json
from collections.abc import Mapping

AT_MOST: Mapping[str, float] = {
    "leaks": 0,
    "schemathesis_failures": 0,
    "duplicates": 0,
    "sse_missed": 0,
    "rows_missed": 0,
    "explanation_max_error": 1e-6,
    "jwt_accepted": 0,
}
AT_LEAST: Mapping[str, float] = {
    "routes": 30,
    "probes": 300,
    "jwt_vectors": 40,
    "client_flows": 2,
}
KEYS = (
    "routes",
    "probes",
    "leaks",
    "schemathesis_failures",
    "duplicates",
    "sse_missed",
    "rows_missed",
    "explanation_max_error",
    "jwt_vectors",
    "jwt_accepted",
    "client_flows",
)
"""The keys of the JSON object. What a check counts besides is only printed."""


class Report:
    """Sums and maxima over all checks."""

    def __init__(self) -> None:
        self._counts: dict[str, int | float] = {}
        self._broken: list[str] = []

    def add(self, name: str, counts: Mapping[str, int | float], seconds: float) -> None:
        """Add what a check has counted, and print it."""
        print(f"{name}: {', '.join(f'{key} {count}' for key, count in counts.items())} ({seconds:.0f} s)")
        for key, count in counts.items():
            before = self._counts.get(key, 0)
            self._counts[key] = max(before, count) if "_max" in key else before + count

    def break_with(self, name: str, error: BaseException) -> None:
        """Note a check that has broken."""
        print(f"{name}: BROKEN: {error!r}")
        self._broken.append(f"{name} has broken: {error!r}")

    def broken(self, *, complete: bool) -> list[str]:
        """Return what is not as it must be; counts may be missing only if the run is not complete."""
        found = list(self._broken)
        for key in KEYS:
            if key not in self._counts:
                if complete:
                    found.append(f"{key} was not counted")
                continue
            count = self._counts[key]
            if count > AT_MOST.get(key, float("inf")):
                found.append(f"{key} is {count}, the limit is {AT_MOST[key]}")
            if complete and count < AT_LEAST.get(key, 0):
                found.append(f"{key} is {count}, at least {AT_LEAST[key]} are needed")
        return found

    def to_json(self) -> str:
        """Return the last line."""
        return json.dumps({key: self._counts[key] for key in KEYS if key in self._counts})
