"""Reads and validates the query and the JSON body of a request."""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_origin

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, ValidationError

from producer_api.http.errors import (
    BodyCutOff,
    BodyStalled,
    BodyTooLarge,
    FieldError,
    InvalidParameter,
    InvalidRequest,
    JsonExpected,
    MalformedJson,
)

MAX_JSON_BYTES = 65_536
"""For a body in JSON. The largest have a mapping, and metadata of 16 kB."""

BODY_SECONDS = 10.0
"""For all of a body in JSON, from the end of the request's head."""

MAX_ERRORS = 20
"""How many fields are named in one answer."""

MAX_FIELD_CHARACTERS = 100
"""How much of a field's name is quoted, which may be the client's invention."""

MAX_CONTENT_TYPE_CHARACTERS = 256

_BODY = web.RequestKey("body", bytes)
_Model = TypeVar("_Model", bound=BaseModel)


class NoQuery(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class NoBody(BaseModel):
    """An empty object, or no body at all."""

    model_config = ConfigDict(extra="forbid")


async def read_json(request: web.Request, model: type[_Model]) -> _Model:
    """Return the body as a model; a body that is missing is read as an empty object.

    Raises:
        JsonExpected, MalformedJson, BodyTooLarge, BodyStalled, BodyCutOff: it cannot be read.
        InvalidRequest: it does not fit the model.
    """
    if has_body(request) and not is_json(request):
        raise JsonExpected
    body = await read_body(request)
    try:
        content = orjson.loads(body or b"{}")
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON text: {error}.") from error
    if not isinstance(content, dict):
        raise InvalidParameter("body", "send a JSON object.")
    return validate(model, content)


async def read_query(request: web.Request, model: type[_Model]) -> _Model:
    """Return the query as a model. Only a field that is a list may be sent more than once.

    Raises:
        InvalidRequest: it does not fit the model.
    """
    given: dict[str, Any] = {}
    lists = _list_fields(model)
    for name, text in request.query.items():
        if name in lists:
            given.setdefault(name, []).append(text)
        elif name in given:
            raise InvalidParameter(_shorten(name), "it was sent more than once.")
        else:
            given[name] = text
    return validate(model, given)


async def read_body(request: web.Request) -> bytes:
    """Return the body, which is received once however often it is read.

    Raises:
        BodyTooLarge, BodyStalled, BodyCutOff: it cannot be received.
    """
    if _BODY in request:
        return request[_BODY]
    if (request.content_length or 0) > MAX_JSON_BYTES:
        raise BodyTooLarge(MAX_JSON_BYTES)
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            await send_continue(request)
            async for chunk in request.content.iter_any():
                received += chunk
                if len(received) > MAX_JSON_BYTES:
                    raise BodyTooLarge(MAX_JSON_BYTES)
    except TimeoutError as error:
        raise BodyStalled from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise BodyCutOff from error
    body = request[_BODY] = bytes(received)
    return body


async def defer_continue(request: web.Request) -> None:
    """Defer the answer to `Expect: 100-continue` until the body is read: what is refused is not sent.

    Raises:
        HTTPExpectationFailed: something else is expected.
    """
    if not _expects_continue(request):
        raise web.HTTPExpectationFailed


async def send_continue(request: web.Request) -> None:
    """Ask for the body of a request that waits for that."""
    if _expects_continue(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp would otherwise take these bytes for the start of the final response.
        request.writer.output_size = 0


def _expects_continue(request: web.Request) -> bool:
    return request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


def has_body(request: web.Request) -> bool:
    """Return whether the request announces a body."""
    return bool(request.content_length) or hdrs.TRANSFER_ENCODING in request.headers


def is_json(request: web.Request) -> bool:
    """Return whether the headers say that the body is JSON in UTF-8, as it is."""
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    if len(content_type) > MAX_CONTENT_TYPE_CHARACTERS:
        return False
    media_type, _, parameters = content_type.lower().partition(";")
    is_utf8 = parameters.strip().replace('"', "") in {"", "charset=utf-8"}
    is_plain = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() == "identity"
    kind = media_type.strip()
    return is_utf8 and is_plain and (kind == "application/json" or kind.endswith("+json"))


@cache
def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) in {list, tuple}
    )


def validate(model: type[_Model], content: Mapping[str, Any]) -> _Model:
    """Return content that a client sent as a model. Raises InvalidRequest if it does not fit."""
    _check_text(content)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest(
            [
                FieldError(
                    field=_shorten(".".join(map(str, problem["loc"])) or "body"), detail=f"{problem['msg']}."
                )
                for problem in problems[:MAX_ERRORS]
            ]
        ) from None


def _check_text(content: Mapping[str, Any]) -> None:
    """Refuse text that is no Unicode text or has the character NUL, which PostgreSQL cannot store.

    Raises:
        InvalidRequest: a member has it, in its name or its value, at any depth.
    """
    for name, member in content.items():
        unread: list[Any] = [name, member]
        while unread:
            value = unread.pop()
            if isinstance(value, str):
                if "\0" in value or not _is_unicode(value):
                    raise InvalidParameter(_shorten(name).replace("\0", "?"), "it is not valid Unicode text.")
            elif isinstance(value, dict):
                unread.extend(value)
                unread.extend(value.values())
            elif isinstance(value, list):
                unread.extend(value)


def _is_unicode(text: str) -> bool:
    """Return whether a text has no surrogate: bytes of a query that are not UTF-8 are kept as such."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shorten(name: str) -> str:
    return name if len(name) <= MAX_FIELD_CHARACTERS else f"{name[:MAX_FIELD_CHARACTERS]}…"
