"""TCP proxies before the database, S3 and SQS that refuse, hang, cut, hold a request or lose its answer."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from deploy.local.ports import HOST

Mode = Literal["pass", "refuse", "hang", "cut"]

READ_BYTES = 256 * 1024
LOST_ANSWER_SECONDS = 0.1
"""From the first byte of an answer to the end of its connection: by then the server has done its work."""

HELD_LOOK_SECONDS = 0.05


class Spotter(Protocol):
    """Says whether what a client sends completes a request of a kind."""

    def spot(self, data: bytes) -> bool:
        """Whether the request was completed by these bytes."""


class HttpSpotter:
    """Spots an HTTP request by a part of its head, as `GET /bucket/uploads/`; heads come in one piece."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern.encode()

    def spot(self, data: bytes) -> bool:
        return self._pattern in data[:4096]


class PostgresSpotter:
    """Spots the execution of a statement by a regular expression; in a transaction, its COMMIT."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern.encode())
        self._rest = b""
        self._names: set[bytes] = set()
        self._started = self._transaction = self._executed = False

    def spot(self, data: bytes) -> bool:
        self._rest += data
        spotted = [self._spot(kind, body) for kind, body in self._messages()]  # each of them is followed
        return any(spotted)

    def _messages(self) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        while True:
            kind_bytes = 1 if self._started else 0
            if len(self._rest) < kind_bytes + 4:
                return found
            length = int.from_bytes(self._rest[kind_bytes : kind_bytes + 4])
            end = kind_bytes + length
            if len(self._rest) < end:
                return found
            kind, body = self._rest[:kind_bytes], self._rest[kind_bytes + 4 : end]
            self._rest = self._rest[end:]
            if kind:
                found.append((kind, body))
            else:  # the request for TLS is refused and followed by the startup itself
                self._started = length != 8

    def _spot(self, kind: bytes, body: bytes) -> bool:
        if kind == b"P":
            name, _, query = body.partition(b"\0")
            (self._names.add if self._pattern.search(query) else self._names.discard)(name)
        elif kind == b"B":
            if body.split(b"\0", 2)[1] not in self._names:
                return False
            self._executed = True
            return not self._transaction
        elif kind == b"Q":
            if body.startswith(b"BEGIN"):
                self._transaction, self._executed = True, False
            elif body.startswith((b"COMMIT", b"ROLLBACK")):
                executed, self._transaction, self._executed = self._executed, False, False
                return executed and body.startswith(b"COMMIT")
        return False


@dataclass
class Trap:
    """What happens to the first `times` requests that a spotter finds.

    "hold": nothing of its connection is forwarded any more, the request included, until `release`.
    "lose": the server does it, the answer is dropped and the connection ends.
    """

    spotter: Callable[[], Spotter]
    effect: Literal["hold", "lose"]
    times: int
    struck: int = 0
    hit: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def strike(self) -> None:
        """Count one more."""
        self.struck += 1
        self.hit.set()

    def release(self) -> None:
        """Let what is held go on, and catch nothing more."""
        self.times = 0
        self.released.set()


class Proxy:
    """One listening port in front of `upstream`, on loopback."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.connections = 0
        """How many were accepted so far."""
        self._upstream = upstream
        self._mode: Mode = "pass"
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._traps: list[Trap] = []
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        await self._listen()
        try:
            yield
        finally:
            await self._close()

    async def set_mode(self, mode: Mode) -> None:
        """Go wrong in one way, or "pass". What hung goes on then, as after a partition of the network."""
        if mode == self._mode:
            return
        self._mode = mode
        if mode == "hang":
            self._flowing.clear()
            return
        self._flowing.set()
        if mode == "pass":
            if self._listener is None:
                await self._listen()
        else:
            await self._close(keep_listening=mode == "cut")

    def trap(
        self, spotter: Callable[[], Spotter], effect: Literal["hold", "lose"], *, times: int = 1
    ) -> Trap:
        """Catch requests of a kind on connections that are made from now on."""
        trap = Trap(spotter, effect, times)
        self._traps.append(trap)
        return trap

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, HOST, self.port, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self, *, keep_listening: bool = False) -> None:
        if not keep_listening and self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in tuple(self._open):
            connection.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._mode == "cut":
            _reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._flowing.wait()
                server_reader, server_writer = await asyncio.open_connection(HOST, self._upstream)
                try:
                    await self._serve(reader, writer, server_reader, server_writer)
                finally:
                    _reset(server_writer)
        finally:
            self._open.discard(task)
            _reset(writer)

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        losing = asyncio.Event()
        pumps = [
            asyncio.ensure_future(self._send_up(reader, server_writer, losing)),
            asyncio.ensure_future(self._send_down(server_reader, writer, losing)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            if not losing.is_set():
                with suppress(OSError):
                    await writer.drain()
                    writer.close()

    async def _send_up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        spotters = [(trap, trap.spotter()) for trap in self._traps]
        while data := await reader.read(READ_BYTES):
            for trap, spotter in spotters:
                if spotter.spot(data) and trap.struck < trap.times:
                    trap.strike()
                    if trap.effect == "lose":
                        losing.set()
                    else:
                        await _wait_released(trap, reader)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        await asyncio.Event().wait()  # the other direction ends the connection

    async def _send_down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(READ_BYTES):
            await self._flowing.wait()
            if losing.is_set():
                await asyncio.sleep(LOST_ANSWER_SECONDS)
                return
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _wait_released(trap: Trap, reader: asyncio.StreamReader) -> None:
    """Hold a request until its release. Raises OSError if its client dies: then it is never sent."""
    while not trap.released.is_set():
        if reader.at_eof() or reader.exception() is not None:
            raise ConnectionResetError
        await asyncio.sleep(HELD_LOOK_SECONDS)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, unless it is closing by itself."""
    if writer.transport.is_closing():
        return
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


@dataclass(frozen=True)
class Side:
    """The proxies through which one service, or one worker, reaches what it needs."""

    database: Proxy
    s3: Proxy
    sqs: Proxy

    @classmethod
    def before(cls, postgres: int, emulator: int) -> "Side":
        """Return proxies in front of these ports."""
        return cls(Proxy(postgres), Proxy(emulator), Proxy(emulator))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the three of them listen while the block runs."""
        async with self.database.running(), self.s3.running(), self.sqs.running():
            yield
