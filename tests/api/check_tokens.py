"""Tokens as RFC 8725 warns of them: each is refused, and all with one and the same answer."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from jwt.algorithms import ECAlgorithm

from deploy.local.issuer import KEY_ID, Issuer
from tests.api.stack import ApiStack

PATH = "/v1/models"


def encode(content: bytes) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def dump(content: Any) -> bytes:
    """Return JSON; text stays as it is."""
    return content.encode() if isinstance(content, str) else json.dumps(content).encode()


class Forge:
    """Makes tokens, good and bad, with the issuer's key and with others."""

    def __init__(self, issuer: Issuer) -> None:
        self.key = issuer._key
        self.header = {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
        now = int(time.time())
        self.claims = {
            "iss": issuer.issuer,
            "aud": issuer.audience,
            "sub": "developer@acme",
            "tenant_id": "acme",
            "iat": now,
            "exp": now + 600,
        }

    def sign(self, header: Any, claims: Any, key: Any = None, digest: Any = None) -> str:
        """Return a token that is signed with an EC key, the issuer's unless another is given."""
        signed = f"{encode(dump(header))}.{encode(dump(claims))}"
        key = key or self.key
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(digest or SHA256())))
        size = (key.curve.key_size + 7) // 8
        return f"{signed}.{encode(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"

    def hmac(self, header: Any, secret: bytes) -> str:
        """Return a token that is signed with a shared secret."""
        signed = f"{encode(dump(header))}.{encode(dump(self.claims))}"
        return f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def good(self) -> Iterator[tuple[str, str]]:
        """Yield tokens that must be accepted, so that the others are refused for what they say."""
        yield "plain", self.sign(self.header, self.claims)
        yield (
            "audience in a list",
            self.sign(self.header, self.claims | {"aud": ["other", self.claims["aud"]]}),
        )
        yield "typ at+jwt", self.sign(self.header | {"typ": "at+JWT"}, self.claims)
        yield "no typ", self.sign({"alg": "ES256", "kid": KEY_ID}, self.claims)
        yield "with jku", self.sign(self.header | {"jku": "http://127.0.0.1:1/keys"}, self.claims)
        yield "fractions of seconds", self.sign(self.header, self.claims | {"exp": time.time() + 600.5})

    def bad(self) -> Iterator[tuple[str, str]]:
        """Yield tokens that must be refused."""
        yield from self._bad_algorithms()
        yield from self._bad_keys()
        yield from self._bad_headers()
        yield from self._bad_claims()
        yield from self._bad_forms()

    def _bad_algorithms(self) -> Iterator[tuple[str, str]]:
        good = self.sign(self.header, self.claims)
        signed, _, signature = good.rpartition(".")
        payload = signed.split(".")[1]
        for alg in ("none", "None", "NONE", "nOnE", ""):
            header = encode(dump(self.header | {"alg": alg}))
            yield f"alg {alg!r} without a signature", f"{header}.{payload}."
            yield f"alg {alg!r} with a signature", f"{header}.{payload}.{signature}"
        public = self.key.public_key()
        for form, secret in {
            "PEM": public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "DER": public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "JWK": ECAlgorithm.to_jwk(public).encode(),
            "empty": b"",
        }.items():
            yield f"HS256 with the public key as {form}", self.hmac(self.header | {"alg": "HS256"}, secret)
        others: tuple[Any, ...] = (
            "ES384",
            "ES512",
            "ES256K",
            "RS256",
            "PS256",
            "EdDSA",
            "HS512",
            "XX256",
            7,
            None,
            [],
        )
        for other in others:
            yield f"alg {other!r}", self.sign(self.header | {"alg": other}, self.claims)
        yield "another digest", self.sign(self.header, self.claims, digest=SHA384())
        yield "no alg", self.sign({"typ": "JWT", "kid": KEY_ID}, self.claims)
        for name, raw in {
            "of zeros": bytes(64),
            "of ones": b"\xff" * 64,
            "cut off": base64.urlsafe_b64decode(signature + "==")[:63],
            "in DER": self.key.sign(signed.encode(), ec.ECDSA(SHA256())),
            "empty": b"",
        }.items():
            yield f"a signature {name}", f"{signed}.{encode(raw)}"

    def _bad_keys(self) -> Iterator[tuple[str, str]]:
        stranger = ec.generate_private_key(ec.SECP256R1())
        jwk = json.loads(ECAlgorithm.to_jwk(stranger.public_key()))
        yield "a stranger's signature", self.sign(self.header, self.claims, stranger)
        yield "a stranger's jwk in it", self.sign(self.header | {"jwk": jwk}, self.claims, stranger)
        yield (
            "a stranger's jku",
            self.sign(self.header | {"jku": "http://127.0.0.1:1/keys"}, self.claims, stranger),
        )
        yield (
            "a stranger's x5u",
            self.sign(self.header | {"x5u": "http://127.0.0.1:1/cert"}, self.claims, stranger),
        )
        yield "a stranger's x5c", self.sign(self.header | {"x5c": ["MIIB"]}, self.claims, stranger)
        yield "another curve", self.sign(self.header, self.claims, ec.generate_private_key(ec.SECP384R1()))
        for kid in (
            "unknown",
            "",
            "../../../../dev/null",
            "/dev/null",
            "' union select 'key",
            "local-1'; drop table uploads; --",
            "local-1\u0000",
            "LOCAL-1",
            "http://127.0.0.1:1/keys",
            "|cat /etc/passwd",
            7,
            None,
            True,
            ["local-1"],
            {"kid": "local-1"},
            "x" * 2_000,
        ):
            yield f"kid {str(kid)[:30]!r}", self.sign(self.header | {"kid": kid}, self.claims)
        yield "no kid", self.sign({"alg": "ES256", "typ": "JWT"}, self.claims)

    def _bad_headers(self) -> Iterator[tuple[str, str]]:
        for name, value in (
            ("crit", ["exp"]),
            ("crit", ["b64"]),
            ("crit", []),
            ("crit", "exp"),
            ("b64", False),
            ("zip", "DEF"),
            ("cty", "JWT"),
            ("typ", "dpop+jwt"),
            ("typ", "logout+jwt"),
            ("typ", "JWE"),
            ("typ", 7),
            ("typ", None),
            ("typ", ["JWT"]),
        ):
            yield f"{name} {value!r}", self.sign(self.header | {name: value}, self.claims)
        twice = json.dumps(self.header)[:-1] + ', "alg": "ES256"}'
        yield "alg twice", self.sign(twice, self.claims)
        yield "kid twice", self.sign(json.dumps(self.header)[:-1] + f', "kid": "{KEY_ID}"}}', self.claims)

    def _bad_claims(self) -> Iterator[tuple[str, str]]:
        now = int(time.time())
        for name, values in {
            "exp": ("4000000000", True, None, [], {}, "soon", -1e400),
            "nbf": (now + 3_600, "0", True, None, [], "never"),
            "iat": (now + 3_600, "0", True, None, [], "never"),
            "aud": ("other", ["other"], [], "", None, 7, {"aud": "x"}, [7], f"{self.claims['aud']} "),
            "iss": ("http://other", "", None, 7, [self.claims["iss"]], f"{self.claims['iss']}/"),
            "sub": (7, None, ["developer"]),
            "tenant_id": ("", None, 7, ["acme"], "../acme", "a" * 200, "a b", "acme\u0000", {"a": 1}),
        }.items():
            for value in values:
                yield f"{name} {str(value)[:30]!r}", self.sign(self.header, self.claims | {name: value})
            without = {key: claim for key, claim in self.claims.items() if key != name}
            if name not in {"nbf", "iat"}:
                yield f"no {name}", self.sign(self.header, without)
        text = json.dumps(self.claims)
        yield "tenant_id twice", self.sign(self.header, text[:-1] + ', "tenant_id": "globex"}')
        yield "exp twice", self.sign(self.header, text[:-1] + ', "exp": 4000000000}')
        yield "exp NaN", self.sign(self.header, self.claims | {"exp": float("nan")})
        yield "exp infinite", self.sign(self.header, text.replace('"exp": ', '"exp": 1e999, "x": '))

    def _bad_forms(self) -> Iterator[tuple[str, str]]:
        good = self.sign(self.header, self.claims)
        header, payload, signature = good.split(".")
        yield "two parts", f"{header}.{payload}"
        yield "five parts", f"{good}.a.b"
        yield "another payload", f"{header}.{encode(dump(self.claims | {'tenant_id': 'globex'}))}.{signature}"
        yield "another header", f"{encode(dump(self.header | {'x': 1}))}.{payload}.{signature}"
        yield "empty parts", ".."
        yield "not base64", f"{header}.+/+.{signature}"
        for name, content in {
            "a list": "[]",
            "a number": "7",
            "null": "null",
            "no JSON": "{",
            "empty": "",
            "deep": "[" * 3_000,
            "NUL": "\x00",
        }.items():
            yield f"claims: {name}", self.sign(self.header, content)
            yield f"header: {name}", self.sign(content, self.claims)
        yield "huge claims", self.sign(self.header, self.claims | {"x": "y" * 4_000})
        yield "huge header", self.sign(self.header | {"x": "y" * 4_000}, self.claims)
        yield "a long signature", f"{good}{'A' * 4_000}"
        yield "a doubled token", f"{good}{good}"
        small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        pem = small.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        yield "a private key", encode(pem)[:2_000]


async def ask(stack: ApiStack, authorization: str) -> tuple[int, dict[str, Any], str | None]:
    """Send a request with this Authorization header."""
    headers = {"Authorization": authorization}
    async with stack.http.get(f"{stack.url}{PATH}", headers=headers) as response:
        content = await response.json(content_type=None)
        content.pop("request_id", None)
        return response.status, content, response.headers.get("WWW-Authenticate")


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Send every token and compare the answers."""
    forge = Forge(stack.issuer)
    for name, token in forge.good():
        assert (await ask(stack, f"Bearer {token}"))[0] == 200, f"{name} is refused"
    expected = await ask(stack, "Bearer a.b.c")
    assert expected[0] == 401
    assert expected[1]["code"] == "token_invalid"
    vectors, accepted = 0, []
    for name, token in forge.bad():
        vectors += 1
        try:
            answer = await ask(stack, f"Bearer {token}")
        except aiohttp.ClientError as error:
            raise AssertionError(f"{name}: {error!r}") from error
        if answer != expected:
            accepted.append(f"{name}: {answer}")
    for line in accepted:
        print(f"tokens: {line}")
    return {"jwt_vectors": vectors, "jwt_accepted": len(accepted)}
