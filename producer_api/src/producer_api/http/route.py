"""The route table: what the router, the OpenAPI document and the docs are all made from."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

ExpectHandler = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass(frozen=True)
class Route:
    """One endpoint: what it takes, what it answers and which errors it may meet."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    """One sentence for the docs."""
    answers: Mapping[int, type[BaseModel] | str | None] = field(default_factory=dict)
    """By status: the model of a JSON body, the media type of another body, or None for no body."""
    query: type[BaseModel] | None = None
    """The query parameters; the model refuses those it does not know."""
    body: type[BaseModel] | None = None
    """The JSON body."""
    errors: tuple[type[Exception], ...] = ()
    """What the handler itself may raise, besides what any request may meet. Each is in `PROBLEMS`."""
    public: bool = False
    """Whether it is open to everyone, without a token."""
    expect_handler: ExpectHandler | None = None
    """What answers `Expect: 100-continue`; None answers at once."""

    @property
    def definition(self) -> web.RouteDef:
        """The route as aiohttp's router takes it."""
        return web.route(self.method, self.path, self.handler, expect_handler=self.expect_handler)
