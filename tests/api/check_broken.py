"""Every parameter, cursor, key, header and body broken in turn: each is named, and nothing is done."""

import json
from collections.abc import Iterator
from typing import Any

from producer_api.http.openapi import DOCUMENT
from producer_api.http.route import Route
from tests.api.belongings import Belongings, count_rows, create_belongings, tenant_routes
from tests.api.stack import Answer, ApiStack

JSON = {"Content-Type": "application/json"}
CLEANED = ("/v1/uploads", "name")
"""The parameter that takes any text: what a file name may not have is left out of it."""

BROKEN_CURSORS = ("A", "!", "AAAA" * 20, "é", "x" * 2_000)
BROKEN_MEMBERS: tuple[Any, ...] = (True, [[]], {"a": {"b": [1]}}, "x" * 20_000, "a\u0000b")
BROKEN_KEYS = ("a b", "x" * 256, "ä")


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Break everything that the document names."""
    owner = await create_belongings(stack, "broken")
    document = json.loads(DOCUMENT.read_bytes())
    before = await count_rows(stack, owner.tenant.tenant_id)
    probes, wrong = 0, []
    for route in tenant_routes():
        operation = document["paths"][route.path][route.method.lower()]
        for field, statuses, options in _broken(route, operation, document, owner):
            answer = await owner.tenant.send(route.method, owner.path(route), **options)
            probes += 1
            if problem := _find_problem(answer, field, statuses):
                wrong.append(f"{route.method} {route.path}, {field} in {str(options)[:150]}: {problem}")
    after = await count_rows(stack, owner.tenant.tenant_id)
    if after != before:
        wrong.append(f"something was half done: {before} has become {after}")
    for line in wrong:
        print(f"broken: {line}")
    return {"probes": probes, "leaks": len(wrong)}


def _find_problem(answer: Answer, field: str | None, statuses: tuple[int, ...]) -> str | None:
    if answer.status not in statuses:
        return f"{answer.status} {answer.content}"
    if answer.headers["Content-Type"] != "application/problem+json":
        return "no problem+json"
    if answer.status != 422 or field is None:
        return None
    named = [error["field"] for error in answer.content.get("errors", ())]
    return None if any(name.split(".")[0] == field for name in named) else f"it names {named}"


Probe = tuple[str | None, tuple[int, ...], dict[str, Any]]


def _broken(route: Route, operation: Any, document: Any, owner: Belongings) -> Iterator[Probe]:
    body = owner.body(route)
    whole: dict[str, Any] = {"json": body} if body is not None else {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and (route.path, parameter["name"]) != CLEANED:
            name = parameter["name"]
            for value in _broken_values(name, parameter["schema"]):
                yield name, (422,), {**_as_file(route, whole), "params": {name: value}}
            if parameter["schema"].get("type") != "array":
                yield name, (422,), {**_as_file(route, whole), "params": [(name, "1"), (name, "1")]}
    if route.query is not None:
        yield "unknown", (422,), {**whole, "params": {"unknown": "1"}}
    if route.method == "POST":
        for key in BROKEN_KEYS:
            yield "Idempotency-Key", (422,), {**whole, "headers": {"Idempotency-Key": key}}
    if route.body is not None:
        yield from _broken_bodies(route, operation, document, body or {})


def _as_file(route: Route, whole: dict[str, Any]) -> dict[str, Any]:
    """Return the body with which the parameters of a query are read: a file, where there may be one."""
    if route.takes_file:
        return {"data": b"customerID,tenure\na,1\n", "headers": {"Content-Type": "text/csv"}}
    return whole


def _broken_values(name: str, schema: Any) -> Iterator[str]:
    if name == "cursor":
        yield from BROKEN_CURSORS
    elif schema.get("type") == "integer":
        yield from ("x", "", "-1", "1.5", "9" * 30)
    elif schema.get("type") == "number":
        yield from ("x", "", "nan", "-1")
    elif "enum" in schema or "$ref" in schema or schema.get("type") == "array":
        yield from ("nope", "")
    elif schema.get("format") == "date-time":
        yield from ("tomorrow", "", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00")
    elif "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    yield "a\u0000b"


def _broken_bodies(route: Route, operation: Any, document: Any, body: dict[str, Any]) -> Iterator[Probe]:
    yield None, (400,), {"data": b"{", "headers": JSON}
    yield None, (400,), {"data": b'{"a": "\xff"}', "headers": JSON}
    yield "body", (422,), {"data": b"[]", "headers": JSON}
    yield None, (413,), {"data": b'{"a": "' + b"x" * 70_000 + b'"}', "headers": JSON}
    yield None, (415,), {"data": b"{}", "headers": {"Content-Type": "text/plain"}}
    yield None, (415,), {"data": b"{}", "headers": JSON | {"Content-Encoding": "br"}}
    yield "unknown", (422,), {"json": {**body, "unknown": 1}}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    for name, field in schema["properties"].items():
        for value in BROKEN_MEMBERS:
            if _fits(field, value):
                continue
            yield name, (422,), {"json": {**body, name: value}}
    for name in schema.get("required", ()):
        without = {key: value for key, value in body.items() if key != name}
        yield name, (422,), {"json": without}


def _fits(field: Any, value: Any) -> bool:
    """Return whether a field may take any object, as metadata does."""
    kinds = [field, *field.get("anyOf", ())]
    return (
        isinstance(value, dict)
        and any(
            kind.get("type") == "object" and kind.get("additionalProperties") in (True, None)
            for kind in kinds
        )
    ) or (isinstance(value, dict) and any("JsonValue" in str(kind) for kind in kinds))
