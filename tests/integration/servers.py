"""Which servers are there, and how is one run? As real subprocesses on free loopback ports, gone at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.wire import HOST, NoReplyError, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SERVERS", "RunningServer", "Server", "run_server"]

ROOT = Path(__file__).resolve().parents[2]
SETTLED = {"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}  # Flask orders `Allow` by hash
START_SECONDS = 30.0
STOP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve an application.

    ``command`` follows ``python -m``; ``{port}`` and ``{app}`` are filled in. ``protocol`` is ``"asgi"`` or ``"wsgi"``.
    """

    name: str
    protocol: str
    command: str
    distributions: tuple[str, ...]

    @property
    def versions(self) -> str:
        """Return the installed version of each distribution that takes part."""
        return ", ".join(f"{name} {version(name)}" for name in self.distributions)


UVICORN = "uvicorn {app} --host 127.0.0.1 --port {port} --log-level warning --no-access-log --ws websockets-sansio"
GRANIAN = "granian {app} --host 127.0.0.1 --port {port} --log-level warning --workers 1"
GUNICORN = "gunicorn {app} --bind 127.0.0.1:{port} --log-level warning --workers 1 --no-control-socket"

SERVERS = {
    server.name: server
    for server in (
        Server("uvicorn-h11", "asgi", f"{UVICORN} --http h11 --loop asyncio", ("uvicorn", "h11", "websockets")),
        Server("uvicorn-httptools", "asgi", f"{UVICORN} --http httptools", ("uvicorn", "httptools", "websockets")),
        Server(
            "hypercorn",
            "asgi",
            "hypercorn asgi:{app} --bind 127.0.0.1:{port} --log-level warning",
            ("hypercorn", "h11", "wsproto"),
        ),
        Server("granian-asgi", "asgi", f"{GRANIAN} --interface asgi", ("granian",)),
        Server("gunicorn-asgi", "asgi", f"{GUNICORN} --worker-class asgi", ("gunicorn",)),
        Server("gunicorn-sync", "wsgi", f"{GUNICORN} --worker-class sync", ("gunicorn",)),
        Server("gunicorn-gthread", "wsgi", f"{GUNICORN} --worker-class gthread --threads 8", ("gunicorn",)),
        Server("waitress", "wsgi", "waitress --listen=127.0.0.1:{port} {app}", ("waitress",)),
        Server("granian-wsgi", "wsgi", f"{GRANIAN} --interface wsgi", ("granian",)),
    )
}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers on ``port``."""

    port: int
    log_path: Path
    start: int = 0

    @property
    def log(self) -> str:
        """Return what the server and the application wrote, to either output, since the server was ready."""
        return self.log_path.read_bytes()[self.start :].decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], running: RunningServer, ready_path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(running.port, "GET", ready_path)
        except (NoReplyError, OSError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server did not start:\n{running.log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


@contextmanager
def run_server(
    server: Server, app: str, *, options: str = "", ready_path: str = "/json", **environment: str
) -> Iterator[RunningServer]:
    """Serve *app* (``module:name``) for the length of the block.

    Args:
        server: How to serve it.
        app: Where the application stands.
        options: More options for the server's command line.
        ready_path: What to ask until an answer comes, whatever it is.
        environment: Variables for the server's process.

    Raises:
        RuntimeError: no answer came within half a minute; the text holds the server's log.
    """
    with tempfile.TemporaryDirectory(prefix="tracegate-") as folder:
        running = RunningServer(_free_port(), Path(folder) / "log")
        command = [sys.executable, "-m", *f"{server.command} {options}".format(app=app, port=running.port).split()]
        python_path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        with running.log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": python_path, **SETTLED, **environment},
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, running, ready_path)
            yield replace(running, start=running.log_path.stat().st_size)
        finally:
            _stop(process)
