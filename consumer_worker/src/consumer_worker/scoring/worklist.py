"""Chooses the customers of the worklist, those most likely to leave, in memory that does not grow.

Only where a row is and its probability are kept; the rows are read from disk in the end.
"""

import numpy as np
from numpy.typing import NDArray


class Worklist:
    """The `size` scored rows with the highest probabilities; of equal ones, the first in the file."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._threshold = -1.0
        """A row enters only above it: the lowest probability kept, once there are enough."""
        self._probability = np.empty(0)
        self._position = np.empty(0, np.int64)
        """Position of each row kept among all scored rows of the file, in rising order."""

    def add(self, probability: NDArray[np.float64], left: NDArray[np.bool_]) -> None:
        """Add the next scored rows: `[rows]`; `left` marks the customers who have already left."""
        rows = np.flatnonzero((probability > self._threshold) & ~left)
        self._probability = np.concatenate([self._probability, probability[rows]])
        self._position = np.concatenate([self._position, rows + self._seen])
        self._seen += len(probability)
        # Not after each addition: finding the lowest one takes as long as looking at all.
        if len(self._probability) > 2 * self._size:
            self._drop_lowest()

    def _drop_lowest(self) -> None:
        surplus = len(self._probability) - self._size
        if surplus <= 0:
            return
        self._threshold = float(np.partition(self._probability, surplus)[surplus])
        above = self._probability > self._threshold
        first_equal = np.flatnonzero(self._probability == self._threshold)[: self._size - int(above.sum())]
        above[first_equal] = True
        self._probability, self._position = self._probability[above], self._position[above]

    def positions(self) -> NDArray[np.int64]:
        """Return the positions of the rows among all scored rows, in the order of the file."""
        self._drop_lowest()
        return self._position
