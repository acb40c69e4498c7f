"""The endpoints of a result's rows: read them, explain one, export them, read the rejected ones."""

from aiohttp import hdrs, web

from producer_api.http.answers import REVALIDATED, json_answer
from producer_api.http.auth import CALLER
from producer_api.http.body import read_query
from producer_api.http.conditional import etag, if_none_match
from producer_api.http.paging import PAGER, page
from producer_api.http.route import Route
from producer_api.objects import StorageUnavailable
from producer_api.predictions.errors import (
    NotFinished,
    PredictionDeleted,
    PredictionFailed,
    PredictionNotFound,
)
from producer_api.rows.cache import CacheFull, ResultTooLarge
from producer_api.rows.errors import ResultGone, RowNotFound, WorklistMissing
from producer_api.rows.export import CSV, export_rows
from producer_api.rows.files import find_files, find_result
from producer_api.rows.models import (
    ExplainedRow,
    ExportQuery,
    RejectedPage,
    RejectedQuery,
    RowsQuery,
    ScoredRowPage,
)
from producer_api.rows.readers import READERS, ReadersBusy
from producer_api.rows.resource import explained_resource, row_resource
from producer_api.rows.results import RowFilter, find_rows, read_rejected, read_row, values_of
from retainwise_contracts.results import ResultManifest

MAX_ROW_DIGITS = 18
"""More than any file has rows, and less than overflows."""


async def list_rows(request: web.Request) -> web.Response:
    """List scored customers, a page at a time."""
    query = await read_query(request, RowsQuery)
    result = await find_result(request)
    tenant_id, pager = request[CALLER].tenant_id, request.app[PAGER]
    scope = f"rows {result.prediction.prediction_id} {query.model_dump_json(exclude={'cursor', 'limit'})}"
    start = pager.decode(tenant_id, scope, query.cursor)[0] if query.cursor else 0
    order = query.order or ("risk" if query.customer_id is None else "file")
    wanted = RowFilter(query.risk, query.min_probability, query.reason, query.customer_id)
    is_of_file = order == "file"
    async with result.files.open_file("scores.parquet") if is_of_file else result.open_worklist() as path:
        found = await request.app[READERS].run(
            find_rows, path, wanted, order, start=start, at_most=query.limit
        )
    next_cursor = None if found.next_start is None else pager.encode(tenant_id, scope, [found.next_start])
    items = [row_resource(row, found.reasons, result.card) for row in found.rows]
    return page(request, items, next_cursor, truncated=not is_of_file and result.is_truncated)


async def get_row(request: web.Request) -> web.Response:
    """Return one customer with the whole explanation of the score."""
    result = await find_result(request)
    async with result.files.open_file("scores.parquet") as path:
        found = await request.app[READERS].run(read_row, path, _row_number(request))
    if not found.rows:
        raise RowNotFound
    row, card = found.rows[0], result.card
    values = None if card is None else values_of(row, [feature.name for feature in card.features])
    answer = json_answer(explained_resource(row, found.reasons, card, values))
    tag = etag(answer.body)  # of all of it, as the card and its words are a part
    answer.headers.update({hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED})
    return if_none_match(request, tag) or answer


def _row_number(request: web.Request) -> int:
    text = request.match_info["row"]
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_ROW_DIGITS):
        raise RowNotFound
    return int(text)


async def list_rejected(request: web.Request) -> web.Response:
    """List rejected rows with their cells, and the causes of all of them."""
    query = await read_query(request, RejectedQuery)
    result = await find_result(request)
    tenant_id, pager = request[CALLER].tenant_id, request.app[PAGER]
    scope = f"rejected {result.prediction.prediction_id} {query.model_dump_json(exclude={'cursor', 'limit'})}"
    start = pager.decode(tenant_id, scope, query.cursor)[0] if query.cursor else 0
    async with result.files.open_file("rejected.csv") as path:
        rejected = await request.app[READERS].run(
            read_rejected,
            path,
            result.manifest.csv.delimiter,
            query.code,
            query.column,
            start=start,
            at_most=query.limit,
        )
    has_more = rejected.next_start is not None
    next_cursor = pager.encode(tenant_id, scope, [rejected.next_start]) if has_more else None
    return page(request, rejected.items, next_cursor, groups=rejected.groups, columns=rejected.columns)


async def get_manifest(request: web.Request) -> web.Response:
    """Return the manifest of a result as it is stored."""
    _, files = await find_files(request)
    tag = etag(files.digest("manifest.json").sha256)
    if held := if_none_match(request, tag):
        return held
    async with files.open_file("manifest.json") as path:
        manifest = await request.app[READERS].run(path.read_bytes)
    return web.Response(
        body=manifest,
        content_type="application/json",
        headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: REVALIDATED},
    )


_ERRORS = (
    PredictionNotFound,
    PredictionDeleted,
    NotFinished,
    PredictionFailed,
    ResultGone,
    ResultTooLarge,
    StorageUnavailable,
    CacheFull,
    ReadersBusy,
)
"""Why a file of a result cannot be read."""

ROUTES = (
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/rows",
        list_rows,
        "List scored customers by risk, by value at risk or as in the file.",
        answers={200: ScoredRowPage},
        query=RowsQuery,
        errors=(*_ERRORS, WorklistMissing),
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/rows/{row}",
        get_row,
        "Get one scored customer with the whole explanation of the score.",
        answers={200: ExplainedRow, 304: None},
        errors=(*_ERRORS, RowNotFound),
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/export",
        export_rows,
        "Export customers as CSV for a CRM, with reasons and a suggested action in words.",
        answers={200: CSV},
        query=ExportQuery,
        errors=(*_ERRORS, WorklistMissing),
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/rejected",
        list_rejected,
        "List the rows that could not be scored, with the causes of all of them.",
        answers={200: RejectedPage},
        query=RejectedQuery,
        errors=_ERRORS,
    ),
    Route(
        "GET",
        "/v1/predictions/{prediction_id}/manifest",
        get_manifest,
        "Get the manifest of a result: its input, its model and its files with their digests.",
        answers={200: ResultManifest, 304: None},
        errors=_ERRORS,
    ),
)
