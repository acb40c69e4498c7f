"""Counts the ids that occur more than once, in memory that does not grow with the file."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

_HELD = 1 << 20
"""Hashes kept in memory (8 MiB) before they are written to disk."""

_PARTS = 64
"""Files on disk. Equal hashes are always in the same file, so each file is counted by itself."""

_PART_SHIFT = np.uint64(64 - 6)


class DuplicateIds:
    """Counts repeated ids by a 64-bit hash of each id.

    For ten million different ids, the chance that any two share a hash is about 3 in 10^6 (birthday bound,
    n^2 / 2^65).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[NDArray[np.uint64]] = []
        self._parts: list[BinaryIO] = []

    def add(self, ids: pl.Series) -> None:
        """Add the ids of some rows."""
        self._held.append(ids.hash().to_numpy())
        if sum(map(len, self._held)) > _HELD:
            self._spill()

    def _spill(self) -> None:
        if not self._parts:
            self._parts = [(self._folder / f"ids-{part:02}").open("w+b") for part in range(_PARTS)]
        hashes = np.sort(np.concatenate(self._held))
        bounds = np.searchsorted(hashes >> _PART_SHIFT, np.arange(_PARTS + 1, dtype=np.uint64))
        for part, file in enumerate(self._parts):
            file.write(hashes[bounds[part] : bounds[part + 1]].tobytes())
        self._held = []

    def count(self) -> tuple[int, int]:
        """Return how many ids occur more than once, and the number of rows they are in."""
        if not self._parts:
            return _repeated(np.concatenate(self._held)) if self._held else (0, 0)
        if self._held:
            self._spill()
        ids = rows = 0
        for file in self._parts:
            file.seek(0)
            of_part = _repeated(np.frombuffer(file.read(), np.uint64))
            ids += of_part[0]
            rows += of_part[1]
        return ids, rows

    def close(self) -> None:
        """Close the files. The caller removes the folder."""
        for file in self._parts:
            file.close()


def _repeated(hashes: NDArray[np.uint64]) -> tuple[int, int]:
    _, counts = np.unique(hashes, return_counts=True)
    repeated = counts[counts > 1]
    return len(repeated), int(repeated.sum())
