"""Serves the console's files, with a policy under which only they can run."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson
from aiohttp import hdrs, web

from producer_api.console.assets import Asset, load_assets
from producer_api.http.conditional import if_none_match
from producer_api.http.route import Route
from producer_api.settings import SETTINGS, Settings

ASSETS = web.AppKey("console_assets", Mapping[str, Asset])
POLICY = web.AppKey("console_policy", str)

FILES_ORIGINS = web.AppKey("files_origins", frozenset)
"""Where uploads in parts are sent to and results are downloaded from: the bucket's own address."""


def configure(app: web.Application, bucket_origins: frozenset[str]) -> None:
    """Read the files and decide what a page may connect to."""
    app[ASSETS] = load_assets()
    app[POLICY] = content_security_policy(app[SETTINGS], bucket_origins)


def content_security_policy(settings: Settings, bucket_origins: frozenset[str]) -> str:
    """Return the policy of the console's pages: nothing from elsewhere, nothing inline, no HTML from text."""
    connect = {"'self'", *bucket_origins}
    if settings.console_oidc_token_url:
        connect.add(_origin(settings.console_oidc_token_url))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            f"connect-src {' '.join(sorted(connect))}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


async def get_page(request: web.Request) -> web.Response:
    """Answer the console's one page; which part of it is shown is in the fragment of the URL."""
    return _answer(request, request.app[ASSETS]["index.html"])


async def get_asset(request: web.Request) -> web.Response:
    """Answer a file of the console."""
    asset = request.app[ASSETS].get(request.match_info["path"])
    if asset is None:
        raise web.HTTPNotFound
    return _answer(request, asset)


async def get_config(request: web.Request) -> web.Response:
    """Answer how to sign in."""
    settings = request.app[SETTINGS]
    oidc = None
    if settings.console_oidc_client_id:
        oidc = {
            "authorize_url": settings.console_oidc_authorize_url,
            "token_url": settings.console_oidc_token_url,
            "client_id": settings.console_oidc_client_id,
            "scope": settings.console_oidc_scope,
        }
    return web.Response(body=orjson.dumps({"oidc": oidc}), content_type="application/json")


def _answer(request: web.Request, asset: Asset) -> web.Response:
    headers = {
        hdrs.ETAG: asset.etag,
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.CONTENT_TYPE: asset.media_type,
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        "Content-Security-Policy": request.app[POLICY],
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    }
    unchanged = if_none_match(request, asset.etag)
    if unchanged is not None:
        return unchanged
    if asset.compressed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=asset.compressed, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=asset.content, headers=headers)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


ROUTES = (
    Route("GET", "/", get_page, "The console.", answers={200: "text/html"}, public=True),
    Route("GET", "/console/config.json", get_config, "How the console signs in.", public=True),
    Route("GET", "/console/{path:.+}", get_asset, "A file of the console.", public=True),
)
