"""Reads the key set of a token issuer (RFC 7517). Only public keys for the accepted algorithms are used."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS = ("RS256", "ES256")
"""The accepted signature algorithms. The token's own `alg` is not trusted (RFC 8725, 3.1)."""

MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
"""To verify with a larger key takes milliseconds for each request."""

MAX_RSA_EXPONENT = 1 << 32
MAX_KEYS = 100

_PUBLIC_MEMBERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "RSA": ("RS256", ("n", "e")),
    "EC": ("ES256", ("crv", "x", "y")),
}
"""The algorithm of each key type and the members that its public key is made of."""

_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class KeysUnavailable(Exception):
    """The issuer's keys cannot be fetched or read; the text says why."""


class KeyRefused(ValueError):
    """A key is not used; the text says why and quotes nothing of it."""


def read_keys(document: bytes) -> Mapping[str, jwt.PyJWK]:
    """Return the signing keys of a JSON Web Key Set by id. Keys that cannot be used are logged and left out.

    Raises:
        KeysUnavailable: it is not a key set.
    """
    try:
        entries = orjson.loads(document)["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise KeysUnavailable("it is not a JSON Web Key Set") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeysUnavailable("it is not a JSON Web Key Set")
    if len(entries) > MAX_KEYS:
        raise KeysUnavailable(f"it has more than {MAX_KEYS} keys")
    keys = {}
    times = Counter(entry["kid"] for entry in entries if isinstance(entry.get("kid"), str))
    for number, entry in enumerate(entries, start=1):
        try:
            key_id, key = _read_key(entry)
            if times[key_id] > 1:
                raise KeyRefused("another key has the same kid")
        except KeyRefused as error:
            log.warning("jwks_key_refused", number=number, reason=str(error))
        else:
            keys[key_id] = key
    return keys


def _read_key(entry: Mapping[str, Any]) -> tuple[str, jwt.PyJWK]:
    if not isinstance(key_id := entry.get("kid"), str) or not key_id:
        raise KeyRefused("it has no kid")
    if not _SECRET_MEMBERS.isdisjoint(entry):
        raise KeyRefused("it is a private or symmetric key: the issuer must withdraw it")
    kind = entry.get("kty")
    if not isinstance(kind, str) or kind not in _PUBLIC_MEMBERS:
        raise KeyRefused("its kty is neither RSA nor EC")
    algorithm, members = _PUBLIC_MEMBERS[kind]
    if entry.get("alg", algorithm) != algorithm:
        raise KeyRefused("its alg is not accepted")
    if entry.get("use", "sig") != "sig" or not _verifies(entry.get("key_ops", ["verify"])):
        raise KeyRefused("it is not for signatures")
    public = {name: entry.get(name) for name in members}
    if not all(isinstance(value, str) for value in public.values()) or public.get("crv", "P-256") != "P-256":
        raise KeyRefused("it is incomplete or of another curve")
    try:
        key = jwt.PyJWK({"kty": kind, **public}, algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise KeyRefused("it cannot be read") from error
    if isinstance(key.key, RSAPublicKey):
        _check_size(key.key)
    return key_id, key


def _verifies(operations: object) -> bool:
    return isinstance(operations, list) and "verify" in operations


def _check_size(key: RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise KeyRefused(f"it has not {MIN_RSA_BITS:,} to {MAX_RSA_BITS:,} bits")
    if key.public_numbers().e > MAX_RSA_EXPONENT:
        raise KeyRefused("its exponent is too large")
