"""The route table: what the router, the OpenAPI document and the docs are all made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from producer_api.http.body import defer_continue

Content = type[BaseModel] | str
"""A JSON document as its model, or something else as its media type."""


@dataclass(frozen=True)
class Route:
    """One endpoint: what it takes, what it answers and which errors it may meet."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    """One sentence for the docs."""
    answers: Mapping[int, Content | tuple[Content, ...] | None] = field(default_factory=dict)
    """By status: the content, several kinds of it to choose by `Accept`, or None for no body."""
    query: type[BaseModel] | None = None
    """The query parameters; the model refuses those it does not know."""
    body: type[BaseModel] | None = None
    """The JSON body."""
    takes_file: bool = False
    """Whether the body may also be a CSV file, as it is or in a form."""
    headers: tuple[str, ...] = ()
    """Headers of its own that it reads, such as `Prefer`; the others follow from the rest of the route."""
    errors: tuple[type[Exception], ...] = ()
    """What the handler itself may raise, besides what any request may meet. Each is in `PROBLEMS`."""
    public: bool = False
    """Whether it is open to everyone, without a token."""
    documented: bool = True
    """Whether it is in the OpenAPI document: not what only a browser reads."""

    @property
    def definition(self) -> web.RouteDef:
        """The route as aiohttp's router takes it."""
        return web.route(self.method, self.path, self.handler, expect_handler=defer_continue)
