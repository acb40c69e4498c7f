"""Connections whose client has shut down its sending side, but still reads: the request is answered."""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler


class Connection(RequestHandler):
    """One connection; aiohttp alone would drop the request in progress when its client sends no more."""

    __slots__ = ("_content",)

    _content: StreamReader | None
    """The body of the newest request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with no request."""
        self._content = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request, or of several."""
        super().data_received(data)
        if self._messages:
            self._content = self._messages[-1][1]

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio reads the answer, aiohttp gives none
        """Keep the connection open for the answer to the request in progress, then close it.

        A body that is not complete ends with an error for whoever reads it, as on a lost connection.
        """
        waits_for_a_request = self._waiter is not None and not self._messages
        if self._content is None or waits_for_a_request:
            return False
        if not self._content.is_eof():
            self._content.set_exception(ConnectionResetError("The client sent no more of the body."))
            self._content.feed_eof()  # so that aiohttp does not wait for the rest
        self.close()
        return True


class Server(web.Server):
    """Makes the connections of an application."""

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on connections of this module."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
