"""All cases, in one fixed order."""

from collections import Counter
from functools import cache

from tests.files.cases import (
    careless,
    certain,
    encodings,
    languages,
    layouts,
    leavers,
    meaning,
    numbers,
    refusals,
    shifted,
    units,
    weakness,
)
from tests.files.outcomes import Case

_MODULES = (
    shifted,
    meaning,
    units,
    certain,
    languages,
    leavers,
    weakness,
    encodings,
    refusals,
    layouts,
    numbers,
    careless,
)


@cache
def corpus() -> tuple[Case, ...]:
    """Make all cases; no two have the same name within their kind."""
    cases = tuple(case for module in _MODULES for case in module.cases())
    names = Counter((case.kind, case.name) for case in cases)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"These names are given more than once: {repeated}.")
    return cases
