"""Serves the console's files, with a policy under which only they can run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from producer_api.console.assets import Asset, load_assets
from producer_api.http.answers import json_answer
from producer_api.http.conditional import if_none_match
from producer_api.http.route import Route
from producer_api.objects import OBJECTS
from producer_api.settings import SETTINGS, Settings

ASSETS: web.AppKey[Mapping[str, Asset]] = web.AppKey("console_assets")
POLICY = web.AppKey("console_policy", str)

CACHE_CONTROL = "public, no-cache"
"""A browser keeps the files, and asks whether they are current: a release changes them, not their names."""

HEADERS: Mapping[str, str] = {
    hdrs.CACHE_CONTROL: CACHE_CONTROL,
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


async def open_console(app: web.Application) -> AsyncIterator[None]:
    """Read the files and decide what their pages may connect to."""
    app[ASSETS] = await asyncio.to_thread(load_assets)
    link = await app[OBJECTS].link("any", file_name="any", media_type="text/csv", seconds=60)
    app[POLICY] = content_security_policy(app[SETTINGS], _origin(link))
    yield


def content_security_policy(settings: Settings, bucket_origin: str) -> str:
    """Return the policy of the console's pages: nothing from elsewhere, nothing inline, no HTML from text.

    Files go straight to the bucket, and a code is changed for a token at the identity provider.
    """
    connect = ["'self'", bucket_origin]
    if settings.console_oidc_token_url is not None:
        connect.append(_origin(settings.console_oidc_token_url))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            f"connect-src {' '.join(connect)}",
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
    asset = request.app[ASSETS].get("/".join(request.match_info.values()))
    if asset is None:
        raise web.HTTPNotFound
    return _answer(request, asset)


async def get_config(request: web.Request) -> web.Response:
    """Answer how to sign in: at an identity provider, or with a token alone."""
    settings = request.app[SETTINGS]
    oidc = None
    if settings.console_oidc_client_id is not None:
        oidc = {
            "authorize_url": settings.console_oidc_authorize_url,
            "token_url": settings.console_oidc_token_url,
            "client_id": settings.console_oidc_client_id,
            "scope": settings.console_oidc_scope,
        }
    return json_answer({"oidc": oidc})


def _answer(request: web.Request, asset: Asset) -> web.Response:
    compressed = asset.compressed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    etag = asset.compressed_etag if compressed else asset.etag
    response = if_none_match(request, etag)
    if response is None:
        body = asset.compressed if compressed else asset.content
        response = web.Response(body=body, headers={hdrs.ETAG: etag, hdrs.CONTENT_TYPE: asset.media_type})
        if compressed:
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = request.app[POLICY]
    return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


ROUTES = tuple(
    Route("GET", path, handler, summary, public=True, documented=False)
    for path, handler, summary in (
        ("/", get_page, "The console."),
        ("/console/config.json", get_config, "How the console signs in."),
        ("/console/{file}", get_asset, "A file of the console."),
        ("/console/{folder}/{file}", get_asset, "A file of the console."),
    )
)
