"""Requests that an attacker would send, as raw bytes."""

import base64
import gzip
import json
from collections.abc import Callable, Mapping

from tests.faults.files import SMALL

HOST = "Host: api\r\n"
END = "Connection: close\r\n\r\n"

Build = Callable[[str], bytes]
"""Makes the bytes of a request, with the bearer token of the attacker."""


def _post(
    token: str, headers: str, body: bytes = SMALL, *, query: str = "", length: str | None = None
) -> bytes:
    size = length if length is not None else f"Content-Length: {len(body)}\r\n"
    head = (
        f"POST /v1/predictions{query} HTTP/1.1\r\n{HOST}Authorization: Bearer {token}\r\n{headers}{size}{END}"
    )
    return head.encode("latin-1", "replace") + body


def _csv(token: str, *, query: str = "", headers: str = "") -> bytes:
    return _post(token, f"Content-Type: text/csv\r\n{headers}", query=query)


def _get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\n{HOST}{headers}{END}".encode("latin-1", "replace")


def _form(token: str, body: bytes, boundary: str = "b") -> bytes:
    return _post(token, f"Content-Type: multipart/form-data; boundary={boundary}\r\n", body)


def _part(disposition: str, body: bytes = b"x", more: str = "") -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode() + body + b"\r\n"


FILE_PART = _part('name="file"; filename="c.csv"', SMALL)
CLOSE = b"--b--\r\n"


def _bearer(token: str) -> bytes:
    return _csv(token)


def _segment(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _jwt(header: object, payload: object, signature: str = "c2ln") -> str:
    return f"{_segment(header)}.{_segment(payload)}.{signature}"


_CLAIMS = {"tenant_id": "acme", "sub": "x", "exp": 4_000_000_000}

REQUESTS: Mapping[str, Build] = {
    "Content-Type of 8,140 semicolons": lambda t: _post(t, f"Content-Type: text/csv{';' * 8_140}\r\n"),
    "Content-Type of 2,000 parameters": lambda t: _post(t, f"Content-Type: text/csv{'; a=b' * 1_600}\r\n"),
    "Content-Type of quotes": lambda t: _post(t, 'Content-Type: text/csv; a="' + '\\"' * 4_000 + "\r\n"),
    "Content-Type of spaces": lambda t: _post(t, f"Content-Type: text/csv;{' ' * 8_000}x\r\n"),
    "Content-Type without a value": lambda t: _post(t, "Content-Type: ;;;=;/\r\n"),
    "Content-Type with 1,500 continuations": lambda t: _post(
        t, "Content-Type: multipart/form-data" + "".join(f"; a*{n}=b" for n in range(800)) + "\r\n"
    ),
    "a boundary of 7,000 characters": lambda t: _form(t, FILE_PART, "b" * 7_000),
    "10,000 parts": lambda t: _form(t, _part('name="x"') * 10_000 + CLOSE),
    "10,000 mapping fields": lambda t: _form(t, _part('name="mapping"', b"{}") * 10_000 + FILE_PART + CLOSE),
    "10,000 headers in a part": lambda t: _form(t, _part('name="x"', more="X-A: b\r\n" * 10_000) + CLOSE),
    "a part's header of 200 KB": lambda t: _form(
        t, _part('name="x"', more=f"X-A: {'b' * 200_000}\r\n") + CLOSE
    ),
    "a file name of 7,000 quotes": lambda t: _form(
        t, _part('name="file"; filename="' + '\\"' * 3_500 + '"', SMALL) + CLOSE
    ),
    "a file name of 2,000 continuations": lambda t: _form(
        t, _part('name="file"' + "".join(f"; filename*{n}=a" for n in range(600)), SMALL) + CLOSE
    ),
    "a disposition of semicolons": lambda t: _form(t, _part('name="file"' + ";" * 7_900, SMALL) + CLOSE),
    "a form without an end": lambda t: _form(t, FILE_PART),
    "a form in a form": lambda t: _form(
        t, _part('name="file"', CLOSE, "Content-Type: multipart/mixed; boundary=c\r\n") + CLOSE
    ),
    "a field of 4 MB": lambda t: _form(t, _part('name="mapping"', b"[" * 4_000_000) + CLOSE),
    "a part that is a zip bomb": lambda t: _form(
        t, _part('name="file"', gzip.compress(b"0" * 50_000_000), "Content-Encoding: gzip\r\n") + CLOSE
    ),
    "a part in base64 of nothing": lambda t: _form(
        t, _part('name="file"', b"=" * 300_000, "Content-Transfer-Encoding: base64\r\n") + CLOSE
    ),
    "a zip bomb": lambda t: _post(
        t, "Content-Type: text/csv\r\nContent-Encoding: gzip\r\n", gzip.compress(b"a,b\n" * 20_000_000)
    ),
    "a deflate bomb, chunked": lambda t: _post(
        t,
        "Content-Type: text/csv\r\nContent-Encoding: deflate, gzip\r\nTransfer-Encoding: chunked\r\n",
        b"5\r\nabcde\r\n0\r\n\r\n",
        length="",
    ),
    "10,000 headers": lambda t: _get("/v1/models", f"Authorization: Bearer {t}\r\n" + "X-A: b\r\n" * 10_000),
    "a header of 128 KB": lambda t: _get(
        "/v1/models", f"Authorization: Bearer {t}\r\nX-A: {'b' * 131_072}\r\n"
    ),
    "a request line of 64 KB": lambda t: _get("/" + "a" * 65_536, f"Authorization: Bearer {t}\r\n"),
    "a header without a colon after a token": lambda t: _get(
        "/v1/models", f"Authorization: Bearer {t}\r\nno colon {t}\r\n"
    ),
    "a header with a control character": lambda t: _get("/v1/models", f"X-\0: Bearer {t}\r\n"),
    "a token where the method is": lambda t: f"{t} / HTTP/1.1\r\n\r\n".encode(),
    "a length and chunks": lambda t: _post(
        t, "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    ),
    "a length below zero": lambda t: _post(t, "Content-Type: text/csv\r\n", length="Content-Length: -1\r\n"),
    "a length of words": lambda t: _post(t, "Content-Type: text/csv\r\n", length=f"Content-Length: {t}\r\n"),
    "two lengths": lambda t: _post(
        t, "Content-Type: text/csv\r\n", length="Content-Length: 3\r\nContent-Length: 9\r\n"
    ),
    "a length of 5,000 digits": lambda t: _post(
        t, "Content-Type: text/csv\r\n", length=f"Content-Length: {'9' * 5_000}\r\n"
    ),
    "a chunk that is none": lambda t: _post(
        t, "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n", f"{t}\r\n".encode(), length=""
    ),
    "a chunk without an end": lambda t: _post(
        t, "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n", b"F" * 15 + b"\r\na", length=""
    ),
    "a chunk's extension of 60 KB": lambda t: _post(
        t,
        "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n",
        b"5;" + b"a" * 60_000 + b"\r\n",
        length="",
    ),
    "100,000 chunks of a byte": lambda t: _post(
        t,
        "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n",
        b"".join(b"1\r\n%c\r\n" % byte for byte in (SMALL * 20)[:100_000]) + b"0\r\n\r\n",
        length="",
    ),
    "HTTP/9.9": lambda t: f"GET / HTTP/9.9\r\nAuthorization: Bearer {t}\r\n\r\n".encode(),
    "HTTP/2": lambda t: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
    "a TLS hello": lambda t: bytes.fromhex("16030100c8010000c40303") + b"\0" * 193,
    "an upgrade": lambda t: _get("/v1/models", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "a path of dots": lambda t: _get("/v1/predictions/" + "../" * 2_000, f"Authorization: Bearer {t}\r\n"),
    "a path with a nul": lambda t: _get("/v1/predictions/%00%0d%0aX:y", f"Authorization: Bearer {t}\r\n"),
    "a path of percents": lambda t: _get("/v1/predictions/" + "%" * 7_000, f"Authorization: Bearer {t}\r\n"),
    "a tracestate of 7 KB, no token": lambda t: _get("/v1/models", f"tracestate: {'=,' * 3_500}\r\n"),
    "40 tracestates": lambda t: _get("/v1/models", f"tracestate: {'a=b,' * 250}\r\n" * 40),
    "a traceparent of 7 KB": lambda t: _csv(t, headers=f"traceparent: 00-{'0' * 7_000}-01\r\n"),
    "a baggage of 7 KB": lambda t: _csv(t, headers=f"baggage: {'a=%;' * 1_800}\r\n"),
    "an X-Request-Id of 7 KB": lambda t: _csv(t, headers=f"X-Request-Id: {'<x>' * 2_300}\r\n"),
    "an Expect of 7 KB": lambda t: _csv(t, headers=f"Expect: {'1' * 7_000}\r\n"),
    "an Origin of 7 KB": lambda t: _get("/v1/models", f"Origin: http://{'a.' * 3_500}\r\n"),
    "2,000 cookies": lambda t: _get("/v1/models", "Cookie: " + 'a="\\' * 1_600 + "\r\n"),
    "a token without an algorithm": lambda t: _bearer(_jwt({"alg": "none", "typ": "JWT"}, _CLAIMS, "")),
    "a token of an unknown key": lambda t: _bearer(_jwt({"alg": "ES256", "kid": "x" * 2_000}, _CLAIMS)),
    "a token whose key is an object": lambda t: _bearer(_jwt({"alg": "ES256", "kid": {"a": []}}, _CLAIMS)),
    "a token whose algorithm is a list": lambda t: _bearer(
        _jwt({"alg": ["ES256"], "kid": "local-1"}, _CLAIMS)
    ),
    "a token signed with the public key": lambda t: _bearer(
        _jwt({"alg": "HS256", "kid": "local-1"}, _CLAIMS)
    ),
    "a token of 7,900 characters": lambda t: _bearer(_jwt({"alg": "ES256", "kid": "local-1"}, "x" * 5_800)),
    "a token of 7,000 dots": lambda t: _bearer("." * 7_000),
    "a token of deep JSON": lambda t: _bearer(_jwt("[" * 5_000, _CLAIMS)),
    "a token with a huge number": lambda t: _bearer(
        _jwt('{"alg":"ES256","kid":' + "9" * 5_500 + "}", _CLAIMS)
    ),
    "a token without end": lambda t: _bearer(_jwt({"alg": "ES256", "kid": "local-1"}, {"exp": "Infinity"})),
    "a mapping 3,500 deep": lambda t: _csv(t, query="?mapping=" + "[" * 3_500),
    "a mapping with a huge number": lambda t: _csv(t, query='?mapping={"tenure":' + "9" * 5_000 + "}"),
    "a mapping of 500 lies": lambda t: _csv(
        t, query="?mapping={" + ",".join(f"%22f{n}%22:%22h%22" for n in range(350)) + "}"
    ),
    "reasons of 5,000 digits": lambda t: _csv(t, query="?reasons=" + "9" * 5_000),
    "a deadline of 5,000 digits": lambda t: _csv(t, query="?deadline=" + "9" * 5_000),
    "a deadline in the year 9999": lambda t: _csv(t, query="?deadline=9999-12-31T23:59:59%2B00:00"),
    "a model of 5,000 at signs": lambda t: _csv(t, query="?model=" + "@" * 5_000),
    "1,000 parameters": lambda t: _csv(t, query="?" + "a=b&" * 1_900),
    "500 requests at once": lambda t: _get("/v1/models").replace(END.encode(), b"\r\n") * 500,
}
"""Each has its own connection."""
