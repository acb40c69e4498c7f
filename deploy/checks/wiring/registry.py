"""The checks by name. One is a function that yields a sentence for each thing that is wrong.

Its docstring says what must hold.
"""

from collections.abc import Callable, Iterator

from deploy.checks.deployment import Deployment

Check = Callable[[Deployment], Iterator[str]]

CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Add a check to `CHECKS`."""
    CHECKS[function.__name__] = function
    return function
