"""What a change between two releases of a schema means: for whom it breaks, and who is deployed first.

Old and new releases meet in the queue in both roles during every deploy, and redriven messages are weeks
old. So each release must read what every supported one writes, and be read by it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from retainwise_contracts.schemas.json_schema import KNOWN_VALUES

Schema = Mapping[str, Any]


class Verdict(StrEnum):
    """In which release a change may come."""

    PATCH = "patch"
    """In any: no program notices."""
    MINOR = "minor"
    """In a minor release, in the same message version."""
    MAJOR = "major"
    """Only as a new major beside the old one: `…v2`, or the package's own for a Python name."""
    NEVER = "never"
    """Under no version: the same name would mean something else, and no program could notice."""


ANY_ORDER = "any order"
READERS_FIRST = "readers first, then writers"
NEW_MAJOR = "readers of both majors first, then EMIT_MAJOR on writers, then remove the old major"
NEW_NAME = "do not deploy: give the new meaning a new name"
IMPORTERS = "release a new major of the package; importers change their code"


class ChangeKind(StrEnum):
    """Every kind of change; `RULES` says what each one means."""

    TEXT_CHANGED = "text changed"
    OPTIONAL_FIELD_ADDED = "optional field added"
    VALUE_ADDED = "value added to an open enum"
    MESSAGE_ADDED = "message added"
    REQUIRED_FIELD_ADDED = "required field added"
    FIELD_REMOVED = "field removed or renamed"
    MADE_REQUIRED = "made required"
    MADE_OPTIONAL = "made optional"
    TIGHTENED = "tightened"
    LOOSENED = "loosened"
    TYPE_CHANGED = "type changed"
    VALUE_REMOVED = "value removed from an open enum"
    MESSAGE_REMOVED = "message removed"
    NAME_REMOVED = "Python name removed or changed"
    DEFAULT_CHANGED = "default changed"
    UNIT_CHANGED = "unit changed"
    MEANING_CHANGED = "meaning changed"


class Rule(NamedTuple):
    """What a kind of change means."""

    verdict: Verdict
    breaks: str
    deploy: str


_OLD_READERS = Rule(Verdict.MAJOR, "old readers of new messages", NEW_MAJOR)
_NEW_READERS = Rule(Verdict.MAJOR, "new readers of old messages", NEW_MAJOR)
_SILENT = Rule(Verdict.NEVER, "old and new readers, silently", NEW_NAME)

RULES: Mapping[ChangeKind, Rule] = MappingProxyType(
    {
        ChangeKind.TEXT_CHANGED: Rule(Verdict.PATCH, "nobody", ANY_ORDER),
        ChangeKind.OPTIONAL_FIELD_ADDED: Rule(Verdict.MINOR, "nobody", ANY_ORDER),
        ChangeKind.VALUE_ADDED: Rule(Verdict.MINOR, "nobody; old readers see UNKNOWN", READERS_FIRST),
        ChangeKind.MESSAGE_ADDED: Rule(Verdict.MINOR, "nobody who filters by type", READERS_FIRST),
        ChangeKind.REQUIRED_FIELD_ADDED: _NEW_READERS,
        ChangeKind.FIELD_REMOVED: _OLD_READERS,
        ChangeKind.MADE_REQUIRED: _NEW_READERS,
        ChangeKind.MADE_OPTIONAL: _OLD_READERS,
        ChangeKind.TIGHTENED: _NEW_READERS,
        ChangeKind.LOOSENED: _OLD_READERS,
        ChangeKind.TYPE_CHANGED: Rule(Verdict.MAJOR, "old and new readers", NEW_MAJOR),
        ChangeKind.VALUE_REMOVED: _NEW_READERS,
        ChangeKind.MESSAGE_REMOVED: _NEW_READERS,
        ChangeKind.NAME_REMOVED: Rule(Verdict.MAJOR, "programs that import it", IMPORTERS),
        ChangeKind.DEFAULT_CHANGED: _SILENT,
        ChangeKind.UNIT_CHANGED: _SILENT,
        ChangeKind.MEANING_CHANGED: _SILENT,
    }
)
"""The evolution policy. The README has the same table."""


@dataclass(frozen=True)
class Change:
    """One change between two releases: where, what kind, and the detail in words."""

    where: str
    kind: ChangeKind
    detail: str = ""

    def __str__(self) -> str:
        rule = RULES[self.kind]
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"{rule.verdict.upper()}  {self.where}: {self.kind}{detail}; "
            f"breaks: {rule.breaks}; deploy: {rule.deploy}"
        )


def worst(changes: tuple[Change, ...]) -> Verdict:
    """Return the verdict of the gravest change; PATCH if there is none."""
    return max(
        (RULES[change.kind].verdict for change in changes), key=list(Verdict).index, default=Verdict.PATCH
    )


def compare_releases(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> tuple[Change, ...]:
    """Compare the schemas of two releases, by message type."""
    removed = [Change(name, ChangeKind.MESSAGE_REMOVED) for name in old if name not in new]
    added = [Change(name, ChangeKind.MESSAGE_ADDED) for name in new if name not in old]
    kept = [change for name in old if name in new for change in compare_schemas(old[name], new[name], name)]
    return (*removed, *added, *kept)


def compare_schemas(old: Schema, new: Schema, where: str) -> tuple[Change, ...]:
    """Compare two JSON Schemas of one message, as `make schemas` writes them; `where` names it."""
    return tuple(_Comparison(old, new).compare(old, new, where))


_TEXTS = ("title", "description", "examples")

_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SHAPES = ("type", "format")


class _Comparison:
    """Walks two schemas side by side."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old.get("$defs", {})
        self._new = new.get("$defs", {})

    def compare(self, old: Schema, new: Schema, where: str) -> Iterator[Change]:
        """Yield what differs between two schemas of the same place."""
        old, old_nullable = _split_null(_resolve(old, self._old))
        new, new_nullable = _split_null(_resolve(new, self._new))
        old, new = _resolve(old, self._old), _resolve(new, self._new)
        if any(old.get(text) != new.get(text) for text in _TEXTS):
            yield Change(where, ChangeKind.TEXT_CHANGED)
        if old.get("unit") != new.get("unit"):
            yield Change(where, ChangeKind.UNIT_CHANGED, f"{old.get('unit')} to {new.get('unit')}")
        if old_nullable != new_nullable:
            kind = ChangeKind.LOOSENED if new_nullable else ChangeKind.TIGHTENED
            yield Change(where, kind, "null is allowed" if new_nullable else "null is refused")
        if any(old.get(shape) != new.get(shape) for shape in _SHAPES) or ("anyOf" in old) != ("anyOf" in new):
            yield Change(where, ChangeKind.TYPE_CHANGED, f"{_shape(old)} to {_shape(new)}")
            return
        yield from _compare_values(old, new, where)
        yield from _compare_limits(old, new, where)
        yield from self._compare_parts(old, new, where)

    def _compare_parts(self, old: Schema, new: Schema, where: str) -> Iterator[Change]:
        yield from self._compare_fields(old, new, where)
        for part, name in (("items", "[]"), ("additionalProperties", "{}")):
            if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
                yield from self.compare(old[part], new[part], f"{where}{name}")
            elif old.get(part) != new.get(part):
                yield Change(f"{where}{name}", ChangeKind.TYPE_CHANGED)
        if old.get("anyOf") != new.get("anyOf"):
            yield Change(where, ChangeKind.TYPE_CHANGED)

    def _compare_fields(self, old: Schema, new: Schema, where: str) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name not in after:
                yield Change(f"{where}.{name}", ChangeKind.FIELD_REMOVED)
        for name in after:
            field, required = f"{where}.{name}", name in new.get("required", ())
            if name not in before:
                kind = ChangeKind.REQUIRED_FIELD_ADDED if required else ChangeKind.OPTIONAL_FIELD_ADDED
                yield Change(field, kind)
                continue
            was_required = name in old.get("required", ())
            if required != was_required:
                yield Change(field, ChangeKind.MADE_REQUIRED if required else ChangeKind.MADE_OPTIONAL)
            elif before[name].get("default") != after[name].get("default"):
                yield Change(field, ChangeKind.DEFAULT_CHANGED)
            yield from self.compare(before[name], after[name], field)


def _compare_values(old: Schema, new: Schema, where: str) -> Iterator[Change]:
    """Compare the members of enums: an open one may grow, a closed one may not change."""
    for keyword, added, removed in (
        (KNOWN_VALUES, ChangeKind.VALUE_ADDED, ChangeKind.VALUE_REMOVED),
        ("enum", ChangeKind.LOOSENED, ChangeKind.TIGHTENED),
    ):
        if (keyword in old) != (keyword in new):
            yield Change(where, ChangeKind.TYPE_CHANGED, "a list of values came or went")
            continue
        before, after = old.get(keyword, ()), new.get(keyword, ())
        for kind, values in ((added, set(after) - set(before)), (removed, set(before) - set(after))):
            if values:
                yield Change(where, kind, ", ".join(sorted(map(str, values))))
    if old.get("const") != new.get("const"):
        yield Change(where, ChangeKind.TYPE_CHANGED, "another constant")


def _compare_limits(old: Schema, new: Schema, where: str) -> Iterator[Change]:
    for keywords, tighter in ((_LOWER_BOUNDS, 1), (_UPPER_BOUNDS, -1)):
        for keyword in keywords:
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            is_tighter = before is None or (after is not None and (after - before) * tighter > 0)
            yield Change(
                where,
                ChangeKind.TIGHTENED if is_tighter else ChangeKind.LOOSENED,
                f"{keyword} {before} to {after}",
            )
    if old.get("pattern") != new.get("pattern"):
        yield Change(where, ChangeKind.TYPE_CHANGED, "another pattern")


def _resolve(schema: Schema, definitions: Mapping[str, Any]) -> Schema:
    """Replace a `$ref`; what stands beside it goes before what it refers to."""
    if "$ref" not in schema:
        return schema
    return {
        **definitions[schema["$ref"].rpartition("/")[2]],
        **{k: v for k, v in schema.items() if k != "$ref"},
    }


def _split_null(schema: Schema) -> tuple[Schema, bool]:
    """Return the schema without its null, and whether it had one."""
    options = schema.get("anyOf", ())
    others = [option for option in options if option != {"type": "null"}]
    if len(others) != 1 or len(others) == len(options):
        return schema, False
    return {**others[0], **{k: v for k, v in schema.items() if k != "anyOf"}}, True


def _shape(schema: Schema) -> str:
    return " ".join(str(schema[part]) for part in _SHAPES if part in schema) or "any"
