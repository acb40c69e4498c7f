"""Hypothesis strategies for what a JSON Schema of the contracts allows, every field written."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from retainwise_contracts.schemas.json_schema import KNOWN_VALUES

Json = st.SearchStrategy[Any]

MAX_ITEMS = 3
LARGEST_INTEGER = 2**53 - 1
"""The largest that every JSON reader reads exactly."""


def values_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Json:
    """Values that a schema allows; `definitions` are its `$defs`."""
    if "$ref" in schema:
        return values_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema:
        return st.just(schema["const"])
    for listed in ("enum", KNOWN_VALUES):
        if listed in schema:
            return st.sampled_from(schema[listed])
    if "anyOf" in schema:
        return st.one_of(*(values_of(option, definitions) for option in schema["anyOf"]))
    return _TYPES[schema["type"]](schema, definitions)


def _objects(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Json:
    if "properties" in schema:
        return st.fixed_dictionaries(
            {name: values_of(field, definitions) for name, field in schema["properties"].items()}
        )
    return st.dictionaries(_TEXT, values_of(schema["additionalProperties"], definitions), max_size=MAX_ITEMS)


def _arrays(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Json:
    return st.lists(values_of(schema["items"], definitions), max_size=MAX_ITEMS)


def _strings(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Json:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if schema.get("format") == "date-time":
        return st.datetimes(timezones=st.just(UTC)).map(
            lambda moment: moment.isoformat().replace("+00:00", "Z")
        )
    if "pattern" in schema:
        return st.from_regex(
            schema["pattern"].removesuffix("$") + r"\Z", alphabet=st.characters(codec="ascii")
        )
    return st.text(_CHARACTERS, min_size=schema.get("minLength", 0), max_size=schema.get("maxLength"))


def _integers(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Json:
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", -LARGEST_INTEGER - 1) + 1)
    return st.integers(lowest, schema.get("maximum", LARGEST_INTEGER))


_CHARACTERS = st.characters(codec="utf-8")
_TEXT = st.text(_CHARACTERS, max_size=20)

_TYPES = {
    "object": _objects,
    "array": _arrays,
    "string": _strings,
    "integer": _integers,
    "number": lambda *_: st.floats(allow_nan=False, allow_infinity=False),
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
}
