"""How long to wait before something that failed is tried again."""

import random

_MAX_DOUBLINGS = 30
"""Beyond these every cap is reached; it keeps the power of two a finite float."""


def full_jitter(failures: int, base: float, cap: float) -> float:
    """Return a random number of seconds from 0 to min(cap, base * 2^(failures - 1)).

    The randomness spreads what failed together ("full jitter", AWS Architecture Blog, 2015).
    """
    ceiling = min(cap, base * 2 ** min(failures - 1, _MAX_DOUBLINGS))
    return random.uniform(0, ceiling)  # noqa: S311  # spreads load, guards nothing
