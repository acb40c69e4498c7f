"""The ports of the local stack, all on loopback."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from deploy.local.errors import LocalStackError

HOST = "127.0.0.1"
MAX_REPLICAS = 9
"""The workers' ports end just below the token issuer's."""
MAX_PORT_OFFSET = 65_535 - 8_090
"""The last TCP port, less the highest of ours."""


@dataclass(frozen=True)
class Ports:
    """Where each part listens; a worker listens for its health checks and metrics only."""

    api: int = 8080
    workers: tuple[int, ...] = (8081, 8082)
    issuer: int = 8090
    emulator: int = 4566
    postgres: int = 5433

    @classmethod
    def documented(cls, replicas: int, offset: int = 0) -> "Ports":
        """Return the ports of `run`, each moved by `offset`."""
        return cls(
            api=cls.api + offset,
            workers=tuple(cls.workers[0] + offset + replica for replica in range(replicas)),
            issuer=cls.issuer + offset,
            emulator=cls.emulator + offset,
            postgres=cls.postgres + offset,
        )

    @classmethod
    def free(cls, replicas: int) -> "Ports":
        """Return ports that are free at the moment."""
        with ExitStack() as open_sockets:  # all open at once, so that they differ
            sockets = [open_sockets.enter_context(socket.socket()) for _ in range(4 + replicas)]
            for one in sockets:
                one.bind((HOST, 0))
            api, issuer, emulator, postgres, *workers = (one.getsockname()[1] for one in sockets)
        return cls(api, tuple(workers), issuer, emulator, postgres)

    def by_part(self) -> Iterator[tuple[str, int]]:
        """Yield the name of each part with its port, in the order in which they start."""
        yield "postgres", self.postgres
        yield "emulator", self.emulator
        yield "issuer", self.issuer
        yield "producer_api", self.api
        for replica, port in enumerate(self.workers, start=1):
            yield f"consumer_worker-{replica}", port

    def taken(self, only: str | None = None) -> tuple[str, int] | None:
        """Return the first part, or the only one, whose port is in use, and the port; None if free."""
        return next(
            ((part, port) for part, port in self.by_part() if only in {None, part} and _taken(port)), None
        )

    def require_free(self, part: str | None = None) -> None:
        """Raise `LocalStackError` if a port is in use: any, or that of one part."""
        taken = self.taken(part)
        if taken:
            part, port = taken
            raise LocalStackError(
                f"port {port}, which {part} needs, is already in use\n"
                f"  Find the process that has it:  lsof -i :{port}\n"
                "  Or move all ports:             .venv/bin/python -m deploy.local run --port-offset 100"
            )


def _taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            one.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise LocalStackError(f"port {port} on {HOST} cannot be used: {error.strerror}") from error
    return False
