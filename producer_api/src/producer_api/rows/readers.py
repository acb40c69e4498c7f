"""The threads that read result files: few, so that memory and the processor are left for other requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from aiohttp import web

READER_THREADS = 2

MAX_READS = 64
"""Under way and waiting. A page takes some 20 ms, so whoever is admitted waits for about a second at most."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ReadersBusy(Exception):
    """Too many reads of result files wait already."""


class Readers:
    """Runs functions that read result files in threads."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._reads = 0

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what a function returns. Raises ReadersBusy, and what the function raises."""
        if self._reads >= MAX_READS:
            raise ReadersBusy
        self._reads += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))
        finally:
            self._reads -= 1


READERS = web.AppKey("readers", Readers)
