"""The limit: bare aiohttp handlers, without tokens, tenants, limits, logs, metrics or errors.

The one reads the same row with asyncpg and answers it; the other answers the same bytes without any read.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
from aiohttp import web

POOL: "web.AppKey[asyncpg.Pool[asyncpg.Record]]" = web.AppKey("pool")
QUERY = """
select prediction_id, status, model_name, model_version, requested_at, sqs_queued_at, started_at, finished_at,
    deadline, attempt, retry_reason, retry_at, rows_total, rows_scored, rows_rejected, label, revision,
    progress_rows, progress_total, summary, failure
from predictions
where prediction_id = $1
"""


async def read(request: web.Request) -> web.Response:
    """Answer a row."""
    prediction_id = UUID(request.match_info["prediction_id"])
    row = await request.app[POOL].fetchrow(QUERY, prediction_id)
    if row is None:
        raise web.HTTPNotFound
    body = {**row, "prediction_id": str(prediction_id), "summary": orjson.Fragment(row["summary"])}
    return web.Response(body=orjson.dumps(body), content_type="application/json")


async def open_pool(app: web.Application) -> AsyncIterator[None]:
    """Keep a pool while the service runs."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=3, max_size=3) as pool:
        app[POOL] = pool
        yield


def main() -> None:
    """Serve the row at its path, and the bytes of the file BODY at every other."""
    body = Path(os.environ["BODY"]).read_bytes()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.cleanup_ctx.append(open_pool)
    app.add_routes(
        [
            web.get("/readyz", answer),
            web.get("/static", answer),
            web.get("/v1/predictions/{prediction_id}", read),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=int(os.environ["HTTP_PORT"]), access_log=None, print=None)


if __name__ == "__main__":
    main()
