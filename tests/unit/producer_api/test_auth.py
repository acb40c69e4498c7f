"""The issuer's keys: fetched for an unknown id, not too often, and kept while the issuer is unavailable."""

import base64
import gzip
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

from producer_api.http.auth import COOL_DOWN_SECONDS, MAX_KEY_SET_BYTES, TokenVerifier, open_issuer_session
from producer_api.http.errors import TokenInvalid
from producer_api.http.key_set import KeysUnavailable, read_keys

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


SMALL_RSA_JWK = json.loads(
    RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key())
)
REFUSED_KEYS = {
    "no algorithm": EC_JWK | {"alg": "none"},
    "an algorithm that is no text": EC_JWK | {"alg": ["ES256"]},
    "a type that is no text": EC_JWK | {"kty": {}},
    "a small key": SMALL_RSA_JWK,
    "an exponent of one": RSA_JWK | {"e": "AQ"},
    "no number": RSA_JWK | {"n": "***"},
    "a number that is none": RSA_JWK | {"n": 5},
    "a private EC key": json.loads(ECAlgorithm.to_jwk(EC_KEY)),
    "a private RSA key": json.loads(RSAAlgorithm.to_jwk(RSA_KEY)),
    "a symmetric key": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
    "another use": EC_JWK | {"use": "enc"},
    "other operations": EC_JWK | {"key_ops": ["sign"]},
    "operations that are none": EC_JWK | {"key_ops": "verify"},
    "another curve": EC_JWK | {"crv": "P-384"},
    "a point that is not on the curve": EC_JWK | {"x": EC_JWK["y"]},
    "an id that is no text": EC_JWK | {"kid": 1},
    "another type's algorithm": RSA_JWK | {"alg": "ES256"},
}


def test_key_that_does_not_fit_is_left_out(subtests):
    good = EC_JWK | {"kid": "good"}
    for name, key in REFUSED_KEYS.items():
        with subtests.test(name):
            document = json.dumps({"keys": [{"kid": "bad", **key}, good]})
            assert set(read_keys(document.encode())) == {"good"}


def test_keys_with_the_same_id_are_left_out():
    document = {"keys": [EC_JWK | {"kid": "same"}, RSA_JWK | {"kid": "same"}, EC_JWK | {"kid": "own"}]}
    assert set(read_keys(json.dumps(document).encode())) == {"own"}


async def test_compressed_key_set_is_not_unpacked(clock):
    async def bomb(_: web.Request) -> web.Response:
        packed = gzip.compress(json.dumps({"keys": [EC_JWK | {"kid": "a"}]}).encode() + b" " * 10_000_000)
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.add_routes([web.get("/jwks", bomb)])
    async with TestServer(app) as server, open_issuer_session() as session:
        verifier = TokenVerifier(
            session, jwks_url=str(server.make_url("/jwks")), issuer="issuer", audience="api", clock=clock
        )
        with pytest.raises(KeysUnavailable, match="compressed"):
            await verifier.refresh_keys()


def encode(part) -> str:
    text = part if isinstance(part, str) else json.dumps(part)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


async def test_odd_token_is_invalid_and_nothing_else(verifier, subtests):
    await verifier.refresh_keys()
    head = {"alg": "ES256", "kid": "first"}
    claims = {"iss": "issuer", "aud": "api", "sub": "s", "tenant_id": "acme", "exp": time.time() + 60}
    odd_claims: tuple[dict[str, object], ...] = (
        {"exp": 1e400},
        {"exp": "soon"},
        {"exp": None},
        {"nbf": 1e400},
        {"iat": []},
        {"sub": 1},
        {"aud": {}},
        {"iss": ["issuer"]},
        {"tenant_id": {}},
        {"tenant_id": "a/../b"},
    )
    signed = [claims | changes for changes in odd_claims]
    tokens = [jwt.api_jws.encode(json.dumps(odd).encode(), EC_KEY, "ES256", head) for odd in signed]
    tokens += [
        "",
        ".",
        "..",
        "a.b.c",
        f"{encode(head | {'alg': 'none'})}.{encode(claims)}.",
        f"{encode(head | {'alg': 5})}.{encode(claims)}.AA",
        f"{encode(head | {'kid': []})}.{encode(claims)}.AA",
        f"{encode(head | {'crit': ['b64'], 'b64': False})}.{encode(claims)}.AA",
        f"{encode('[' * 5_000)}.{encode(claims)}.AA",
        f"{encode(head)}.{encode('[' * 5_000)}.AA",
        f"{encode('[]')}.{encode(claims)}.AA",
        f"{encode(head)}.{encode(claims)}.",
    ]
    for token in tokens:
        with subtests.test(token[:60]), pytest.raises(TokenInvalid):
            await verifier.verify(token)
