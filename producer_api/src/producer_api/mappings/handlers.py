"""The handlers of `/v1/mappings`: what a tenant has saved to read files of the same kind."""

import asyncio
import re
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import hdrs, web

from ml_models.card import Card
from ml_models.errors import ModelNotFound
from ml_models.intake.columns import InvalidMapping, propose_columns
from producer_api.http.answers import REVALIDATED, json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import NoQuery, read_json, read_query
from producer_api.http.conditional import etag, if_none_match, require_match
from producer_api.http.errors import InvalidParameter, InvalidRequest, PreconditionFailed
from producer_api.http.paging import PAGER, page
from producer_api.http.route import Route
from producer_api.mappings.errors import MappingNotFound, TooManyMappings
from producer_api.mappings.models import (
    MappingResource,
    MappingsPage,
    MappingsQuery,
    SaveMapping,
)
from producer_api.mappings.store import MAPPINGS, SavedMapping
from producer_api.models.catalog import MODELS
from producer_api.uploads.inspect import check_values
from producer_api.uploads.receive import INSPECTORS

MAX_MAPPINGS = 500
"""Of one tenant."""

_LIST = "/v1/mappings"
_NAME = re.compile(r"[^\W_](?:[\w .()-]{0,98}[\w.()-])?")


async def list_mappings(request: web.Request) -> web.Response:
    """Return a page of the tenant's mappings, by name."""
    query = await read_query(request, MappingsQuery)
    tenant_id, pager = request[CALLER].tenant_id, request.app[PAGER]
    after = pager.decode(tenant_id, _LIST, query.cursor)[0] if query.cursor else ""
    found = await request.app[MAPPINGS].list_mappings(tenant_id, after=after, limit=query.limit + 1)
    items = found[: query.limit]
    cursor = pager.encode(tenant_id, _LIST, [items[-1].name]) if len(found) > query.limit else None
    return page(request, [_resource(saved) for saved in items], cursor)


async def get_mapping(request: web.Request) -> web.Response:
    """Return a mapping."""
    await read_query(request, NoQuery)
    saved = await request.app[MAPPINGS].read_mapping(request[CALLER].tenant_id, _name(request))
    if saved is None:
        raise MappingNotFound
    return if_none_match(request, _tag(saved)) or _answer(saved)


async def put_mapping(request: web.Request) -> web.Response:
    """Save a mapping under a name: 201 if it is new, 200 if it replaces one."""
    await read_query(request, NoQuery)
    wanted = await read_json(request, SaveMapping)
    name = _valid_name(request)
    card = await _check(request, wanted)
    async with request.app[MAPPINGS].change(request[CALLER].tenant_id, name) as change:
        _check_conditions(request, change.before)
        if change.before is None and await change.has_mappings(MAX_MAPPINGS):
            raise TooManyMappings(MAX_MAPPINGS)
        saved = await change.save(
            model_name=card.name, headers=wanted.headers, mapping=wanted.mapping, values=wanted.values
        )
        if saved is None:
            raise PreconditionFailed
        return _answer(saved, status=201 if change.before is None else 200)


async def _check(request: web.Request, wanted: SaveMapping) -> Card:
    """Refuse a mapping that does not fit the model or the headers; return the model's card.

    Raises:
        ModelNotFound, InvalidMapping, InvalidParameter: why.
    """
    models = request.app[MODELS]
    card = models.card(wanted.model or models.default)
    check_values(wanted.values, card)
    await asyncio.get_running_loop().run_in_executor(
        request.app[INSPECTORS], propose_columns, wanted.headers, card, wanted.mapping
    )
    return card


def _check_conditions(request: web.Request, before: SavedMapping | None) -> None:
    """Refuse to overwrite what the client has not read. Raises PreconditionFailed."""
    if before is None:
        if hdrs.IF_MATCH in request.headers:
            raise PreconditionFailed
    elif hdrs.IF_MATCH in request.headers:
        require_match(request, _tag(before))
    elif request.headers.get(hdrs.IF_NONE_MATCH) == "*":
        raise PreconditionFailed


async def delete_mapping(request: web.Request) -> web.Response:
    """Delete a mapping."""
    await read_query(request, NoQuery)
    async with request.app[MAPPINGS].change(request[CALLER].tenant_id, _name(request)) as change:
        if change.before is None:
            raise MappingNotFound
        _check_conditions(request, change.before)
        await change.delete()
    return web.Response(status=204)


def _name(request: web.Request) -> str:
    """Return the name in the path. One that no mapping can have is not found."""
    name = request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise MappingNotFound
    return name


def _valid_name(request: web.Request) -> str:
    """Return the name in the path, for a mapping to be saved. Raises InvalidParameter."""
    name = request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            "name", "send 1 to 100 letters, digits, spaces or any of .()-_, no space at its ends."
        )
    return name


def _tag(saved: SavedMapping) -> str:
    return etag(saved.name, saved.created_at, saved.revision)


def _answer(saved: SavedMapping, *, status: int = 200) -> web.Response:
    headers: dict[str, str] = {hdrs.ETAG: _tag(saved), hdrs.CACHE_CONTROL: REVALIDATED}
    if status == 201:
        headers[hdrs.LOCATION] = _path(saved)
    return json_answer(_resource(saved), status=status, headers=headers)


def _resource(saved: SavedMapping) -> dict[str, Any]:
    return {
        "name": saved.name,
        "model_name": saved.model_name,
        "headers": list(saved.headers),
        "mapping": orjson.Fragment(saved.mapping),
        "values": orjson.Fragment(saved.values),
        "created_at": saved.created_at,
        "updated_at": saved.updated_at,
        "links": {"self": _path(saved)},
    }


def _path(saved: SavedMapping) -> str:
    return f"{_LIST}/{quote(saved.name, safe='')}"


ROUTES = (
    Route(
        "GET",
        _LIST,
        list_mappings,
        "The saved mappings, by name.",
        answers={200: MappingsPage},
        query=MappingsQuery,
    ),
    Route(
        "GET",
        f"{_LIST}/{{name}}",
        get_mapping,
        "A saved mapping.",
        answers={200: MappingResource, 304: None},
        errors=(MappingNotFound,),
    ),
    Route(
        "PUT",
        f"{_LIST}/{{name}}",
        put_mapping,
        "Save a mapping, to be offered for files with the same headers.",
        answers={200: MappingResource, 201: MappingResource},
        body=SaveMapping,
        errors=(ModelNotFound, InvalidMapping, PreconditionFailed, TooManyMappings),
    ),
    Route(
        "DELETE",
        f"{_LIST}/{{name}}",
        delete_mapping,
        "Delete a saved mapping.",
        answers={204: None},
        errors=(MappingNotFound, PreconditionFailed, InvalidRequest),
    ),
)
