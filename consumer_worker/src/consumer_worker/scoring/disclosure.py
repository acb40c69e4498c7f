"""What of a customer's cells may be told outside of the result files, and how."""

import re

_NUMBER_LIKE = re.compile(r"[+-]?[\d.,]{1,9}")
_MOST_DIGITS_TOLD = 4


def mask(value: str) -> str:
    """Shorten a value to what tells the fault and not the person: a short number, else its first letter."""
    value = value.strip()
    if not value or _NUMBER_LIKE.fullmatch(value):
        return value
    first = value[0] if value[0].isprintable() else ""
    return f"{first}*** ({len(value)} characters)"


def tellable(value: str, longest: int) -> str:
    """Return a category as it may be told: what looks like a person's address or number is masked."""
    is_personal = "@" in value or sum(map(str.isdigit, value)) > _MOST_DIGITS_TOLD
    return mask(value) if is_personal else printable(value, longest)


def printable(text: str, longest: int) -> str:
    """Return text fit to be shown and stored: without control characters, and not too long."""
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
