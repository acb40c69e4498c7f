"""The local stack's own token issuer: one key, a JWKS endpoint, and tokens for any tenant."""

import json
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from deploy.local.errors import LocalStackError

ALGORITHM = "ES256"
KEY_ID = "local-1"
DEVELOPMENT_TOKEN_SECONDS = 24 * 3600


class Issuer:
    """Signs tokens with a key that is created on first use and kept in `folder`."""

    audience = "retainwise-api"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}"
        self.jwks_url = f"{self.issuer}/.well-known/jwks.json"
        self._key = _keep_key(folder / "issuer.pem")

    def mint(self, tenant_id: str, *, expires_in: float = DEVELOPMENT_TOKEN_SECONDS, **claims: object) -> str:
        """Return a token for a tenant; `expires_in` (s) may be negative, `claims` override the defaults."""
        now = int(time.time())
        defaults = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": f"developer@{tenant_id}",
            "tenant_id": tenant_id,
            "iat": now,
            "exp": now + int(expires_in),
        }
        return jwt.encode(defaults | claims, self._key, algorithm=ALGORITHM, headers={"kid": KEY_ID})

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517)."""
        key = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [key | {"kid": KEY_ID, "alg": ALGORITHM, "use": "sig"}]}

    @asynccontextmanager
    async def serve(self, routes: Iterable[web.RouteDef] = ()) -> AsyncIterator[None]:
        """Serve the keys, and other routes, while the block runs.

        Raises:
            LocalStackError: the port is in use.
        """

        async def respond(_: web.Request) -> web.Response:
            return web.json_response(self.jwks(), headers={"Cache-Control": "max-age=300"})

        app = web.Application()
        app.add_routes([web.get("/.well-known/jwks.json", respond), *routes])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, "127.0.0.1", self.port).start()
            except OSError as error:
                raise LocalStackError(
                    f"the token issuer cannot listen on port {self.port}: {error.strerror}"
                ) from error
            yield
        finally:
            await runner.cleanup()


def _keep_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        unfinished = path.with_suffix(".unfinished")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
        unfinished.rename(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LocalStackError(f"{path} is not the issuer's key: delete it and start again")
    return key
