"""How long to wait before trying again."""

import random

_MAX_DOUBLINGS = 30
"""Every cap is reached by then; without it the power of two could grow beyond what a float holds."""


def full_jitter(failures: int, base: float, cap: float) -> float:
    """Return a random number of seconds from 0 to min(cap, base * 2^(failures - 1)).

    The randomness spreads the next attempts of what failed together ("full jitter", AWS Architecture Blog,
    2015).
    """
    ceiling = min(cap, base * 2 ** min(failures - 1, _MAX_DOUBLINGS))
    return random.uniform(0, ceiling)  # noqa: S311  # spreads load, protects no secret
