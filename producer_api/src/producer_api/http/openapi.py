"""The OpenAPI 3.1 document, made from the route table by `make openapi`.

The document is checked in beside this module and served as it is. Nothing of this module runs in the API.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeGuard

import orjson
from openapi_pydantic import (
    Components,
    Header,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
    Tag,
)
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from producer_api.database import DatabaseBusy, DatabaseUnavailable
from producer_api.http.errors import (
    BodyCutOff,
    BodyStalled,
    BodyTooLarge,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidRequest,
    JsonExpected,
    MalformedJson,
    PreconditionFailed,
    RateLimited,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
)
from producer_api.http.problems import HTTP_PROBLEMS, INTERNAL_ERROR, PROBLEMS, Problem, ProblemDocument
from producer_api.http.route import Content, Route

DOCUMENT = Path(__file__).with_name("openapi.json")
VERSION = "1.0.0"

PROBLEM_MEDIA_TYPE = "application/problem+json"
FILE_MEDIA_TYPES = ("text/csv", "application/octet-stream")

Mode = Literal["validation", "serialization"]

_HEADERS_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_ANY = (DatabaseBusy, DatabaseUnavailable)
_AUTHENTICATED = (TokenMissing, TokenInvalid, TokenExpired, RateLimited)
_WITH_BODY = (MalformedJson, JsonExpected, BodyTooLarge, BodyStalled, BodyCutOff)
_WITH_KEY = (IdempotencyKeyInUse, IdempotencyKeyReused)

TAGS = {
    "uploads": "Customer files: send one, or send it straight to the storage, and see how it will be read.",
    "predictions": "Predictions: queue, list, watch, cancel, retry and delete them.",
    "results": "Scored customers: read them row by row with the whole explanation, or export them.",
    "mappings": "Saved mappings of a model's features to the headers of your files.",
    "models": "The models, and the terms that their scores are made of.",
    "failures": "Why predictions have failed.",
    "account": "Whose token this is, and the limits that hold for it.",
    "service": "Whether the service works, and this document.",
}

_RESULTS = re.compile(r"/v1/predictions/\{prediction_id\}/(rows|export|rejected|result|manifest)")

PATH_PARAMETERS: Mapping[str, Schema] = {
    "prediction_id": Schema(type="string", schema_format="uuid"),
    "upload_id": Schema(type="string", schema_format="uuid"),
    "row": Schema(type="integer", minimum=1),
    "name": Schema(type="string", minLength=1, maxLength=100),
    "ref": Schema(type="string", pattern="^[^/]+$", examples=["telco-churn@1.0.0"]),
}

REQUEST_HEADERS: Mapping[str, tuple[str, Schema]] = {
    "Idempotency-Key": (
        "Sent again with the same key within 24 hours, a request is done once and gets the first answer "
        "again, with `Idempotency-Replayed: true`.",
        Schema(type="string", minLength=1, maxLength=255, pattern="^[\\x21-\\x7e]+$"),
    ),
    "If-Match": (
        "The ETag of what you have read: nothing is changed if it is different now.",
        Schema(type="string"),
    ),
    "If-None-Match": ("ETags that you have: 304 if one of them is current.", Schema(type="string")),
    "Prefer": (
        "`wait=30`: wait for the end, or for a change, for so many seconds.",
        Schema(type="string", examples=["wait=30"]),
    ),
    "Last-Event-ID": (
        "The id of the last event that you have: the stream goes on after it.",
        Schema(type="string"),
    ),
}

RESPONSE_HEADERS: Mapping[str, Header] = {
    name: Header.model_validate({"description": description, "schema": {"type": kind}})
    for name, kind, description in (
        ("X-Request-Id", "string", "Names the request in the logs: quote it to support."),
        ("RateLimit-Policy", "string", "How many requests you may send in which time (seconds)."),
        ("RateLimit", "string", "How many requests are left, and in how many seconds all are again."),
        ("Retry-After", "integer", "How long to wait, in seconds."),
        ("Location", "string", "The path of what was created."),
        ("ETag", "string", "Names this representation."),
        ("Link", "string", 'The next page: `rel="next"`.'),
        ("Idempotency-Replayed", "string", "`true`: this is the first answer again."),
    )
}


def build_document(routes: Sequence[Route]) -> bytes:
    """Return the document as JSON, the same for the same routes."""
    documented = [route for route in routes if route.documented]
    schemas = _Schemas(documented)
    paths: dict[str, dict[str, Operation]] = defaultdict(dict)
    for route in documented:
        paths[route.path][route.method.lower()] = _operation(route, schemas)
    document = OpenAPI(
        openapi="3.1.1",
        info=Info(
            title="RetainWise API",
            version=VERSION,
            summary="Which customers are about to leave, and why.",
            description=_DESCRIPTION,
        ),
        tags=[Tag(name=name, description=description) for name, description in TAGS.items()],
        paths={path: PathItem(**operations) for path, operations in paths.items()},
        components=Components(
            schemas=schemas.components,
            headers=dict(RESPONSE_HEADERS),
            securitySchemes={
                "token": SecurityScheme(type="http", scheme="bearer", bearerFormat="JWT"),
            },
        ),
        security=[{"token": []}],
    )
    content = document.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_DESCRIPTION = """\
Send a customer file, see how it will be read, queue its prediction, watch it, read the scored customers.

* **Errors** are `application/problem+json` (RFC 9457) with a stable `code`; their `type` is a page of these \
docs. Invalid fields are named in `errors`.
* **Lists** have a `cursor` for the next page, which is also in the header `Link`.
* **Retries** are safe with an `Idempotency-Key`. After 429 and 503, wait for `Retry-After`.
* What belongs to another tenant is 404, like what does not exist.
"""


class _Schemas:
    """The schemas of all models, and the parameters that the models of queries become."""

    def __init__(self, routes: Iterable[Route]) -> None:
        models: dict[tuple[type[BaseModel], Mode], None] = {(ProblemDocument, "serialization"): None}
        self._queries: dict[type[BaseModel], None] = {}
        for route in routes:
            if _has_fields(route.query):
                models[route.query, "validation"] = None
                self._queries[route.query] = None
            if _has_fields(route.body):
                models[route.body, "validation"] = None
            for content in route.answers.values():
                for kind in _kinds(content):
                    if not isinstance(kind, str):
                        models[kind, "serialization"] = None
        self._references, definitions = models_json_schema(
            list(models), ref_template="#/components/schemas/{model}"
        )
        self._definitions = definitions.get("$defs", {})

    @property
    def components(self) -> dict[str, Schema | Reference]:
        """All schemas but those of queries, by name."""
        queries = {self._name(model, "validation") for model in self._queries}
        return {
            name: Schema.model_validate(schema)
            for name, schema in sorted(self._definitions.items())
            if name not in queries
        }

    def reference(self, model: type[BaseModel], mode: Mode) -> Reference:
        """Return the reference to a model's schema."""
        return Reference.model_validate(self._references[model, mode])

    def parameters(self, query: type[BaseModel]) -> list[Parameter | Reference]:
        """Return the fields of a query's model as parameters."""
        schema = self._definitions[self._name(query, "validation")]
        return [
            _parameter(
                "query",
                name,
                Schema.model_validate(_without_null(field)),
                required=name in schema.get("required", ()),
                description=field.get("description"),
            )
            for name, field in schema.get("properties", {}).items()
        ]

    def _name(self, model: type[BaseModel], mode: Mode) -> str:
        return str(self._references[model, mode]["$ref"]).rpartition("/")[2]


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: it is absent, never null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return field
    rest = {name: value for name, value in field.items() if name not in {"anyOf", "default", "description"}}
    return {**kinds[0], **rest}


def _operation(route: Route, schemas: _Schemas) -> Operation:
    return Operation(
        operationId=route.handler.__name__,
        tags=[_tag(route.path)],
        summary=route.summary,
        parameters=[
            *(
                _parameter("path", name, PATH_PARAMETERS[name], required=True)
                for name in re.findall(r"\{(\w+)\}", route.path)
            ),
            *(schemas.parameters(route.query) if _has_fields(route.query) else ()),
            *(
                _parameter("header", name, schema, description=text)
                for name, (text, schema) in REQUEST_HEADERS.items()
                if name in _headers(route)
            ),
        ]
        or None,
        requestBody=_request_body(route, schemas),
        responses={**_answers(route, schemas), **_problems(route, schemas)},
        security=[] if route.public else None,
    )


def _parameter(
    place: str, name: str, schema: Schema, *, required: bool = False, description: str | None = None
) -> Parameter:
    described = {"description": description} if description else {}
    return Parameter.model_validate(
        {"in": place, "name": name, "required": required, "schema": schema, **described}
    )


def _tag(path: str) -> str:
    if _RESULTS.match(path):
        return "results"
    noun = path.removeprefix("/v1/").split("/")[0]
    return {"me": "account"}.get(noun, noun if noun in TAGS else "service")


def _headers(route: Route) -> set[str]:
    named = set(route.headers)
    if route.method == "POST" and not route.public:
        named.add("Idempotency-Key")
    if 304 in route.answers:
        named.add("If-None-Match")
    if PreconditionFailed in route.errors:
        named.add("If-Match")
    return named


def _request_body(route: Route, schemas: _Schemas) -> RequestBody | None:
    content: dict[str, MediaType] = {}
    if _has_fields(route.body):
        content["application/json"] = MediaType(media_type_schema=schemas.reference(route.body, "validation"))
    if route.takes_file:
        file = Schema(type="string", schema_format="binary")
        content |= {name: MediaType(media_type_schema=file) for name in FILE_MEDIA_TYPES}
        form = Schema(
            type="object",
            required=["file"],
            properties={"file": file},
            additionalProperties=Schema(type="string", description="A parameter, as in the query."),
        )
        content["multipart/form-data"] = MediaType(media_type_schema=form)
    if not content:
        return None
    return RequestBody(content=content, required=_is_required(route))


def _has_fields(model: type[BaseModel] | None) -> TypeGuard[type[BaseModel]]:
    """Return whether a model takes anything: others only refuse what is sent."""
    return model is not None and bool(model.model_fields)


def _is_required(route: Route) -> bool:
    if route.body is None:
        return True
    return route.takes_file or any(field.is_required() for field in route.body.model_fields.values())


def _kinds(content: Content | tuple[Content, ...] | None) -> tuple[Content, ...]:
    if content is None:
        return ()
    return content if isinstance(content, tuple) else (content,)


def _answers(route: Route, schemas: _Schemas) -> dict[str, Response]:
    answers = {}
    for status, content in route.answers.items():
        media = {}
        for kind in _kinds(content):
            if isinstance(kind, str):
                media[kind] = MediaType(media_type_schema=Schema(type="string"))
            else:
                reference = schemas.reference(kind, "serialization")
                media["application/json"] = MediaType(media_type_schema=reference)
        answers[str(status)] = Response(
            description=HTTPStatus(status).phrase,
            headers=_response_headers(route, status),
            content=media or None,
        )
    return answers


def _response_headers(route: Route, status: int) -> dict[str, Header | Reference]:
    named = ["X-Request-Id"]
    if not route.public:
        named += ["RateLimit-Policy", "RateLimit"]
    if status in {201, 202}:
        named.append("Location")
    if status in {202, 429, 503}:
        named.append("Retry-After")
    if status in {200, 304} and 304 in route.answers:
        named.append("ETag")
    if status < 300 and route.method == "POST" and not route.public:
        named.append("Idempotency-Replayed")
    if status == 200 and route.query is not None and "cursor" in route.query.model_fields:
        named.append("Link")
    return {name: Reference.model_validate({"$ref": f"#/components/headers/{name}"}) for name in named}


def _problems(route: Route, schemas: _Schemas) -> dict[str, Response]:
    """Return the error answers by status, with the codes of each."""
    kinds: list[type[Exception]] = [*route.errors]
    if not route.public:
        kinds += [*_ANY, *_AUTHENTICATED]
    if route.query is not None or route.body is not None or _headers(route):
        kinds.append(InvalidRequest)
    if route.body is not None:
        kinds += _WITH_BODY
    if route.method == "POST" and not route.public:
        kinds += _WITH_KEY
    problems: dict[int, dict[str, Problem]] = defaultdict(dict)
    always = () if route.public else (INTERNAL_ERROR, HTTP_PROBLEMS[_HEADERS_TOO_LARGE])
    for problem in [*(PROBLEMS[kind] for kind in kinds), *always]:
        problems[problem.status][problem.code] = problem
    return {
        str(status): Response(
            description="\n".join(
                f"* [`{problem.code}`](/docs/problems/{problem.code}): {problem.title}"
                for problem in sorted(listed.values(), key=lambda problem: problem.code)
            ),
            headers=_response_headers(route, status),
            content={
                PROBLEM_MEDIA_TYPE: MediaType(
                    media_type_schema=schemas.reference(ProblemDocument, "serialization")
                )
            },
        )
        for status, listed in sorted(problems.items())
    }


if __name__ == "__main__":
    from producer_api.app import ROUTES  # it imports the handlers that serve the document

    DOCUMENT.write_bytes(build_document(ROUTES))
