"""Decides whether blank cells beyond the header are a habit of a program or the trace of shifted rows.

Some programs end each row with a delimiter, and the header not: nothing is wrong then. But an unquoted
`29,85`, or `Acme, Inc`, moves all cells after it by one, and if the last column was blank, the row ends with
a blank cell too many as well.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

SAMPLED_ROWS = 200
"""What the first rows show holds for the whole file."""

NEARLY_ALL = 0.9
"""Share of the rows. A program that ends rows with a delimiter does so in all of them, but for rows that
were added
by hand. Amounts or names with a delimiter are rarely in so many rows, and then `_SPLITS` shows them."""

_Split = Callable[[str, str], bool]


def _splits_decimals(left: str, right: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,7}", left) and re.fullmatch(r"\d{1,2}", right))


def _splits_thousands(left: str, right: str) -> bool:
    return bool(re.fullmatch(r"-?\D?\d{1,3}", left) and re.fullmatch(r"\d{3}(?:\.\d+)?", right))


def _splits_words(left: str, right: str) -> bool:
    return bool(left.strip()) and left == left.lstrip() and right.startswith(" ") and bool(right.strip())


_SPLITS: Sequence[tuple[_Split, _Split]] = (
    # How the two halves of a cell look in nearly all rows; and in one of them at least, what two cells that
    # only happen to look so would not have: `05` is no number of its own, and no word begins with a blank.
    (_splits_decimals, lambda _, right: right[0] == "0" and len(right) == 2),
    (_splits_thousands, lambda _, right: right[0] == "0" or "." in right),
    (_splits_words, lambda _, __: True),
)


def tolerated_surplus(rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many blank cells beyond the header's width a row may have.

    Args:
        rows: the cells of the file's first rows.
        width: the number of columns of the header.
    """
    surplus = [row for row in rows if len(row) > width and not any(cell.strip() for cell in row[width:])]
    if not surplus or len(surplus) < NEARLY_ALL * len(rows) or _are_shifted(surplus, width):
        return 0
    return Counter(len(row) - width for row in surplus).most_common(1)[0][0]


def _are_shifted(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether two neighbouring columns hold the halves of one cell."""
    blank_starts = sum(1 for row in rows for cell in row if cell.startswith(" "))
    # Where all cells begin with a blank, it says nothing.
    splits = _SPLITS if blank_starts <= 3 * len(rows) else _SPLITS[:2]
    for position in range(width - 1):
        pairs = [(row[position], row[position + 1]) for row in rows]
        for looks_split, is_certain in splits:
            halves = [pair for pair in pairs if looks_split(*pair)]
            if len(halves) >= NEARLY_ALL * len(rows) and any(is_certain(*pair) for pair in halves):
                return True
    return False
