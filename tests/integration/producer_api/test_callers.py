"""Authentication, what a tenant may see, and which browser pages may call."""

import base64
import json
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ORIGIN = {"Origin": "https://app.example.com"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_bad_token_is_refused(api, issuer, subtests):
    stranger = ec.generate_private_key(ec.SECP256R1())
    claims = jwt.decode(issuer.mint("acme"), options={"verify_signature": False})
    refused = {
        "expired": (issuer.mint("acme", expires_in=-60), "token_expired"),
        "another audience": (issuer.mint("acme", aud="another"), "token_invalid"),
        "another issuer": (issuer.mint("acme", iss="https://another"), "token_invalid"),
        "no tenant": (issuer.mint(None), "token_invalid"),
        "a tenant that is a path": (issuer.mint("../acme"), "token_invalid"),
        "a tenant that is a number": (issuer.mint(7), "token_invalid"),
        "no subject": (issuer.mint("acme", sub=7), "token_invalid"),
        "not a token": ("abc", "token_invalid"),
        "unsigned": (jwt.encode(claims, "", algorithm="none", headers={"kid": "local-1"}), "token_invalid"),
        "signed with a shared secret": (
            jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"kid": "local-1"}),
            "token_invalid",
        ),
        "a stranger's signature": (
            jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "local-1"}),
            "token_invalid",
        ),
        "a stranger's key": (
            jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "stranger"}),
            "token_invalid",
        ),
        "no key named": (jwt.encode(claims, stranger, algorithm="ES256"), "token_invalid"),
        "another algorithm": (
            jwt.encode(
                claims,
                rsa.generate_private_key(public_exponent=65537, key_size=2048),
                algorithm="PS256",
                headers={"kid": "local-1"},
            ),
            "token_invalid",
        ),
    }
    for name, (token, code) in refused.items():
        with subtests.test(name):
            async with api.http.get("/v1/models", headers=bearer(token) | ORIGIN) as response:
                problem = await response.json(content_type=None)
                assert (response.status, problem["code"]) == (401, code)
                assert response.headers["WWW-Authenticate"].startswith('Bearer realm="retainwise", error=')
                # A page can read the error: the CORS middleware is the outermost.
                assert response.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
                assert token not in json.dumps(problem)
    for header in ("", "Basic YTpi", "Bearer"):
        with subtests.test(header):
            async with api.http.get("/v1/models", headers={"Authorization": header}) as response:
                assert response.status == 401
                assert (await response.json(content_type=None))["code"] == "token_missing"
                assert response.headers["WWW-Authenticate"] == 'Bearer realm="retainwise"'


def odd_token(header: object, claims: object = None, signature: str = "c2ln") -> str:
    """A token that a JWT library would not write: each part is JSON, or text that should be JSON."""

    def segment(value: object) -> str:
        text = value if isinstance(value, str) else json.dumps(value)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    return f"{segment(header)}.{segment({'sub': 's'} if claims is None else claims)}.{signature}"


KNOWN = {"alg": "ES256", "kid": "local-1"}


@pytest.mark.parametrize(
    "token",
    [
        "abc",
        ".",
        "..",
        "." * 4_000,
        odd_token(KNOWN, signature=""),
        odd_token(KNOWN, signature="c2ln" * 1_000),
        odd_token(KNOWN, signature="=" * 100),
        odd_token(KNOWN | {"alg": "none"}, signature=""),
        odd_token(KNOWN | {"alg": "NONE"}, signature=""),
        odd_token(KNOWN | {"alg": "HS256"}),
        odd_token(KNOWN | {"alg": "RS256"}),
        odd_token(KNOWN | {"alg": ["ES256"]}),
        odd_token(KNOWN | {"alg": None}),
        odd_token({"kid": "local-1"}),
        odd_token(KNOWN | {"crit": ["b64"], "b64": False}),
        odd_token(KNOWN | {"b64": False}),
        odd_token(KNOWN | {"kid": {"a": []}}),
        odd_token(KNOWN | {"kid": 7}),
        odd_token([]),
        odd_token("null"),
        odd_token("7"),
        odd_token('"text"'),
        odd_token("not JSON"),
        odd_token("[" * 3_000),
        odd_token('{"alg":"ES256","kid":"local-1","n":' + "9" * 4_000 + "}"),
        odd_token(KNOWN, "x" * 3_000),
        odd_token(KNOWN, []),
        odd_token(KNOWN, "[" * 3_000),
        odd_token(KNOWN, {"exp": "Infinity"}),
        odd_token(KNOWN, '{"exp": 1e999}'),
        odd_token(KNOWN, {"exp": 0}),
        odd_token(KNOWN, {"tenant_id": "acme", "exp": 4_000_000_000}),
    ],
    ids=lambda token: token[:24],
)
async def test_odd_token_is_answered_like_a_bad_signature(api, issuer, token):
    signed, _, _ = issuer.mint("acme").rpartition(".")
    answers = []
    for bad in (f"{signed}.c2ln", token):
        async with api.http.get("/v1/models", headers=bearer(bad)) as response:
            problem = await response.json(content_type=None)
            assert response.status == 401
            assert problem.pop("request_id")
            answers.append((problem, response.headers["WWW-Authenticate"]))
    assert answers[1] == answers[0]


async def test_prediction_of_another_tenant_looks_like_an_unknown_one(api, issuer, customers):
    status, prediction = await api.post(customers)
    assert status == 202
    answers = []
    for prediction_id in (prediction["prediction_id"], str(uuid.uuid4()), "no-id-at-all", "%ff%00"):
        for path in (f"/v1/predictions/{prediction_id}", f"/v1/predictions/{prediction_id}/result"):
            async with api.http.get(path, headers=bearer(issuer.mint("globex"))) as response:
                problem = await response.json(content_type=None)
                assert (response.status, problem["code"]) == (404, "prediction_not_found")
                assert "X-Request-Id" in response.headers
                named = {"X-Request-ID", "Content-Length", "Date", "RateLimit"}
                headers = [header for header in response.headers.items() if header[0] not in named]
            del problem["instance"], problem["request_id"]
            answers.append((problem, headers))
    for answer in answers:
        assert answer == answers[0]


async def test_allowed_page_can_call_and_read(api):
    preflight = ORIGIN | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    async with api.http.options("/v1/predictions", headers=preflight) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert response.headers["Server"] == "retainwise"
    async with api.http.options(
        "/v1/predictions", headers=preflight | {"Origin": "https://evil.example"}
    ) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Vary"] == "Origin"
    for path in ("/v1/nothing", "/v1/models"):
        async with api.http.get(path, headers=ORIGIN) as response:
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
            assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"]


async def test_models_are_listed_from_their_cards(api):
    status, answer = await api.get("/v1/models")
    assert status == 200
    (model,) = answer["models"]
    assert model["model"] == "telco-churn@1.0.0"
    assert model["is_default"]
    required = [feature["name"] for feature in model["features"] if feature["required"]]
    assert required == ["tenure", "Contract", "InternetService"]
