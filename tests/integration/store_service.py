"""Who writes into the store in these proofs, and who provokes it? Real servers, and clients that note what they saw.

A good request is answered with the number of the process that answered it; one without a trace is refused, and the
client writes down the trace of each refusal that it has seen answered.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from tests.contract.stores import opened
from tests.integration.wire import Connection, NoReplyError, request
from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.errors import StoreError
from tracegate.sinks import segment
from tracegate.sinks.spool import Spool
from tracegate.store.upgrade import upgrade

__all__ = [
    "COMMANDS",
    "Service",
    "Storm",
    "asgi",
    "count_traces",
    "make_tables",
    "processes_of",
    "provoked",
    "wait_until",
    "wsgi",
]

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
_FULL = "STORE_SERVICE_DISK_FULL"
_COMMON = "--log-level warning --port {port}"
COMMANDS = {
    "uvicorn": f"uvicorn {__name__}:asgi --factory --no-access-log --workers {{workers}} {_COMMON}",
    "gunicorn-gthread": (
        f"gunicorn {__name__}:wsgi() --bind 127.0.0.1:{{port}} --workers {{workers}} --worker-class gthread"
        " --threads 8 --log-level warning --no-control-socket"
    ),
    "gunicorn-asgi": (
        f"gunicorn {__name__}:asgi() --bind 127.0.0.1:{{port}} --workers {{workers}} --worker-class asgi"
        " --log-level warning --no-control-socket"
    ),
}
"""How each server is started; after ``python -m``."""


# In the server's processes


def _no_route(_request: object) -> None:
    """Match no route: what these proofs provoke shall not lock the deploy gate, whose doubts they ask for."""


def asgi() -> TraceGate:
    """Return the gated ASGI application."""
    _let_the_disk_fill()

    async def answer(scope: Any, _receive: object, send: Any) -> None:  # noqa: ANN401 - ASGI's
        if scope["type"] == "http":
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            await send({"type": "http.response.body", "body": body})

    body = str(os.getpid()).encode()
    return TraceGate(answer, route_of=_no_route)


def wsgi() -> WsgiGate:
    """Return the gated WSGI application."""
    _let_the_disk_fill()

    def answer(_environ: object, start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333's
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return WsgiGate(answer, route_of=_no_route)


def _let_the_disk_fill() -> None:
    """Have the spool's files meet a full disk, in the middle of a write, while the file that is named there exists."""
    full, write = os.environ.get(_FULL), os.write
    if full is None:
        return

    def write_some(descriptor: int, data: memoryview, /) -> int:
        if not os.path.exists(full):  # noqa: PTH110 - on each write
            return write(descriptor, data)
        write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    segment._write = lambda descriptor, data: _write_all(write_some, descriptor, data)  # type: ignore[attr-defined]


def _write_all(write: Callable[[int, memoryview], int], descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[write(descriptor, rest) :]


# In the proof's process


class Service:
    """A server on a port of its own; its workers can be killed, and it can be started again on the same port.

    Args:
        kind: One of :data:`COMMANDS`.
        folder: For its log, its spool, and the file whose presence fills the spool's disk.
        url: Its store.
        workers: How many processes serve.
        settings: More of ``TRACEGATE_…``, without the prefix.
    """

    def __init__(self, kind: str, folder: Path, url: str, *, workers: int = 2, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.spool = Spool(folder / "spool")
        self.spool_directory = folder / "spool"
        self.full = folder / "full"
        self._command = COMMANDS[kind].format(port=self.port, workers=workers).split()
        self._log = folder / "log"
        own = {"store_url": url, "service": "storm", "spool_directory": str(folder / "spool"), **settings}
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", _FULL: str(self.full)}
        self._environment |= {f"TRACEGATE_{name.upper()}": value for name, value in own.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What the server has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", *self._command]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: self._process is not None and (self._process.poll() is not None or self.a_worker() > 0))
        assert self._process.poll() is None, self.log

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End all its processes; those that take too long by SIGKILL."""
        if self._process is None:
            return
        for each in (number, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, each)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(25)
        self._process.wait()
        self._process = None

    def a_worker(self) -> int:
        """Return a process that serves; 0: none does."""
        try:
            with Connection(self.port) as connection:
                connection.send(request("GET", "/", (f"X-Trace-Id: {uuid.uuid4()}".encode(),)))
                return int(connection.read_reply().body)
        except (OSError, NoReplyError):
            return 0

    def kill_worker(self) -> None:
        """Kill one process in the middle of what it does; where it was the only one, start the server again."""
        worker = 0
        while not worker:
            worker = self.a_worker()
        os.kill(worker, signal.SIGKILL)
        if self._process is not None and self._process.pid == worker:
            self._process.wait()
            self.start()


class Storm:
    """Clients that ask without a trace, one request after the other on connections of their own; a context manager.

    Args:
        port: The server's.
        clients: How many.
        pause_seconds: How long each rests between two requests.

    Attributes:
        answered: The trace of each refusal that was seen answered.
        odd: Any other answer.
        broken: How many requests got none, because their connection broke.
    """

    def __init__(self, port: int, clients: int = 8, *, pause_seconds: float = 0.0) -> None:
        self._port = port
        self._pause = pause_seconds
        self._over = threading.Event()
        self.answered: list[str] = []
        self.odd: list[str] = []
        self.broken = 0
        self._threads = [threading.Thread(target=self._provoke) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _provoke(self) -> None:
        while not self._over.is_set():
            try:
                with Connection(self._port) as connection:
                    self._ask(connection)
            except (OSError, NoReplyError):
                self.broken += 1
                time.sleep(0.02)

    def _ask(self, connection: Connection) -> None:
        while not self._over.is_set():
            connection.send(request("GET", "/"))
            reply = connection.read_reply()
            if reply.status == 409 and reply.ending.clean:
                self.answered.append(reply.value(b"x-trace-id").decode())
            elif reply.status != 409:
                self.odd.append(f"{reply.status} {reply.body[:200]!r}")
            if reply.value(b"connection").lower() == b"close":
                return
            self._over.wait(self._pause)


def make_tables(url: str) -> None:
    """Bring the store to this version."""
    with opened(url) as engine:
        upgrade(engine)


def count_traces(url: str) -> dict[str, int]:
    """Return how many rows the store has of each trace.

    Raises:
        AssertionError: An event's id is there twice.
    """
    with opened(url) as engine, engine.connect() as connection:
        rows = connection.execute(text("SELECT id, trace_id, event_type FROM tb_ops_event")).all()
    assert len(rows) == len({row[0] for row in rows})
    counts: dict[str, int] = {}
    for _, trace, kind in rows:
        if kind != "trace_refusal_surge":  # it names the trace of a refusal, which has an event of its own
            counts[trace] = counts.get(trace, 0) + 1
    return counts


def processes_of(process: int) -> list[int]:
    """Return *process* and its children, of all its threads."""
    children = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [process, *(int(child) for line in children for child in line.split())]


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until *true*.

    Raises:
        AssertionError: It was not, in that time.
    """
    end = time.monotonic() + seconds
    while True:
        with suppress(StoreError):
            if true():
                return
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@contextmanager
def provoked(service: Service, seconds: float) -> Iterator[Storm]:
    """Have a storm rage for that long before the block, and through it."""
    with Storm(service.port) as storm:
        wait_until(lambda: bool(storm.answered))
        time.sleep(seconds)
        yield storm
