"""Which of a customer's columns is which feature of a model.

A header is matched by its exact name, then without regard to case, blanks and punctuation, then by the names
the card says a feature also goes by, at last by likeness. A mapping in the request wins over all of them.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rapidfuzz import fuzz, process

from ml_models.card import Card, normalise

CUSTOMER_ID = "customer_id"
"""What the customer's id is called in a mapping, beside the names of the features."""

IGNORED_HEADERS = frozenset(
    {"rejected_row", "rejected_code", "rejected_column", "rejected_value", "rejected_hint"}
)
"""What our own `rejected.csv` adds; it may be mended and sent again as it is."""

Method = Literal["explicit", "exact", "normalised", "alias", "fuzzy"]

_CONFIDENCE: Mapping[Method, float] = {"explicit": 1.0, "exact": 1.0, "normalised": 0.98, "alias": 0.95}
_RANK: Mapping[Method, int] = {"explicit": 0, "exact": 1, "normalised": 2, "alias": 3, "fuzzy": 4}

_LIKE_ENOUGH = 88.0
"""Of 100: one wrong letter in eight. Below it, other things have names as close as a typing error."""
_AMBIGUOUS_WITHIN = 4.0
_WORTH_NAMING = 65.0

_SHORT_WORD = 3
"""Letters. A word no longer than this is not misspelt but another word: `ip` is no `id`."""

_OTHER_WORDS = ("change", "contact")
"""Words of customer files that are one letter from a card's (charge, contract), and something else."""

_KEYS = (["id"], ["no"], ["nr"], ["number"], ["code"], ["key"], ["date"])
"""Last words of headers that are about a thing, not the thing: `payment id`."""

_DAYS_PER_MONTH = 365.25 / 12

_UNITS: Mapping[str, Mapping[str, tuple[float, tuple[str, ...]]]] = {
    # Unit of the feature: unit in the header: its factor and its spellings. Plurals alone where the singular
    # is as likely the name of a date's part.
    "months": {
        "days": (1 / _DAYS_PER_MONTH, ("day", "days", "d", "tage", "tagen")),
        "weeks": (7 / _DAYS_PER_MONTH, ("week", "weeks", "w", "wk", "wks", "wochen")),
        "months": (1.0, ("month", "months", "m", "mo", "mos", "mth", "mths", "monate", "monaten")),
        "quarters": (3.0, ("quarters", "quartale")),
        "years": (12.0, ("year", "years", "y", "yr", "yrs", "j", "jahre", "jahren")),
    },
    "currency": {
        "cents": (0.01, ("cent", "cents", "ct", "cts", "pence", "pennies")),
        "currency": (1.0, ("usd", "eur", "gbp", "chf", "cad", "aud", "dollar", "dollars", "euro", "euros")),
        "thousands": (1000.0, ("thousands", "tsd")),
    },
    "percent": {
        "percent": (1.0, ("percent", "pct", "percentage", "prozent")),
        "share": (100.0, ("share", "fraction")),
    },
}

_UNIT_WORDS = frozenset(
    word for units in _UNITS.values() for _, spellings in units.values() for word in spellings
)


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column of the file that is read as a feature, or as the customer's id."""

    feature: str
    """The feature's name, or `CUSTOMER_ID`."""
    header: str
    position: int
    """Of the column in the file, from 0."""
    method: Method
    confidence: float
    """From 0 to 1, where 1 is certain."""
    factor: float = 1.0
    """What its numbers are multiplied with to be in the model's unit."""
    conversion: str | None = None
    """The same in words: `years to months`."""


@dataclass(frozen=True)
class ColumnMapping:
    """Which column is what."""

    customer_id: MappedColumn
    features: Mapping[str, MappedColumn]
    """By the feature's name; a feature that the file lacks is not there."""
    unused: tuple[str, ...]
    """The headers that are nothing to this model."""
    conflicts: tuple[str, ...]
    """What could have been read otherwise, and what was done, in sentences."""

    @property
    def columns(self) -> tuple[MappedColumn, ...]:
        """The customer's id, then the features in the order of the card."""
        return (self.customer_id, *self.features.values())


class MappingError(ValueError):
    """The file's columns cannot be mapped."""


class RequiredColumnsMissing(MappingError):
    """The file lacks columns without which no score is honest.

    `missing` holds feature names (or `CUSTOMER_ID`), `closest` the headers most like each of them.
    """

    def __init__(self, missing: tuple[str, ...], closest: Mapping[str, tuple[str, ...]]) -> None:
        self.missing = missing
        self.closest = closest
        told = "; ".join(self._tell(name) for name in missing)
        super().__init__(f"Not found: {told}. Rename the columns, or name them in the request's mapping.")

    def _tell(self, name: str) -> str:
        headers = ", ".join(f"“{header}”" for header in self.closest.get(name, ()))
        return f"{name} (closest: {headers})" if headers else f"{name} (no header is like it)"


class InvalidMapping(MappingError):
    """The request's mapping names a feature the model does not have, or a header the file does not have."""


@dataclass(frozen=True, slots=True)
class _Header:
    position: int
    text: str
    """As it is in the file, less surrounding blanks."""

    def readings(self, unit: str | None) -> Iterator[tuple[str, float, str | None]]:
        """Yield its compact spellings, each with the factor and conversion its unit word asks for.

        `tenure_days` is read as `tenuredays`, `tenure` and, with the model's own unit in its place,
        `tenuremonths`, each of them times 0.033.
        """
        words = _words(self.text)
        for position, word in enumerate(words):
            for name, (factor, spellings) in _UNITS.get(unit or "", {}).items():
                if word in spellings:
                    conversion = f"{name} to {unit}" if factor != 1.0 else None
                    rest = words[:position] + words[position + 1 :]
                    while rest and rest[-1] in {"in", "of"}:
                        rest = rest[:-1]
                    yield "".join(words), factor, conversion
                    if rest:
                        yield "".join(rest), factor, conversion
                        yield (
                            "".join([*words[:position], unit or "", *words[position + 1 :]]),
                            factor,
                            conversion,
                        )
                    return
        yield "".join(words), 1.0, None


@dataclass(frozen=True, slots=True)
class _Target:
    """A feature or the customer's id, with the compact spellings it goes by."""

    name: str
    unit: str | None
    normalised: frozenset[str]
    aliases: Mapping[str, int]
    """Spelling to rank: of two headers that are aliases the one named earlier wins."""
    words: Mapping[str, frozenset[str]]
    """The words of each of these spellings."""

    def match(self, header: _Header) -> tuple[tuple[int, bool, int], MappedColumn] | None:
        """Return how well a header fits (lower is better) and the column it would be; None if it does not."""
        if header.text == self.name:
            return self._column(header, "exact", 0, 1.0, None)
        matches = []
        for reading, factor, conversion in header.readings(self.unit):
            if reading in self.normalised:
                matches.append(self._column(header, "normalised", 0, factor, conversion))
            elif reading in self.aliases:
                matches.append(self._column(header, "alias", self.aliases[reading], factor, conversion))
        return min(matches, key=lambda match: match[0], default=None)

    def _column(
        self,
        header: _Header,
        method: Method,
        rank: int,
        factor: float,
        conversion: str | None,
    ) -> tuple[tuple[int, bool, int], MappedColumn]:
        column = MappedColumn(
            feature=self.name,
            header=header.text,
            position=header.position,
            method=method,
            confidence=_CONFIDENCE[method],
            factor=factor,
            conversion=conversion,
        )
        # What needs no conversion is surer than what does.
        return (_RANK[method], conversion is not None, rank), column


def _words(text: str) -> list[str]:
    """Split a header into folded words, also where capitals do: `TenureDays` is `tenure`, `days`."""
    return normalise(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).split()


def _compact(text: str) -> str:
    return "".join(_words(text))


def map_columns(
    headers: Sequence[str], card: Card, explicit: Mapping[str, str] | None = None
) -> ColumnMapping:
    """Find the column of each feature and of the customer's id.

    Args:
        headers: the file's headers in order; blank ones are never mapped.
        card: of the model that shall score.
        explicit: feature name (or `CUSTOMER_ID`) to header; it wins over every other match.

    Raises:
        InvalidMapping: `explicit` does not fit the card or the headers.
        RequiredColumnsMissing: a required feature or the id has no column.
    """
    return _Mapper(headers, card, explicit or {}).map()


class _Mapper:
    """One mapping in the making: what is taken, what is found, what to tell."""

    def __init__(self, headers: Sequence[str], card: Card, explicit: Mapping[str, str]) -> None:
        self._card = card
        self._explicit = explicit
        self._free = {
            position: _Header(position, header.strip())
            for position, header in enumerate(headers)
            if header.strip() and header.strip() not in IGNORED_HEADERS
        }
        self._found: dict[str, MappedColumn] = {}
        self._conflicts: list[str] = []

    @cached_property
    def _targets(self) -> dict[str, _Target]:
        customer_id = _target(CUSTOMER_ID, (CUSTOMER_ID,), self._card.id_aliases, unit=None)
        features = (
            _target(
                feature.name,
                (feature.name, feature.label),
                feature.aliases,
                unit=feature.unit if feature.kind == "numeric" else None,
            )
            for feature in self._card.features
        )
        return {target.name: target for target in (customer_id, *features)}

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        """All words of all names: what is one of them is not misspelt."""
        return frozenset(
            word for target in self._targets.values() for words in target.words.values() for word in words
        )

    def map(self) -> ColumnMapping:
        self._take_explicit()
        self._take_names()
        self._take_likenesses()
        missing = tuple(name for name in (CUSTOMER_ID, *self._card.required) if name not in self._found)
        if missing:
            raise RequiredColumnsMissing(missing, {name: self._closest(name) for name in missing})
        return ColumnMapping(
            customer_id=self._found[CUSTOMER_ID],
            features={
                feature.name: self._found[feature.name]
                for feature in self._card.features
                if feature.name in self._found
            },
            unused=tuple(header.text for header in self._free.values()),
            conflicts=tuple(self._conflicts),
        )

    def _take(self, column: MappedColumn) -> None:
        self._found[column.feature] = column
        del self._free[column.position]

    def _take_explicit(self) -> None:
        for name, wanted in self._explicit.items():
            target = self._targets.get(name)
            if target is None:
                raise InvalidMapping(
                    f"The mapping names “{name}”, which is no feature of {self._card.ref}. "
                    f"It has: {', '.join(self._targets)}."
                )
            same = [header for header in self._free.values() if header.text == wanted.strip()]
            same = same or [
                header for header in self._free.values() if _compact(header.text) == _compact(wanted)
            ]
            if not same:
                raise InvalidMapping(
                    f"The mapping reads {name} from “{wanted}”, which the file does not have "
                    "or which is mapped already."
                )
            self._tell_of_others(same[0], same[1:], name)
            # Its unit is in its name, whoever chose the column.
            _, factor, conversion = next(same[0].readings(target.unit))
            self._take(
                MappedColumn(
                    name,
                    same[0].text,
                    same[0].position,
                    "explicit",
                    1.0,
                    factor=factor,
                    conversion=conversion,
                )
            )

    def _take_names(self) -> None:
        """Take what a header says outright, the surest first, so that no column is lost to a lesser match."""
        matches = sorted(
            (
                match
                for target in self._open_targets()
                for header in self._free.values()
                if (match := target.match(header)) is not None
            ),
            key=lambda match: (match[0], match[1].position),
        )
        for _, column in matches:
            if column.position in self._free:
                self._take_or_tell(column)

    def _take_likenesses(self) -> None:
        """Take what is nearly a known name, unless it is as near to another one."""
        spellings = {
            spelling: target
            for target in self._open_targets()
            for spelling in (*target.aliases, *target.normalised)
            if len(spelling) > 5 and spelling not in _UNIT_WORDS  # one letter makes a month of months
        }
        known_otherwise = {_compact(column.name) for column in self._card.excluded_columns}
        candidates: list[tuple[float, MappedColumn]] = []
        for header in self._free.values():
            if _compact(header.text) in known_otherwise:
                continue
            ranked = _likenesses(header, spellings, self._vocabulary)
            if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < _AMBIGUOUS_WITHIN:
                names = " or ".join(column.feature for _, column in ranked[:2])
                self._conflicts.append(
                    f"Column “{header.text}” could be {names}; it was not used. "
                    "Name it in the mapping to use it."
                )
            elif ranked:
                candidates.append(ranked[0])
        for _, column in sorted(candidates, key=lambda pair: (-pair[0], pair[1].position)):
            self._take_or_tell(column)

    def _take_or_tell(self, column: MappedColumn) -> None:
        if column.feature in self._found:
            self._tell_of_others(self._found[column.feature], [self._free[column.position]], column.feature)
        else:
            self._take(column)

    def _open_targets(self) -> list[_Target]:
        return [target for target in self._targets.values() if target.name not in self._found]

    def _tell_of_others(self, used: _Header | MappedColumn, others: Sequence[_Header], feature: str) -> None:
        header = used.text if isinstance(used, _Header) else used.header
        for other in others:
            which = "a second column of that name" if other.text == header else f"“{other.text}”"
            self._conflicts.append(
                f"{feature} was read from “{header}” (column {used.position + 1}), not {which}."
            )

    def _closest(self, name: str) -> tuple[str, ...]:
        target = self._targets[name]
        scores = {
            header.text: max(
                fuzz.ratio(_compact(header.text), spelling)
                for spelling in (*target.normalised, *target.aliases)
            )
            for header in self._free.values()
        }
        ranked = sorted(scores, key=lambda text: scores[text], reverse=True)
        return tuple(text for text in ranked if scores[text] >= _WORTH_NAMING)[:3]


def _target(name: str, names: Sequence[str], aliases: Sequence[str], *, unit: str | None) -> _Target:
    ranks: dict[str, int] = {}
    for rank, alias in enumerate(aliases):
        ranks.setdefault(_compact(alias), rank)
    return _Target(
        name=name,
        unit=unit,
        normalised=frozenset(map(_compact, names)),
        aliases=ranks,
        words={_compact(text): frozenset(_words(text)) for text in (*names, *aliases)},
    )


def _likenesses(
    header: _Header, spellings: Mapping[str, _Target], vocabulary: Collection[str]
) -> list[tuple[float, MappedColumn]]:
    """Return what a header may be a misspelling of, the likeliest first, with a score up to 100."""
    best: dict[str, tuple[float, MappedColumn]] = {}
    names_a_key = _words(header.text)[-1:] in _KEYS
    for unit in {target.unit for target in spellings.values()}:
        known = [spelling for spelling, target in spellings.items() if target.unit == unit]
        for reading, factor, conversion in header.readings(unit):
            for spelling, score, _ in process.extract(
                reading, known, scorer=fuzz.ratio, score_cutoff=_LIKE_ENOUGH, limit=None
            ):
                name = spellings[spelling].name
                if _has_more_to_say(reading, spelling) or (names_a_key and name != CUSTOMER_ID):
                    continue
                if _has_other_words(header, spelling, spellings[spelling], vocabulary):
                    continue
                if name in best and best[name][0] >= score:
                    continue
                confidence = round(score / 100 * _CONFIDENCE["alias"], 2)
                best[name] = (
                    score,
                    MappedColumn(name, header.text, header.position, "fuzzy", confidence, factor, conversion),
                )
    return sorted(best.values(), key=lambda pair: pair[0], reverse=True)


def _has_more_to_say(one: str, other: str) -> bool:
    """Tell whether one spelling is the other and more: `contractid` is no misspelt `contract`."""
    short, long = sorted((one, other), key=len)
    return len(long) - len(short) > 1 and (long.startswith(short) or long.endswith(short))


def _has_other_words(header: _Header, spelling: str, target: _Target, vocabulary: Collection[str]) -> bool:
    """Tell whether a header that is nearly a spelling says something else, in words that are none of its own.

    `Contact Type` is no misspelt contract type, `Customer IP` no customer id, `Payments` no payment method.
    """
    if any(word in _compact(header.text) and word not in spelling for word in _OTHER_WORDS):
        return True
    own = target.words[spelling]
    unit_words = {word for _, spellings in _UNITS.get(target.unit or "", {}).values() for word in spellings}
    others = [word for word in _words(header.text) if word not in own and word not in unit_words]
    return any(len(word) <= _SHORT_WORD or word in vocabulary for word in others) or any(
        word == f"{known}s" for word in others for known in own if len(own) == 1
    )
