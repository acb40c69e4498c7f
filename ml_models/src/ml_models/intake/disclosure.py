"""Which cell values of a customer's file may be shown outside the result files, and how."""

import re

_AMOUNT = re.compile(
    r"[+-]?(?:\d{1,5}(?:[.,]\d{1,2})?|\d{1,2},\d{3}(?:\.\d{1,2})?|\d{1,2}\.\d{3}(?:,\d{1,2})?)"
)
"""A number the size of a tenure or a charge: up to five digits and two decimals. Phone numbers, social
security numbers and dates of birth are not written like this."""

_MAX_DIGITS_SHOWN = 4


def mask(value: str) -> str:
    """Shorten a rejected value so that it shows the fault but does not identify the person.

    Amounts are shown as they are; anything else as its first letter and its length.
    """
    value = value.strip()
    return value if not value or _AMOUNT.fullmatch(value) else _masked(value)


def mask_if_personal(value: str, max_length: int) -> str:
    """Return a category for the quality report, masked if it looks like an address or number of a person.

    Args:
        value: the category as it is in the file.
        max_length: in characters; what is not masked is cut to it.
    """
    is_personal = "@" in value or sum(map(str.isdigit, value)) > _MAX_DIGITS_SHOWN
    return _masked(value) if is_personal else printable(value, max_length)


def _masked(value: str) -> str:
    """Return the first letter and the length; of one or two characters, a letter would reveal half."""
    first = value[0] if len(value) > 2 and value[0].isprintable() else ""
    noun = "character" if len(value) == 1 else "characters"
    return f"{first}*** ({len(value)} {noun})"


def printable(text: str, max_length: int) -> str:
    """Replace unprintable characters by U+FFFD and cut the text to `max_length` characters."""
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= max_length else f"{clean[: max_length - 1]}…"
