"""`GET /v1/predictions/{id}/export`: customers as CSV for a CRM, streamed piece by piece."""

import structlog
from aiohttp import hdrs, web

from producer_api.http.body import read_query
from producer_api.rows import results
from producer_api.rows.files import Result, find_result
from producer_api.rows.models import ExportQuery
from producer_api.rows.readers import READERS
from producer_api.rows.results import Exported, RowFilter

CSV = "text/csv"

PIECE_ROWS = 10_000
"""About 2 MB of text, which is sent before the next piece is read."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def export_rows(request: web.Request) -> web.StreamResponse:
    """Send customers as CSV: the id, the probability, the risk, what is at risk, reasons and an action."""
    query = await read_query(request, ExportQuery)
    result = await find_result(request)
    piece = await _read_piece(request, query, result, start=0, left=query.top)  # before the answer begins
    name = f"{result.prediction.prediction_id}-export.csv"
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: f"{CSV}; charset=utf-8; header=present",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CACHE_CONTROL: "no-store",
        }
    )
    await response.prepare(request)
    left = query.top
    try:
        await response.write(piece.text)
        while piece.next_start is not None:
            left = None if left is None else left - piece.rows
            if left == 0:
                break
            piece = await _read_piece(request, query, result, start=piece.next_start, left=left)
            await response.write(piece.text)
        await response.write_eof()
    except ConnectionError:
        pass
    except Exception:
        # The answer has begun: without its last chunk, the client sees that it is not whole.
        log.exception("export_failed")
        if request.transport is not None:
            request.transport.abort()
    return response


async def _read_piece(
    request: web.Request, query: ExportQuery, result: Result, *, start: int, left: int | None
) -> Exported:
    """Read the next piece. The file is opened for each: a slow client must not keep it in the cache."""
    is_of_file = query.order == "file"
    async with result.files.open_file("scores.parquet") if is_of_file else result.open_worklist() as path:
        return await request.app[READERS].run(
            results.export_rows,
            path,
            RowFilter(query.risk),
            query.order,
            result.card.actions if result.card is not None else {},
            start=start,
            at_most=PIECE_ROWS if left is None else min(PIECE_ROWS, left),
        )
