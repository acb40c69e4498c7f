"""Counts the ids that occur more than once, in memory that does not grow with the file."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

_PARTS = 64
"""Equal ids fall into the same part, so that each part is counted by itself."""
_PART_SHIFT = np.uint64(64 - 6)


class DuplicateIds:
    """Keeps a 64-bit hash of each id on disk; two ids share one by chance in one file of 10^5, if at all."""

    def __init__(self, folder: Path) -> None:
        self._files: list[BinaryIO] = [(folder / f"ids-{part:02}").open("w+b") for part in range(_PARTS)]

    def add(self, ids: pl.Series) -> None:
        """Add some rows' ids."""
        hashes = np.sort(ids.hash().to_numpy())
        bounds = np.searchsorted(hashes >> _PART_SHIFT, np.arange(_PARTS + 1, dtype=np.uint64))
        for part, file in enumerate(self._files):
            file.write(hashes[bounds[part] : bounds[part + 1]].tobytes())

    def count(self) -> tuple[int, int]:
        """Return how many ids occur more than once, and in how many rows."""
        ids = rows = 0
        for file in self._files:
            file.seek(0)
            _, counts = np.unique(np.frombuffer(file.read(), np.uint64), return_counts=True)
            repeated = counts[counts > 1]
            ids += len(repeated)
            rows += int(repeated.sum())
        return ids, rows

    def close(self) -> None:
        """Close the files; the folder is its maker's to remove."""
        for file in self._files:
            file.close()
