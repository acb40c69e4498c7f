"""Has the C library's allocator return free memory to the system, for the next file to use.

This is glibc's. Where the C library has no such calls, as musl's, nothing happens; it keeps less by itself.
Polars has an allocator of its own, which gives memory back after a second.
"""

import ctypes

MAX_ARENAS = 2
"""glibc makes eight for each CPU, and each keeps what its threads have freed. Scoring spends its time in
libraries that allocate little there: fewer arenas cost it nothing."""

_M_ARENA_MAX = -8

_libc = ctypes.CDLL(None)


def limit_arenas() -> None:
    """Have all threads share a few arenas; to be called before there are threads."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, MAX_ARENAS)


def trim_memory() -> None:
    """Give back to the system what is free. It takes 0.3 to 5 ms."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
