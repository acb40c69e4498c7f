"""The issuer's keys: fetched for an unknown id, not too often, and kept while the issuer is unavailable."""

import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from producer_api.auth import COOL_DOWN_SECONDS, MAX_KEY_SET_BYTES, TokenVerifier
from producer_api.errors import TokenInvalid
from producer_api.key_set import KeysUnavailable

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_JWK = json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key()))
RSA_JWK = json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key()))


class Issuer:
    """An issuer whose answer a test sets, and that counts its requests."""

    def __init__(self) -> None:
        self.document: Any = {"keys": [EC_JWK | {"kid": "first", "use": "sig"}]}
        self.status = 200
        self.requests = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.requests += 1
        text = self.document if isinstance(self.document, str) else json.dumps(self.document)
        return web.Response(status=self.status, text=text)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
async def verifier(issuer, clock):
    app = web.Application()
    app.add_routes([web.get("/jwks", issuer.answer)])
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield TokenVerifier(
            session, jwks_url=str(server.make_url("/jwks")), issuer="issuer", audience="api", clock=clock
        )


def mint(key, kid: str, algorithm: str) -> str:
    claims = {"iss": "issuer", "aud": "api", "sub": "s", "tenant_id": "acme", "exp": time.time() + 60}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


async def test_verifier_fetches_a_new_key_that_a_token_names(verifier, issuer, clock):
    await verifier.refresh_keys()
    assert (await verifier.verify(mint(EC_KEY, "first", "ES256"))).tenant_id == "acme"
    issuer.document = {"keys": [RSA_JWK | {"kid": "second"}]}
    assert (await verifier.verify(mint(RSA_KEY, "second", "RS256"))).tenant_id == "acme"
    with pytest.raises(TokenInvalid):  # withdrawn by the issuer, and so no longer trusted
        await verifier.verify(mint(EC_KEY, "first", "ES256"))
    assert issuer.requests == 2


async def test_invented_key_ids_do_not_load_the_issuer(verifier, issuer, clock):
    await verifier.refresh_keys()
    for number in range(20):
        with pytest.raises(TokenInvalid, match="does not publish"):
            await verifier.verify(mint(EC_KEY, f"made-up-{number}", "ES256"))
    assert issuer.requests == 2
    clock.now += COOL_DOWN_SECONDS
    with pytest.raises(TokenInvalid):
        await verifier.verify(mint(EC_KEY, "made-up", "ES256"))
    assert issuer.requests == 3


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (500, {}, "HTTP status 500"),
        (302, {}, "HTTP status 302"),
        (200, "<html>", "not a JSON Web Key Set"),
        (200, {"keys": [1]}, "not a JSON Web Key Set"),
        (200, {"keys": []}, "no signing key"),
        (200, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}]}, "no signing key"),
        (200, {"keys": [EC_JWK | {"kid": "first", "use": "enc"}]}, "no signing key"),
        (200, {"keys": [EC_JWK | {"kid": "first", "alg": "ES512"}]}, "no signing key"),
        (200, " " * MAX_KEY_SET_BYTES + "{}", "larger than"),
    ],
)
async def test_verifier_keeps_its_keys_when_a_refresh_fails(verifier, issuer, status, document, reason):
    await verifier.refresh_keys()
    issuer.status, issuer.document = status, document
    with pytest.raises(KeysUnavailable, match=reason):
        await verifier.refresh_keys()
    assert reason in verifier.problem
    assert (await verifier.verify(mint(EC_KEY, "first", "ES256"))).tenant_id == "acme"


async def test_key_verifies_only_its_own_algorithm(verifier, issuer):
    issuer.document = {"keys": [RSA_JWK | {"kid": "first", "alg": "RS256"}]}
    await verifier.refresh_keys()
    with pytest.raises(TokenInvalid):
        await verifier.verify(mint(RSA_KEY, "first", "RS512"))
