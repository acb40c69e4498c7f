"""Maps a customer's columns to the features of a model.

A header is matched by its exact name, then ignoring case, spaces and punctuation, then by the feature's
aliases in the card. A header that is certainly a misspelt name fills an optional feature; a required one, or
the id, is never filled by likeness: it is proposed, and a mapping in the request confirms it. Such a mapping
takes precedence over everything else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Literal

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from ml_models.card import Card
from ml_models.intake.headers import Header, Reading, compact_words, named_units, split_words

CUSTOMER_ID = "customer_id"
"""The name of the customer's id in a mapping, next to the names of the features."""

CUSTOMER_VALUE = "customer_value"
"""The name in a mapping of the column of what a customer pays. Only a mapping finds it, and it may be a
feature's column too."""

IGNORED_HEADERS = frozenset(
    {"rejected_row", "rejected_code", "rejected_column", "rejected_value", "rejected_hint"}
)
"""The columns that our `rejected.csv` adds. Customers may leave them in when they upload it again."""

Method = Literal["explicit", "exact", "normalised", "alias", "fuzzy"]

_CONFIDENCE: Mapping[Method, float] = {"explicit": 1.0, "exact": 1.0, "normalised": 0.98, "alias": 0.95}
_RANK: Mapping[Method, int] = {"explicit": 0, "exact": 1, "normalised": 2, "alias": 3, "fuzzy": 4}

_MAX_LONE_WORD = 32
"""Letters. A longer word is not compared for typing errors."""

_MIN_WORD = 4
"""Letters. A shorter word is not a typing error but another word: `ip` is not `id`."""

_MIN_LONE_WORD = 6
"""Letters, where one word is the whole header: `month` is not `months`."""

_MIN_SURE_WORD = 6
"""Letters. One wrong letter in so long a word, where all others are right, is certainly a typing error."""

_LOOK_ALIKES = frozenset(
    {
        "change", "changes", "contact", "contacts", "contrast", "intranet", "internal", "inactive", "offline",
        "insecurity", "tier",
    }
)  # fmt: skip
"""Words that are nearly a card's (charge, contract, internet, active) but mean something else."""

_DATE_WORDS = frozenset(
    {
        "date", "since", "start", "started", "signup", "joined", "activation", "datum", "seit", "beginn",
        "depuis", "debut", "fecha", "desde", "inicio", "data", "dal", "inizio", "sinds", "begin",
    }
)  # fmt: skip
"""Words of headers that hold dates, from which a number of months can be counted."""

_MIN_SIMILARITY_SUGGESTED = 65.0
"""Similarity out of 100 from which a header is suggested for a missing column."""

_MAX_HEADERS_COMPARED = 200
"""For the suggestions of a refusal, which must not take long whatever the file."""

_MAX_CONFLICTS = 20
"""More sentences about ambiguous headers than this are summed up in one."""

_MAX_HINTS = 3

_MAX_SHOWN = 60
"""Characters of a header in a sentence."""


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """A column of the file and the feature, or customer id, that it is read as."""

    feature: str
    """The feature's name, `CUSTOMER_ID`, `CUSTOMER_VALUE` or the outcome's name."""
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
    unit: str | None = None
    """The unit that the header names: `months`; None if it names none. For a feature with categories it says
    what the column's numbers mean, see `CategoricalSpecification.category`."""


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
    gates: Mapping[str, ColumnMatch] = field(default_factory=dict)
    """By feature name: a second column that says whether the customer has it at all, see `card.Gate`. A cell
    there that is one of the feature's categories stands; at any other, the column in `features` is read. If
    the gate says yes and the feature's own column says the gate's category, the value is missing."""
    outcome: ColumnMatch | None = None
    """The column that says who has already left, see `card.Outcome`. If most of its cells mean nothing to
    `Outcome.has_left`, it says something else."""
    customer_value: ColumnMatch | None = None
    """The column of what a customer pays; None unless the request's mapping names one."""
    outcome_hints: tuple[str, ...] = ()
    """The unused headers that may say it too, see `card.Outcome.hints`; empty if `outcome` is known."""

    @property
    def columns(self) -> tuple[ColumnMatch, ...]:
        """The customer's id, then the features in the order of the card; neither gates nor the outcome."""
        return (self.customer_id, *self.features.values())


@dataclass(frozen=True)
class ColumnProposal:
    """What is known of a file's columns before all that are needed are found."""

    found: Mapping[str, ColumnMatch]
    """By feature name, `CUSTOMER_ID` or the outcome's name: the columns that would be read."""
    gates: Mapping[str, ColumnMatch]
    unconfirmed: Mapping[str, ColumnMatch]
    """Columns with similar names for what a file must have: read only if an explicit mapping confirms it."""
    missing: tuple[str, ...]
    """What a file must have and has no column, not even one with a similar name."""
    closest: Mapping[str, tuple[str, ...]]
    """The most similar headers for each of `missing`."""
    conflicts: tuple[str, ...]
    """Ambiguous headers and how they were resolved, as sentences."""
    customer_value: ColumnMatch | None = None
    """What the customer pays, if an explicit mapping names the column."""


class MappingError(ValueError):
    """The file's columns cannot be mapped."""


_REMEDY = "Rename the columns, or map them in the request's column mapping."


class RequiredColumnsMissing(MappingError):
    """The file lacks columns without which scores are not reliable.

    `missing` has the names of the features (or `CUSTOMER_ID`), `closest` the most similar headers for each;
    `note` is what else is known about the file, as sentences.
    """

    def __init__(
        self, missing: tuple[str, ...], closest: Mapping[str, tuple[str, ...]], note: str = ""
    ) -> None:
        self.missing = missing
        self.closest = closest
        described = "; ".join(_describe_missing(name, closest) for name in missing)
        super().__init__(f"Not found: {described}. {_REMEDY} {note}".strip())


class MappingNeedsConfirmation(MappingError):
    """A required column was found only by a similar name, which must be confirmed in the request's mapping.

    `proposals` has the header for each such feature (or `CUSTOMER_ID`), `missing` and `closest` what was not
    found at all.
    """

    def __init__(
        self,
        proposals: Mapping[str, str],
        missing: tuple[str, ...] = (),
        closest: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        self.proposals = proposals
        self.missing = missing
        self.closest = closest
        guessed = "; ".join(f"{name} from “{_shown(header)}”" for name, header in proposals.items())
        mapping = json.dumps(dict(proposals), ensure_ascii=False)
        sentences = [
            f"Similar names only: {guessed}. If that is right, confirm it in the mapping: {mapping}."
        ]
        if missing:
            described = "; ".join(_describe_missing(name, closest) for name in missing)
            sentences.append(f"Not found: {described}. {_REMEDY}")
        super().__init__(" ".join(sentences))


def _describe_missing(name: str, closest: Mapping[str, tuple[str, ...]]) -> str:
    headers = ", ".join(f"“{_shown(header)}”" for header in closest.get(name, ()))
    return f"{name} (closest: {headers})" if headers else f"{name} (no similar header)"


def _shown(header: str) -> str:
    return header if len(header) <= _MAX_SHOWN else header[: _MAX_SHOWN - 1] + "…"


class InvalidMapping(MappingError):
    """The request's mapping names a feature the model does not have, or a column that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Spelling:
    """One name of a target."""

    target: str
    method: Method
    rank: int
    """Of two headers that are aliases, the one listed first in the card is used."""
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What a column can be: a feature, the customer's id or value, or the outcome."""

    name: str
    names: tuple[str, ...]
    """The name, and the label shown to people."""
    aliases: tuple[str, ...]
    unit: str | None = None
    units: frozenset[str] = frozenset()
    """The units in which numbers are categories; empty for a number."""
    allows_typos: bool = True


class _Vocabulary:
    """All names in a card, for looking headers up: built once per card."""

    def __init__(self, card: Card) -> None:
        self.targets = {target.name: target for target in _targets(card)}
        self.units = tuple(dict.fromkeys(_unit_read(target) for target in self.targets.values()))
        self._spellings: dict[str | None, dict[str, list[_Spelling]]] = {unit: {} for unit in self.units}
        self._by_other_words: dict[tuple[str, ...], list[tuple[int, _Spelling]]] = {}
        self._lone: dict[str, set[str]] = {}
        self._lone_spellings: dict[str, _Spelling] = {}
        words = set(_LOOK_ALIKES)
        for target in self.targets.values():
            for spelling in _spellings(target):
                same = self._spellings[_unit_read(target)].setdefault("".join(spelling.words), [])
                if all(other.target != spelling.target for other in same):
                    same.append(spelling)
                words.update(spelling.words)
                if target.allows_typos:
                    self._index(spelling)
        self.words = frozenset(words)
        self.gates = {
            feature.name: {compact_words(alias): rank for rank, alias in enumerate(feature.gate.aliases)}
            for feature in card.features
            if feature.kind == "categorical" and feature.gate is not None
        }
        self.excluded = frozenset(compact_words(column.name) for column in card.excluded_columns)
        self.hints = frozenset(map(compact_words, card.outcome.hints if card.outcome else ()))

    def _index(self, spelling: _Spelling) -> None:
        words = spelling.words
        if len(words) > 1:
            for position in range(len(words)):
                others = words[:position] + words[position + 1 :]
                self._by_other_words.setdefault(others, []).append((position, spelling))
        compact = "".join(words)
        if len(compact) >= _MIN_LONE_WORD and compact not in self._lone_spellings:
            self._lone_spellings[compact] = spelling
            for shorter in _shortened(compact):
                self._lone.setdefault(shorter, set()).add(compact)

    def match(self, header: Header) -> Iterator[tuple[tuple[int, bool, int], ColumnMatch]]:
        """Yield the columns that a header can be by name, each with its rank: lower is better."""
        if header.text in self.targets and header.text != CUSTOMER_VALUE:
            yield (
                (_RANK["exact"], False, 0),
                self.column(header.text, header, "exact", Reading(header.words)),
            )
            return
        for unit in self.units:
            for reading in header.readings(unit):
                for spelling in self._spellings[unit].get(reading.compact, ()):
                    if not self._means_unit(spelling.target, reading):
                        continue
                    column = self.column(spelling.target, header, spelling.method, reading)
                    # A match without a unit conversion is more certain than one with it.
                    yield (_RANK[spelling.method], column.conversion is not None, spelling.rank), column

    def column(
        self, name: str, header: Header, method: Method, reading: Reading, right: str = ""
    ) -> ColumnMatch:
        """Read a header as a target; `right` is the word that is misspelt in it."""
        confidence = _CONFIDENCE.get(method)
        if confidence is None:
            confidence = round((1 - 1 / len(right)) * _CONFIDENCE["alias"], 2)
        # Numbers that stand for categories are looked up, not converted.
        is_converted = not self.targets[name].units
        return ColumnMatch(
            feature=name,
            header=header.text,
            position=header.position,
            method=method,
            confidence=confidence,
            factor=reading.factor if is_converted else 1.0,
            conversion=reading.conversion if is_converted else None,
            unit=reading.unit,
        )

    def _means_unit(self, target: str, reading: Reading) -> bool:
        units = self.targets[target].units
        return not units or reading.unit is None or reading.unit in units

    def typos(self, header: Header) -> Mapping[str, tuple[bool, ColumnMatch]]:
        """Return the targets of which a header may be a misspelt name, and whether that is certain.

        One word has one wrong, missing, surplus or swapped letter; all others are right.
        """
        found: dict[str, tuple[bool, ColumnMatch]] = {}
        for unit in self.units:
            for reading in header.readings(unit):
                for spelling, word, right in self._near(reading.words):
                    if _unit_read(self.targets[spelling.target]) != unit or not self._means_unit(
                        spelling.target, reading
                    ):
                        continue
                    is_plural = {word, right} in ({word, f"{word}s"}, {right, f"{right}s"})
                    if is_plural and len(spelling.words) == 1:  # "Contracts" is how many
                        continue
                    is_sure = min(len(word), len(right)) >= _MIN_SURE_WORD and not is_plural
                    column = self.column(spelling.target, header, "fuzzy", reading, right)
                    if spelling.target not in found or (is_sure and not found[spelling.target][0]):
                        found[spelling.target] = is_sure, column
        return found

    def _near(self, words: tuple[str, ...]) -> Iterator[tuple[_Spelling, str, str]]:
        """Yield the names that differ by one letter, each with the wrong word and the right one."""
        if len(words) == 1 and len(words[0]) >= _MIN_LONE_WORD:
            [word] = words
            near = set[str]().union(*(self._lone.get(shorter, ()) for shorter in _shortened(word)))
            for compact in sorted(near):
                if self._is_typo(word, compact):
                    yield self._lone_spellings[compact], word, compact
        elif len(words) > 1:
            for position, word in enumerate(words):
                others = words[:position] + words[position + 1 :]
                for at, spelling in self._by_other_words.get(others, ()):
                    if at == position and self._is_typo(word, spelling.words[at]):
                        yield spelling, word, spelling.words[at]

    def _is_typo(self, word: str, right: str) -> bool:
        return (
            min(len(word), len(right)) >= _MIN_WORD
            and word not in self.words
            and not any(other in word and other not in right for other in _LOOK_ALIKES)
            and OSA.distance(word, right, score_cutoff=1) == 1
        )


def _shortened(word: str) -> Iterator[str]:
    """Yield a word and what is left of it without each of its letters: typing errors share one of these."""
    if len(word) <= _MAX_LONE_WORD:
        yield word
        for position in range(len(word)):
            yield word[:position] + word[position + 1 :]


def _targets(card: Card) -> Iterator[_Target]:
    yield _Target(CUSTOMER_ID, (CUSTOMER_ID,), card.id_aliases)
    yield _Target(CUSTOMER_VALUE, (), (), unit="currency")
    for feature in card.features:
        names = (feature.name, feature.label)
        if feature.kind == "numeric":
            yield _Target(feature.name, names, feature.aliases, unit=feature.unit)
        else:
            units = frozenset(numbered.unit for numbered in feature.numbered)
            yield _Target(feature.name, names, feature.aliases, units=units)
    if card.outcome is not None:
        outcome = card.outcome
        yield _Target(outcome.name, (outcome.name, outcome.label), outcome.aliases, allows_typos=False)


def _unit_read(target: _Target) -> str | None:
    """Return the unit whose words are read in headers for a target."""
    return "months" if "months" in target.units else target.unit


def _spellings(target: _Target) -> Iterator[_Spelling]:
    for text in target.names:
        yield _Spelling(target.name, "normalised", 0, split_words(text))
    for rank, text in enumerate(target.aliases):
        words = split_words(text)
        yield _Spelling(target.name, "alias", rank, words)
        own = {
            position
            for name, (factor, at) in named_units(words, target.unit).items()
            if factor == 1.0
            for position in at
        }
        if own and len(own) < len(words):  # "Jahre als Kunde" is "Monate als Kunde" in another unit
            replaced = (target.unit or "" if n in own else word for n, word in enumerate(words))
            yield _Spelling(target.name, "alias", rank, tuple(replaced))


_vocabularies: dict[int, tuple[Card, _Vocabulary]] = {}
_MAX_VOCABULARIES = 16


def _vocabulary(card: Card) -> _Vocabulary:
    """Return the card's vocabulary. Cards live as long as the process, so each is read once."""
    known = _vocabularies.get(id(card))
    if known is None or known[0] is not card:
        if len(_vocabularies) >= _MAX_VOCABULARIES:
            _vocabularies.clear()
        known = _vocabularies[id(card)] = (card, _Vocabulary(card))
    return known[1]


def map_columns(
    headers: Sequence[str], card: Card, explicit: Mapping[str, str] | None = None
) -> ColumnMapping:
    """Find the column of each feature, of the customer's id and value, and of the outcome.

    Args:
        headers: the file's headers in order; empty ones are never mapped.
        card: the card of the model that will score.
        explicit: feature name (or `CUSTOMER_ID`, `CUSTOMER_VALUE`, or the outcome's name) to header; takes
            precedence over every other match.

    Raises:
        InvalidMapping: `explicit` does not fit the card or the headers.
        MappingNeedsConfirmation: a required feature or the id has a column with a similar name only.
        RequiredColumnsMissing: a required feature or the id has no column.
    """
    return _Mapper(headers, card, explicit or {}).map()


def propose_columns(
    headers: Sequence[str], card: Card, explicit: Mapping[str, str] | None = None
) -> ColumnProposal:
    """Find what `map_columns` finds, also in a file that it would refuse for what is missing.

    Raises:
        InvalidMapping: `explicit` does not fit the card or the headers.
    """
    return _Mapper(headers, card, explicit or {}).propose()


class _Mapper:
    """Builds one mapping step by step: free headers, matches found, conflicts to report."""

    def __init__(self, headers: Sequence[str], card: Card, explicit: Mapping[str, str]) -> None:
        self._card = card
        self._explicit = explicit
        self._vocabulary = _vocabulary(card)
        self._free = {
            position: Header(position, header.strip())
            for position, header in enumerate(headers)
            if header.strip() and header.strip() not in IGNORED_HEADERS
        }
        self._found: dict[str, ColumnMatch] = {}
        self._gates: dict[str, ColumnMatch] = {}
        self._value: ColumnMatch | None = None
        self._conflicts: list[str] = []

    def propose(self) -> ColumnProposal:
        self._take_explicit()
        self._take_names()
        similar = self._take_typos()
        needed = [name for name in (CUSTOMER_ID, *self._card.required) if name not in self._found]
        missing = tuple(name for name in needed if name not in similar)
        return ColumnProposal(
            found=self._found,
            gates=self._gates,
            unconfirmed={name: similar[name] for name in needed if name in similar},
            missing=missing,
            closest={name: self._closest(name) for name in missing},
            conflicts=self._some_conflicts(),
            customer_value=self._value,
        )

    def map(self) -> ColumnMapping:
        proposal = self.propose()
        if proposal.unconfirmed:
            confirm = {name: column.header for name, column in proposal.unconfirmed.items()}
            raise MappingNeedsConfirmation(confirm, proposal.missing, proposal.closest)
        if proposal.missing:
            raise RequiredColumnsMissing(proposal.missing, proposal.closest, self._note(proposal.closest))
        outcome = self._card.outcome
        return ColumnMapping(
            customer_id=self._found[CUSTOMER_ID],
            features={
                feature.name: self._found[feature.name]
                for feature in self._card.features
                if feature.name in self._found
            },
            unused=tuple(
                header.text
                for header in self._free.values()
                if self._value is None or header.position != self._value.position
            ),
            conflicts=proposal.conflicts,
            gates=self._gates,
            outcome=self._found.get(outcome.name) if outcome else None,
            customer_value=self._value,
            outcome_hints=self._outcome_hints(),
        )

    def _outcome_hints(self) -> tuple[str, ...]:
        outcome = self._card.outcome
        if outcome is None or outcome.name in self._found:
            return ()
        return tuple(
            header.text for header in self._free.values() if header.compact in self._vocabulary.hints
        )[:_MAX_HINTS]

    def _take(self, column: ColumnMatch) -> None:
        self._found[column.feature] = column
        del self._free[column.position]

    def _take_explicit(self) -> None:
        if not self._explicit:
            return
        named: dict[str, list[Header]] = {}
        for header in self._free.values():
            for spelling in {header.text, header.compact} - {""}:
                named.setdefault(spelling, []).append(header)
        # The customer's value takes no column, so it must be looked up before the others take theirs.
        for name, wanted in sorted(self._explicit.items(), key=lambda item: item[0] != CUSTOMER_VALUE):
            target = self._vocabulary.targets.get(name)
            if target is None:
                raise InvalidMapping(
                    f"The mapping names “{_shown(name)}”, which is not a feature of {self._card.ref}. "
                    f"You can map: {', '.join(self._vocabulary.targets)}."
                )
            candidates = (*named.get(wanted.strip(), ()), *named.get(compact_words(wanted), ()))
            same = [header for header in candidates if header.position in self._free]
            exact = [header for header in same if header.text == wanted.strip()]
            same = exact or same
            if not same:
                raise InvalidMapping(
                    f"The mapping reads {name} from “{_shown(wanted)}”, but the file has no such column "
                    "or it is already mapped."
                )
            used = same[0]
            others = [header for header in same if header.position != used.position]
            self._report_conflicts(used.text, used.position, others, name)
            # The unit in the header counts also for an explicit mapping.
            readings = used.readings(_unit_read(target)) or [Reading(used.words)]
            column = self._vocabulary.column(name, used, "explicit", readings[0])
            if name == CUSTOMER_VALUE:
                self._value = column
            else:
                self._take(column)

    def _take_names(self) -> None:
        """Take matches by name and alias, the best first, so that no column is lost to a worse match."""
        matches = sorted(
            (match for header in self._free.values() for match in self._vocabulary.match(header)),
            key=lambda match: (match[0], match[1].position),
        )
        self._take_gates([column for _, column in matches])
        for _, column in matches:
            if column.position in self._free:
                self._take_or_report(column)

    def _take_gates(self, matches: Sequence[ColumnMatch]) -> None:
        """Where one column says whether and another one which, take both."""
        for name, aliases in self._vocabulary.gates.items():
            if name in self._found:
                continue
            gates = [
                (aliases[header.compact], header)
                for header in self._free.values()
                if header.compact in aliases
            ]
            kinds = [
                column
                for column in matches
                if column.feature == name and all(column.position != gate.position for _, gate in gates)
            ]
            if gates and kinds:
                _, gate = min(gates, key=lambda pair: (pair[0], pair[1].position))
                self._gates[name] = self._vocabulary.column(name, gate, "alias", Reading(gate.words))
                del self._free[gate.position]
                self._take(kinds[0])

    def _take_typos(self) -> Mapping[str, ColumnMatch]:
        """Take headers that are certainly misspelt names of optional features; return the others' proposals.

        Returns:
            For features that a file must have, and the id: the column to confirm.
        """
        proposals: dict[str, ColumnMatch] = {}
        must = {CUSTOMER_ID, *self._card.required}
        for header in list(self._free.values()):
            if header.compact in self._vocabulary.excluded:
                continue
            open_ones = {
                name: found
                for name, found in self._vocabulary.typos(header).items()
                if name not in self._found
            }
            if len(open_ones) == 1:
                [(name, (is_sure, column))] = open_ones.items()
                if name in must:
                    proposals.setdefault(name, column)
                    continue
                if is_sure:
                    self._take(column)
                    continue
            if open_ones:
                self._conflicts.append(
                    f"Column “{_shown(header.text)}” could be {' or '.join(open_ones)} and was not used. "
                    "To use it, add it to the column mapping."
                )
        return proposals

    def _take_or_report(self, column: ColumnMatch) -> None:
        used = self._found.get(column.feature)
        if used is None:
            self._take(column)
        else:
            self._report_conflicts(used.header, used.position, [self._free[column.position]], column.feature)

    def _report_conflicts(self, header: str, position: int, others: Sequence[Header], feature: str) -> None:
        for other in others:
            which = "a second column of that name" if other.text == header else f"“{_shown(other.text)}”"
            sentence = f"{feature} was read from “{_shown(header)}” (column {position + 1}), not {which}."
            if sentence not in self._conflicts[-1:]:  # a header can match a feature in several ways
                self._conflicts.append(sentence)

    def _some_conflicts(self) -> tuple[str, ...]:
        more = len(self._conflicts) - _MAX_CONFLICTS
        if more <= 0:
            return tuple(self._conflicts)
        return (
            *self._conflicts[:_MAX_CONFLICTS],
            f"{more:,} more columns have ambiguous names and were not used.",
        )

    def _closest(self, name: str) -> tuple[str, ...]:
        target = self._vocabulary.targets[name]
        headers = {
            header.text: header.compact
            for header in islice(self._free.values(), _MAX_HEADERS_COMPARED)
            if header.words
        }
        scores: dict[str, float] = {}
        for spelling in {compact_words(text) for text in (*target.names, *target.aliases)}:
            near = process.extract(
                spelling, headers, scorer=fuzz.ratio, score_cutoff=_MIN_SIMILARITY_SUGGESTED, limit=3
            )
            for _, score, text in near:
                scores[text] = max(score, scores.get(text, 0.0))
        return tuple(sorted(scores, key=lambda text: scores[text], reverse=True)[:3])

    def _note(self, closest: Mapping[str, tuple[str, ...]]) -> str:
        """Say what may be the matter with a file that lacks columns."""
        sentences = []
        features = [self._card.feature(name) for name in closest if name != CUSTOMER_ID]
        for feature in features:
            if feature.kind == "numeric" and feature.unit == "months":
                dates = [header for header in self._free.values() if not _DATE_WORDS.isdisjoint(header.words)]
                if dates:
                    sentences.append(
                        f"If “{_shown(dates[0].text)}” has dates, convert them to the number of months since "
                        f"then, in a column {feature.name}."
                    )
        unknown = any(feature.kind == "categorical" and not closest[feature.name] for feature in features)
        if self._card.trade and (len(features) > 1 or unknown):
            sentences.append(
                f"The model {self._card.ref} is for {self._card.trade} customers and needs these "
                "columns. For other customers or other data, a model has to be trained on them first."
            )
        return " ".join(sentences)
