"""Maps a customer's columns to the features of a model.

A header is matched by its exact name, then ignoring case, blanks and punctuation, then by the feature's
aliases in the card, and last by similarity. A mapping in the request takes precedence over all of them.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rapidfuzz import fuzz, process

from ml_models.card import Card, normalise

CUSTOMER_ID = "customer_id"
"""The name of the customer's id in a mapping, next to the names of the features."""

IGNORED_HEADERS = frozenset(
    {"rejected_row", "rejected_code", "rejected_column", "rejected_value", "rejected_hint"}
)
"""The columns that our `rejected.csv` adds. Customers may leave them in when they upload it again."""

Method = Literal["explicit", "exact", "normalised", "alias", "fuzzy"]

_CONFIDENCE: Mapping[Method, float] = {"explicit": 1.0, "exact": 1.0, "normalised": 0.98, "alias": 0.95}
_RANK: Mapping[Method, int] = {"explicit": 0, "exact": 1, "normalised": 2, "alias": 3, "fuzzy": 4}

_LIKE_ENOUGH = 88.0
"""Similarity out of 100: one wrong letter in eight. Below it, other things have names as close as a typo."""

_AMBIGUOUS_WITHIN = 4.0
"""If two features are this close in similarity, neither is used."""

_MIN_SIMILARITY_NAMED = 65.0
"""Similarity out of 100 from which a header is suggested for a missing column."""

_SHORT_WORD = 3
"""Letters. A word of at most this length is not a typo but another word: `ip` is not `id`."""

_OTHER_WORDS = ("change", "contact")
"""Words in customer files that are one letter from a card's (charge, contract) but mean something else."""

_KEYS = (["id"], ["no"], ["nr"], ["number"], ["code"], ["key"], ["date"])
"""Last words of headers that refer to a thing but are not the thing itself: `payment id`."""

_DAYS_PER_MONTH = 365.25 / 12

_UNITS: Mapping[str, Mapping[str, tuple[float, tuple[str, ...]]]] = {
    # Unit of the feature: unit in the header: factor and spellings. Only plurals where the singular may also
    # be a part of a date.
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
class ColumnMatch:
    """A column of the file and the feature, or customer id, that it is read as."""

    feature: str
    """The feature's name, or `CUSTOMER_ID`."""
    header: str
    position: int
    """Position of the column in the file, from 0."""
    method: Method
    confidence: float
    """From 0 to 1; 1 is certain."""
    factor: float = 1.0
    """Converts the column's numbers to the model's unit."""
    conversion: str | None = None
    """The conversion in words: `years to months`; None if there is none."""


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of a file is read as which feature."""

    customer_id: ColumnMatch
    features: Mapping[str, ColumnMatch]
    """By feature name; features without a column are left out."""
    unused: tuple[str, ...]
    """The headers this model does not use."""
    conflicts: tuple[str, ...]
    """Ambiguous headers and how they were resolved, as sentences."""

    @property
    def columns(self) -> tuple[ColumnMatch, ...]:
        """The customer's id, then the features in the order of the card."""
        return (self.customer_id, *self.features.values())


class MappingError(ValueError):
    """The file's columns cannot be mapped."""


class RequiredColumnsMissing(MappingError):
    """The file lacks columns without which scores are not reliable.

    `missing` has the names of the features (or `CUSTOMER_ID`), `closest` the most similar headers for each.
    """

    def __init__(self, missing: tuple[str, ...], closest: Mapping[str, tuple[str, ...]]) -> None:
        self.missing = missing
        self.closest = closest
        described = "; ".join(self._describe(name) for name in missing)
        super().__init__(
            f"Not found: {described}. Rename the columns, or map them in the request's column mapping."
        )

    def _describe(self, name: str) -> str:
        headers = ", ".join(f"“{header}”" for header in self.closest.get(name, ()))
        return f"{name} (closest: {headers})" if headers else f"{name} (no similar header)"


class InvalidMapping(MappingError):
    """The request's mapping names a feature the model does not have, or a column that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Header:
    position: int
    text: str
    """As in the file, without surrounding blanks."""

    def readings(self, unit: str | None) -> Iterator[tuple[str, float, str | None]]:
        """Yield the header's compact spellings, each with the factor and conversion of its unit word.

        `tenure_days` is read as `tenuredays`, as `tenure` and, with the model's own unit instead, as
        `tenuremonths`, each with the factor 0.033.
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
    """A feature or the customer's id, with its compact spellings."""

    name: str
    unit: str | None
    normalised: frozenset[str]
    aliases: Mapping[str, int]
    """Spelling to rank: of two headers that are aliases, the one listed first in the card is used."""
    words: Mapping[str, frozenset[str]]
    """The words of each spelling."""

    def match(self, header: _Header) -> tuple[tuple[int, bool, int], ColumnMatch] | None:
        """Return the rank of a match with a header (lower is better) and the match; None if there is none."""
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
    ) -> tuple[tuple[int, bool, int], ColumnMatch]:
        column = ColumnMatch(
            feature=self.name,
            header=header.text,
            position=header.position,
            method=method,
            confidence=_CONFIDENCE[method],
            factor=factor,
            conversion=conversion,
        )
        # A match without a unit conversion is more certain than one with it.
        return (_RANK[method], conversion is not None, rank), column


def _words(text: str) -> list[str]:
    """Split a header into lower-case words, also at capitals: `TenureDays` is `tenure`, `days`."""
    return normalise(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).split()


def _compact(text: str) -> str:
    return "".join(_words(text))


def map_columns(
    headers: Sequence[str], card: Card, explicit: Mapping[str, str] | None = None
) -> ColumnMapping:
    """Find the column of each feature and of the customer's id.

    Args:
        headers: the file's headers in order; blank ones are never mapped.
        card: the card of the model that will score.
        explicit: feature name (or `CUSTOMER_ID`) to header; takes precedence over every other match.

    Raises:
        InvalidMapping: `explicit` does not fit the card or the headers.
        RequiredColumnsMissing: a required feature or the id has no column.
    """
    return _Mapper(headers, card, explicit or {}).map()


class _Mapper:
    """Builds one mapping step by step: free headers, matches found, conflicts to report."""

    def __init__(self, headers: Sequence[str], card: Card, explicit: Mapping[str, str]) -> None:
        self._card = card
        self._explicit = explicit
        self._free = {
            position: _Header(position, header.strip())
            for position, header in enumerate(headers)
            if header.strip() and header.strip() not in IGNORED_HEADERS
        }
        self._found: dict[str, ColumnMatch] = {}
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
        """All words of all names. A word that is one of them is not a typo."""
        return frozenset(
            word for target in self._targets.values() for words in target.words.values() for word in words
        )

    def map(self) -> ColumnMapping:
        self._take_explicit()
        self._take_names()
        self._take_similar()
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

    def _take(self, column: ColumnMatch) -> None:
        self._found[column.feature] = column
        del self._free[column.position]

    def _take_explicit(self) -> None:
        for name, wanted in self._explicit.items():
            target = self._targets.get(name)
            if target is None:
                raise InvalidMapping(
                    f"The mapping names “{name}”, which is not a feature of {self._card.ref}. "
                    f"Its features are: {', '.join(self._targets)}."
                )
            same = [header for header in self._free.values() if header.text == wanted.strip()]
            same = same or [
                header for header in self._free.values() if _compact(header.text) == _compact(wanted)
            ]
            if not same:
                raise InvalidMapping(
                    f"The mapping reads {name} from “{wanted}”, but the file has no such column "
                    "or it is already mapped."
                )
            self._report_conflicts(same[0], same[1:], name)
            # The unit in the header counts also for an explicit mapping.
            _, factor, conversion = next(same[0].readings(target.unit))
            self._take(
                ColumnMatch(
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
        """Take matches by name and alias, the best first, so that no column is lost to a worse match."""
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
                self._take_or_report(column)

    def _take_similar(self) -> None:
        """Take headers that are nearly a known name, unless they are as close to another feature."""
        spellings = {
            spelling: target
            for target in self._open_targets()
            for spelling in (*target.aliases, *target.normalised)
            if len(spelling) > 5 and spelling not in _UNIT_WORDS  # one letter turns months into month
        }
        excluded = {_compact(column.name) for column in self._card.excluded_columns}
        candidates: list[tuple[float, ColumnMatch]] = []
        for header in self._free.values():
            if _compact(header.text) in excluded:
                continue
            ranked = _similar(header, spellings, self._vocabulary)
            if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < _AMBIGUOUS_WITHIN:
                names = " or ".join(column.feature for _, column in ranked[:2])
                self._conflicts.append(
                    f"Column “{header.text}” could be {names} and was not used. "
                    "To use it, add it to the column mapping."
                )
            elif ranked:
                candidates.append(ranked[0])
        for _, column in sorted(candidates, key=lambda pair: (-pair[0], pair[1].position)):
            self._take_or_report(column)

    def _take_or_report(self, column: ColumnMatch) -> None:
        if column.feature in self._found:
            self._report_conflicts(self._found[column.feature], [self._free[column.position]], column.feature)
        else:
            self._take(column)

    def _open_targets(self) -> list[_Target]:
        return [target for target in self._targets.values() if target.name not in self._found]

    def _report_conflicts(self, used: _Header | ColumnMatch, others: Sequence[_Header], feature: str) -> None:
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
        return tuple(text for text in ranked if scores[text] >= _MIN_SIMILARITY_NAMED)[:3]


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


def _similar(
    header: _Header, spellings: Mapping[str, _Target], vocabulary: Collection[str]
) -> list[tuple[float, ColumnMatch]]:
    """Return the matches a header may be a typo of, most similar first, each with its similarity up to 100.

    Similarity is the normalised indel similarity of rapidfuzz's `fuzz.ratio`.
    """
    best: dict[str, tuple[float, ColumnMatch]] = {}
    ends_with_key = _words(header.text)[-1:] in _KEYS
    for unit in {target.unit for target in spellings.values()}:
        known = [spelling for spelling, target in spellings.items() if target.unit == unit]
        for reading, factor, conversion in header.readings(unit):
            for spelling, score, _ in process.extract(
                reading, known, scorer=fuzz.ratio, score_cutoff=_LIKE_ENOUGH, limit=None
            ):
                name = spellings[spelling].name
                if _is_extended(reading, spelling) or (ends_with_key and name != CUSTOMER_ID):
                    continue
                if _has_other_words(header, spelling, spellings[spelling], vocabulary):
                    continue
                if name in best and best[name][0] >= score:
                    continue
                confidence = round(score / 100 * _CONFIDENCE["alias"], 2)
                best[name] = (
                    score,
                    ColumnMatch(name, header.text, header.position, "fuzzy", confidence, factor, conversion),
                )
    return sorted(best.values(), key=lambda pair: pair[0], reverse=True)


def _is_extended(one: str, other: str) -> bool:
    """Return whether one spelling extends the other: `contractid` is not a typo of `contract`."""
    short, long = sorted((one, other), key=len)
    return len(long) - len(short) > 1 and (long.startswith(short) or long.endswith(short))


def _has_other_words(header: _Header, spelling: str, target: _Target, vocabulary: Collection[str]) -> bool:
    """Return whether a header that is nearly a spelling means something else, by words the spelling lacks.

    `Contact Type` is not a typo of contract type, `Customer IP` not of customer id.
    """
    if any(word in _compact(header.text) and word not in spelling for word in _OTHER_WORDS):
        return True
    own = target.words[spelling]
    unit_words = {word for _, spellings in _UNITS.get(target.unit or "", {}).values() for word in spellings}
    others = [word for word in _words(header.text) if word not in own and word not in unit_words]
    return any(len(word) <= _SHORT_WORD or word in vocabulary for word in others) or any(
        word == f"{known}s" for word in others for known in own if len(own) == 1
    )
