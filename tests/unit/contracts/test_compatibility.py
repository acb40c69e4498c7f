import re

import pytest

from retainwise_contracts.compatibility import (
    RULES,
    Change,
    ChangeKind,
    Verdict,
    compare_releases,
    compare_schemas,
    worst,
)
from tests.contracts.distribution import PROJECT


def compare(old, new):
    """The kinds of change of one field, from one schema to the other."""
    before, after = ({"properties": {"x": field}, "required": ["x"]} for field in (old, new))
    return {change.kind for change in compare_schemas(before, after, "m")}


NULL = {"type": "null"}
INTEGER = {"type": "integer"}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({**INTEGER, "maximum": 5}, {**INTEGER, "maximum": 4}, ChangeKind.TIGHTENED),
        ({**INTEGER, "maximum": 5}, {**INTEGER, "maximum": 6}, ChangeKind.LOOSENED),
        ({**INTEGER, "maximum": 5}, INTEGER, ChangeKind.LOOSENED),
        (INTEGER, {**INTEGER, "minimum": 0}, ChangeKind.TIGHTENED),
        ({**INTEGER, "minimum": 0}, {**INTEGER, "minimum": 1}, ChangeKind.TIGHTENED),
        ({**INTEGER, "exclusiveMinimum": 1}, {**INTEGER, "exclusiveMinimum": 0}, ChangeKind.LOOSENED),
        (INTEGER, {"type": "number"}, ChangeKind.TYPE_CHANGED),
        (INTEGER, {"anyOf": [INTEGER, NULL]}, ChangeKind.LOOSENED),
        ({"anyOf": [INTEGER, NULL]}, INTEGER, ChangeKind.TIGHTENED),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, ChangeKind.LOOSENED),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, ChangeKind.TIGHTENED),
        ({"x-known-values": ["a"]}, {"x-known-values": ["a", "b"]}, ChangeKind.VALUE_ADDED),
        ({"x-known-values": ["a", "b"]}, {"x-known-values": ["a"]}, ChangeKind.VALUE_REMOVED),
        ({"enum": ["a"]}, {"x-known-values": ["a"]}, ChangeKind.TYPE_CHANGED),
        ({**INTEGER, "unit": "bytes"}, {**INTEGER, "unit": "rows"}, ChangeKind.UNIT_CHANGED),
        ({**INTEGER, "default": 1}, {**INTEGER, "default": 2}, ChangeKind.DEFAULT_CHANGED),
        ({**INTEGER, "title": "A"}, {**INTEGER, "title": "B"}, ChangeKind.TEXT_CHANGED),
        ({"const": 1}, {"const": 2}, ChangeKind.TYPE_CHANGED),
        ({"pattern": "a"}, {"pattern": "b"}, ChangeKind.TYPE_CHANGED),
        (
            {"type": "array", "items": {**INTEGER, "maximum": 5}},
            {"type": "array", "items": {**INTEGER, "maximum": 4}},
            ChangeKind.TIGHTENED,
        ),
        (
            {"type": "object", "additionalProperties": INTEGER},
            {"type": "object", "additionalProperties": {"type": "string"}},
            ChangeKind.TYPE_CHANGED,
        ),
    ],
)
def test_change_of_a_field_has_its_kind(old, new, kind):
    assert compare(old, new) == {kind}


def test_same_schema_has_no_change():
    field = {"anyOf": [{"$ref": "#/$defs/A"}, NULL]}
    schema = {"properties": {"x": field}, "required": ["x"], "$defs": {"A": INTEGER}}
    assert compare_schemas(schema, schema, "m") == ()
    assert worst(()) is Verdict.PATCH


def test_change_within_a_definition_is_found():
    field = {"anyOf": [{"$ref": "#/$defs/A"}, NULL]}
    old, new = (
        {"properties": {"x": field}, "required": ["x"], "$defs": {"A": {**INTEGER, "maximum": most}}}
        for most in (5, 4)
    )
    assert compare_schemas(old, new, "m") == (Change("m.x", ChangeKind.TIGHTENED, "maximum 5 to 4"),)


def test_messages_that_come_and_go_are_found():
    assert {(change.where, change.kind) for change in compare_releases({"a": {}}, {"b": {}})} == {
        ("a", ChangeKind.MESSAGE_REMOVED),
        ("b", ChangeKind.MESSAGE_ADDED),
    }


def test_change_says_for_whom_it_breaks_and_who_is_deployed_first():
    text = str(Change("m.x", ChangeKind.LOOSENED, "null is allowed"))
    assert text.startswith("MAJOR  m.x: loosened (null is allowed); breaks: old readers of new messages")
    assert "deploy: readers of both majors first" in text


def test_readme_has_the_same_policy():
    readme = (PROJECT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (patch|minor|major|never) \| ([^|]+) \|", readme, re.MULTILINE)
    assert rows == [(str(kind), str(RULES[kind].verdict), RULES[kind].breaks) for kind in ChangeKind]
