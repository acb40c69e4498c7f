"""What the browser's checks have counted: a line for each, and the one JSON object at the end."""

import json
from collections.abc import Mapping

AT_MOST: Mapping[str, float] = {
    "axe_serious": 0,
    "csp_violations": 0,
    "outside_requests": 0,
    "whatif_max_error": 1e-6,
    "assets_kb": 150,
}
AT_LEAST: Mapping[str, float] = {"pages": 12, "screenshots": 40, "keyboard_flows": 2}

KEYS = (
    "pages",
    "screenshots",
    "axe_serious",
    "csp_violations",
    "outside_requests",
    "keyboard_flows",
    "whatif_max_error",
    "assets_kb",
    "usable_ms",
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

    def break_with(self, name: str, why: object) -> None:
        """Note a check that has broken."""
        print(f"{name}: BROKEN: {why}")
        self._broken.append(f"{name} has broken: {why}")

    def broken(self, *, complete: bool) -> list[str]:
        """Return what is not as it must be; counts may be missing only if the run is not complete."""
        found = list(self._broken)
        for key in KEYS:
            if key not in self._counts:
                found += [f"{key} was not counted"] if complete else []
            elif self._counts[key] > AT_MOST.get(key, float("inf")):
                found.append(f"{key} is {self._counts[key]}, allowed are {AT_MOST[key]}")
            elif complete and self._counts[key] < AT_LEAST.get(key, 0):
                found.append(f"{key} is {self._counts[key]}, it must be {AT_LEAST[key]}")
        return found

    def to_json(self) -> str:
        """Return the last line."""
        return json.dumps({key: self._counts.get(key) for key in KEYS})
