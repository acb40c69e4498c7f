"""Reads numbers as people and spreadsheets write them, and knows the words for no value."""

import math
import re
from collections.abc import Iterable
from typing import Literal

from ml_models.card import normalise
from ml_models.intake.headers import unit_words

Decimal = Literal[".", ","]

MISSING = frozenset(
    {
        "", "-", "--", "---", "\u2013", "\u2014", ".", "?", "n/a", "na", "n.a.", "n.a", "#n/a", "#na", "nan",
        "null", "nil", "none", "missing", "unknown", "not available", "not applicable", "blank", "(blank)",
        "empty", "(empty)", "undefined", "not set", "\\n", "#null!", "#value!", "#ref!", "#div/0!", "#name?",
        "<na>", "#nv", "#bezug!", "#wert!", "k.a.", "keine angabe", "unbekannt", "inconnu",
    }
)  # fmt: skip
"""Words for no value, in lower case, as `is_missing` compares them."""

_CURRENCY = (
    r"(?:US\$|R\$|A\$|C\$|[$€£¥₹₽₺₩₪฿]|USD|EUR|GBP|CHF|CAD|AUD|NZD|JPY|CNY|INR|BRL|SEK|NOK|DKK|PLN|CZK"
    r"|euros?|dollars?|kr\.?|zł|Kč|Fr\.|Rs\.?)"
)
_CURRENCY_BEFORE = re.compile(_CURRENCY, re.IGNORECASE)
_CURRENCY_AFTER = re.compile(rf"{_CURRENCY}\Z", re.IGNORECASE)
_SPACED_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2009\u202f'\u2019]\d{3})+(?!\d).*")
_GROUPING = re.compile(r"[ \u00a0\u2009\u202f'\u2019]")
_EXPONENT = r"(?:[eE][+-]?\d{1,3})?"
_WRITTEN = {
    # Groups of two are Indian (1,23,456); the last one has three digits everywhere.
    ".": re.compile(rf"[+-]?(?:\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}|\d+|(?=\.\d))(?:\.\d*)?{_EXPONENT}"),
    ",": re.compile(rf"[+-]?(?:\d{{1,3}}(?:\.\d{{2,3}})*\.\d{{3}}|\d+|(?=,\d))(?:,\d*)?{_EXPONENT}"),
}


_MAX_NUMBER_LENGTH = 64
"""Characters. Longer text is not a number; the limit also bounds the work per cell."""


_CURRENCY_NAMES = {
    "us$": "$", "usd": "$", "dollar": "$", "dollars": "$", "euro": "€", "euros": "€", "eur": "€", "gbp": "£",
    "jpy": "¥", "inr": "₹", "rs": "₹", "rs.": "₹", "brl": "R$", "aud": "A$", "cad": "C$", "pln": "zł",
    "czk": "Kč", "kč": "Kč", "fr.": "CHF", "kr.": "KR", "zł": "zł",
}  # fmt: skip
"""One name for each currency, by its other ones in lower case."""

_DURATION_PART = re.compile(
    r"(\d{1,5}(?:[.,]\d{1,4})?) ?([^\W\d_]+)\.?(?:[ ,;]{0,3}(?:(?:and|und|et|y|e|en) (?=\d))?)"
)
"""One number with its unit, and what may stand before the next one."""
_DURATION_UNITS = {
    **unit_words("months"),
    # In a header these could be a part of a date.
    **dict.fromkeys(("jahr", "an", "annee", "ano", "anno"), 12.0),
    **dict.fromkeys(("tag", "jour", "dia", "giorno", "dag"), 12 / 365.25),
    **dict.fromkeys(("woche", "semaine", "semana", "settimana"), 7 * 12 / 365.25),
}
"""Months of each unit, by its words as `normalise` writes them."""

PERCENT = {None: 0.01, "share": 0.01, "percent": 1.0}
"""The factor for `%`, by the feature's unit. Other units, such as months, allow no percentage."""


class NotANumber(ValueError):
    """A cell has a value that is not a finite number."""


def is_missing(text: str) -> bool:
    """Return whether a cell means that there is no value, as `N/A`, `null` and `-` do."""
    return text.strip().casefold() in MISSING


def parse_number(text: str, decimal: Decimal, *, percent: float | None = 0.01) -> float | None:
    """Read a number as people and spreadsheets write it; return None if the cell is missing.

    The file's own decimal separator is tried first, then the other one: in a file with decimal points,
    `1,234` is 1234, and `29,85` can only be 29.85.

    Args:
        text: such as `1.234,56`, `$29.99`, `29,99 €`, `12 %`, `1 234`, `(5.00)`, `'-5`.
        decimal: the file's decimal separator.
        percent: the factor for `%`; None where a percentage is not allowed.

    Raises:
        NotANumber: the text is not a number, or is infinite.
    """
    if is_missing(text):
        return None
    if len(text) > _MAX_NUMBER_LENGTH:
        raise NotANumber(text)
    number = text.strip().removeprefix("'").replace("\u2212", "-")
    negative = False
    if number.startswith("(") and number.endswith(")"):
        negative, number = True, number[1:-1]
    factor = 1.0
    if number.endswith("%"):
        if percent is None:
            raise NotANumber(text)
        factor, number = percent, number[:-1].rstrip()
    number = _without_currency(number)
    if number.endswith("-") and not number.startswith(("-", "+")):
        negative, number = True, number[:-1]
    if _SPACED_THOUSANDS.fullmatch(number):
        number = _GROUPING.sub("", number)
    value = _read(number, decimal)
    if value is None:
        raise NotANumber(text)
    return (-value if negative else value) * factor


def _without_currency(number: str) -> str:
    """Remove a currency before or after a number, and the spaces around it; a sign may stand first."""
    sign = number[:1] if number[:1] in ("+", "-") else ""
    number = number[len(sign) :].strip()
    if before := _CURRENCY_BEFORE.match(number):
        number = number[before.end() :].lstrip()
    if after := _CURRENCY_AFTER.search(number):
        number = number[: after.start()].rstrip()
    return sign + number


def _read(number: str, decimal: Decimal) -> float | None:
    signs: tuple[Decimal, Decimal] = (".", ",") if decimal == "." else (",", ".")
    for sign in signs:
        if number.isascii() and _WRITTEN[sign].fullmatch(number):
            grouping = "," if sign == "." else "."
            value = float(number.replace(grouping, "").replace(sign, "."))
            return value if math.isfinite(value) else None
    return None


def parse_duration(text: str, decimal: Decimal) -> float | None:
    """Read `27 mths`, `2 years 3 months`, `2y3m` or `P2Y3M` as months; None if it is none of these."""
    text = text.strip()
    if not 2 <= len(text) <= _MAX_NUMBER_LENGTH:
        return None
    if text[0] in "Pp" and text[1].isdigit():
        text = text[1:]
    months, at = 0.0, 0
    while at < len(text):
        part = _DURATION_PART.match(text, at)
        if part is None:
            return None
        number, factor = _read(part[1], decimal), _DURATION_UNITS.get(normalise(part[2]))
        if number is None or factor is None:
            return None
        months, at = months + number * factor, part.end()
    return months


def named_currencies(texts: Iterable[str]) -> frozenset[str]:
    """Return the currencies that amounts name, each by one name."""
    found = set(_CURRENCY_BEFORE.findall("\n".join(texts)))
    return frozenset(_CURRENCY_NAMES.get(name.casefold(), name.upper()) for name in found)
