"""What of a customer's cells may be told outside of the result files, and how."""

import re

_AMOUNT = re.compile(
    r"[+-]?(?:\d{1,5}(?:[.,]\d{1,2})?|\d{1,2},\d{3}(?:\.\d{1,2})?|\d{1,2}\.\d{3}(?:,\d{1,2})?)"
)
"""A number of the size of a tenure or a charge: five digits and two behind the decimal sign. Neither a phone
or social-security number nor a date of birth is written so."""

_MOST_DIGITS_TOLD = 4


def mask(value: str) -> str:
    """Shorten a value to what tells the fault and not the person, to stand beside the row it came from."""
    value = value.strip()
    return value if not value or _AMOUNT.fullmatch(value) else _masked(value)


def tellable(value: str, longest: int) -> str:
    """Return a category as it may be told: what looks like a person's address or number is masked."""
    is_personal = "@" in value or sum(map(str.isdigit, value)) > _MOST_DIGITS_TOLD
    return _masked(value) if is_personal else printable(value, longest)


def _masked(value: str) -> str:
    """Return the first letter and the length; of one or two characters, a letter would be half of them."""
    first = value[0] if len(value) > 2 and value[0].isprintable() else ""
    noun = "character" if len(value) == 1 else "characters"
    return f"{first}*** ({len(value)} {noun})"


def printable(text: str, longest: int) -> str:
    """Return text fit to be shown and stored: without control characters, and not too long."""
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
