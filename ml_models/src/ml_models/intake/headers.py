"""What a header says: its words, and the unit it names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ml_models.card import normalise

MAX_NAME_LENGTH = 100
"""Characters. A longer header is no name of anything: only an exact mapping can name its column."""

MAX_NAME_WORDS = 12
"""A header of more words is no name of anything either."""

_DAYS_PER_MONTH = 365.25 / 12

_UNITS: Mapping[str, Mapping[str, tuple[float, tuple[str, ...]]]] = {
    # Unit of the feature: unit in the header: factor and spellings, normalised. Of quarters and thousands no
    # singular, since `quarter` may be a part of a date. In English, German, French, Spanish, Portuguese,
    # Italian and Dutch.
    "months": {
        "days": (
            1 / _DAYS_PER_MONTH,
            ("day", "days", "d", "tage", "tagen", "jours", "dias", "giorni", "dagen", "dni"),
        ),
        "weeks": (
            7 / _DAYS_PER_MONTH,
            ("week", "weeks", "w", "wk", "wks", "wochen", "semaines", "semanas", "settimane", "weken"),
        ),
        "months": (
            1.0,
            (
                "month", "months", "m", "mo", "mos", "mth", "mths", "monat", "monate", "monaten", "mois",
                "mes", "meses", "mese", "mesi", "maand", "maanden", "miesiace", "miesiecy",
            ),
        ),
        "quarters": (3.0, ("quarters", "quartale", "quartalen", "trimestres", "trimestri", "kwartalen")),
        "years": (
            12.0,
            (
                "year", "years", "y", "yr", "yrs", "j", "jahre", "jahren", "ans", "annees", "anos", "anni",
                "jaren", "jaar", "lata",
            ),
        ),
    },
    "currency": {
        "cents": (
            0.01,
            (
                "cent", "cents", "ct", "cts", "pence", "pennies", "centimes", "centimos", "centavos",
                "centesimi",
            ),
        ),
        "currency": (
            1.0,
            (
                "currency", "usd", "eur", "gbp", "chf", "cad", "aud", "brl", "dollar", "dollars", "euro",
                "euros", "reais", "pounds", "pfund",
            ),
        ),
        "thousands": (1000.0, ("thousands", "tsd", "milliers", "miles", "migliaia", "duizenden")),
    },
    "percent": {
        "percent": (1.0, ("percent", "pct", "percentage", "prozent")),
        "share": (100.0, ("share", "fraction")),
    },
}  # fmt: skip
"""A unit word of one letter counts only at the end of a header: `Tenure (d)`, not `mois d'ancienneté`."""

_CURRENCY_SIGNS = re.compile(r"(?:\b(?:US|CA|AU|NZ|R|A|C))?[$€£¥₹₽₺₩]")
_CONNECTING = frozenset({"in", "of", "en", "em", "de", "per", "a", "pro", "par", "por", "al", "the"})
"""Words that lead to a unit at the end of a header: `tenure in months`, `Ancienneté en mois`."""

_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")

_UNIT_OF_WORD: Mapping[str, Mapping[str, tuple[str, float]]] = {
    unit: {word: (name, factor) for name, (factor, words) in units.items() for word in words}
    for unit, units in _UNITS.items()
}


def other_units(unit: str | None) -> Mapping[str, float]:
    """Return the units that a header can name for a feature in this unit, each with its factor."""
    return {name: factor for name, (factor, _) in _UNITS.get(unit or "", {}).items()}


def unit_words(unit: str) -> Mapping[str, float]:
    """Return the words for other units than this one, and for itself, each with its factor to this one."""
    return {word: factor for word, (_, factor) in _UNIT_OF_WORD.get(unit, {}).items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a header: its words, and what its unit says."""

    words: tuple[str, ...]
    factor: float = 1.0
    conversion: str | None = None
    unit: str | None = None

    @property
    def compact(self) -> str:
        """The words as one."""
        return "".join(self.words)


@dataclass(frozen=True)
class Header:
    """A header of a file, not blank."""

    position: int
    text: str
    """As in the file, without surrounding spaces."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """See `split_words`."""
        return split_words(self.text)

    @cached_property
    def compact(self) -> str:
        """The words as one."""
        return "".join(self.words)

    def readings(self, unit: str | None) -> Sequence[Reading]:
        """Return the ways to read the header for a feature with this unit.

        `tenure_days` is read as `tenure days`, as `tenure` and, with the model's own unit instead, as
        `tenure months`, each with the factor 0.033.
        """
        if unit not in self._readings:
            self._readings[unit] = self._read(unit)
        return self._readings[unit]

    @cached_property
    def _readings(self) -> dict[str | None, Sequence[Reading]]:
        return {}

    def _read(self, unit: str | None) -> Sequence[Reading]:
        words = self.words
        named = named_units(words, unit)
        if len(named) != 1:  # none, or a contradiction
            return [Reading(words)] if words and not named else []
        [(name, (factor, at))] = named.items()
        conversion = f"{name} to {unit}" if factor != 1.0 else None
        rest = tuple(word for position, word in enumerate(words) if position not in at)
        while rest and rest[-1] in _CONNECTING:
            rest = rest[:-1]
        replaced = tuple(unit or "" if position in at else word for position, word in enumerate(words))
        ways = dict.fromkeys(way for way in (words, rest, replaced) if way and rest)
        # A unit alone ("Years") is no name, unless the model's own unit is ("Months").
        ways = ways or dict.fromkeys([words] if conversion is None else [])
        return [Reading(way, factor, conversion, name) for way in ways]


def named_units(words: Sequence[str], unit: str | None) -> dict[str, tuple[float, set[int]]]:
    """Return the units that a header names, each with its factor and the positions of its words."""
    named: dict[str, tuple[float, set[int]]] = {}
    spellings = _UNIT_OF_WORD.get(unit or "", {})
    for position, word in enumerate(words):
        if word in spellings and (len(word) > 1 or position == len(words) - 1):
            name, factor = spellings[word]
            named.setdefault(name, (factor, set()))[1].add(position)
    if unit == "currency" and len(named) > 1 and "currency" in named:  # "€ cents"
        _, signs = named.pop("currency")
        for _, at in named.values():
            at |= signs
    return named


def split_words(text: str) -> tuple[str, ...]:
    """Split a header into normalised words, also at capitals: `TenureDays` is `tenure`, `days`."""
    if len(text) > MAX_NAME_LENGTH:
        return ()
    if not text.isascii() or "$" in text:
        text = _CURRENCY_SIGNS.sub(" currency ", text)
    # Salesforce's custom fields: Tenure__c.
    words = normalise(_CAPITALS.sub(" ", text.removesuffix("__c"))).split()
    return tuple(words) if len(words) <= MAX_NAME_WORDS else ()


def compact_words(text: str) -> str:
    """Return a header's words as one: `Tenure Days` and `tenure_days` are `tenuredays`."""
    return "".join(split_words(text))
